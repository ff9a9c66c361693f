//! Templates in configurations: `${{ vars.NAME }}` and `${{ secrets.NAME }}` (agents 1.5).
//!
//! Expansion is one pass over the text as written; what a value contains is never expanded again.

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// Where the value of a template comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TemplateSource {
    /// `vars.NAME`: the variables of the run, else stored ones.
    Vars,
    /// `secrets.NAME`: the secrets given with the run, else stored ones.
    Secrets,
}

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment<'a> {
    Plain(&'a str),
    Template(TemplateSource, &'a str),
}

/// Cuts the text into what stays as it is and what is a template.
struct Segments<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        if let Some((source, name, after)) = template_at_start(self.rest) {
            self.rest = after;
            return Some(Segment::Template(source, name));
        }
        let end = self
            .rest
            .match_indices(OPEN)
            .map(|(at, _)| at)
            .find(|&at| template_at_start(&self.rest[at..]).is_some())
            .unwrap_or(self.rest.len());
        let (plain, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Segment::Plain(plain))
    }
}

fn segments(text: &str) -> Segments<'_> {
    Segments { rest: text }
}

/// The source and name of the template at the start of `text`, and what follows it.
fn template_at_start(text: &str) -> Option<(TemplateSource, &str, &str)> {
    let inside = text.strip_prefix(OPEN)?.trim_ascii_start();
    let (source, inside) = if let Some(inside) = inside.strip_prefix("vars.") {
        (TemplateSource::Vars, inside)
    } else {
        (TemplateSource::Secrets, inside.strip_prefix("secrets.")?)
    };
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (name, after) = inside.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some((source, name, after.trim_ascii_start().strip_prefix(CLOSE)?))
}

/// The templates of `text`, in order, with repetitions.
pub fn templates(text: &str) -> impl Iterator<Item = (TemplateSource, &str)> {
    segments(text).filter_map(|segment| match segment {
        Segment::Template(source, name) => Some((source, name)),
        Segment::Plain(_) => None,
    })
}

/// Whether `text` contains a template.
pub fn has_template(text: &str) -> bool {
    templates(text).next().is_some()
}

/// Whether `text` contains a `${{` that begins no template and so stays as written.
pub fn has_unknown_source(text: &str) -> bool {
    segments(text).any(|segment| matches!(segment, Segment::Plain(plain) if plain.contains(OPEN)))
}

/// Puts values in place of the templates of `text`. A template without a value stays as written.
pub fn expand<'v>(
    text: &str,
    mut value: impl FnMut(TemplateSource, &str) -> Option<&'v str>,
) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut segments = segments(text);
    let mut before = text;
    while let Some(segment) = segments.next() {
        let written = &before[..before.len() - segments.rest.len()];
        before = segments.rest;
        expanded.push_str(match segment {
            Segment::Plain(plain) => plain,
            Segment::Template(source, name) => value(source, name).unwrap_or(written),
        });
    }
    expanded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expand_all(text: &str) -> String {
        expand(text, |source, name| match (source, name) {
            (TemplateSource::Vars, "A") => Some("${{ vars.B }}"),
            (TemplateSource::Vars, "EMPTY") => Some(""),
            (TemplateSource::Vars, _) => Some("v"),
            (TemplateSource::Secrets, "MISSING") => None,
            (TemplateSource::Secrets, _) => Some("s"),
        })
    }

    #[test]
    fn white_space_inside_the_braces_is_optional() {
        for text in [
            "${{vars.X}}",
            "${{ vars.X }}",
            "${{\tvars.X\n}}",
            "${{vars.X }}",
        ] {
            assert_eq!(expand_all(text), "v", "{text}");
        }
        assert_eq!(expand_all("a-${{ vars.X }}-${{secrets.Y}}b"), "a-v-sb");
        assert_eq!(expand_all("x${{ vars.EMPTY }}y"), "xy");
    }

    #[test]
    fn anything_else_stays_as_written() {
        for text in [
            "${{ env.X }}",
            "${X}",
            "{{X}}",
            "{{ vars.X }}",
            "${{ vars .X }}",
            "${{ vars. X }}",
            "${{ vars.1X }}",
            "${{ vars.X-Y }}",
            "${{ vars.X.Y }}",
            "${{ vars. }}",
            "${{ Vars.X }}",
            "${{ vars.X }",
            "${{ vars.X } }",
            "$${ { vars.X }}",
            "${{ vars.É }}",
            "${{ secrets.MISSING }}",
            "${{",
            "",
        ] {
            assert_eq!(expand_all(text), text);
        }
    }

    #[test]
    fn a_broken_opening_does_not_hide_the_next_template() {
        assert_eq!(expand_all("${{${{ vars.X }}"), "${{v");
        assert_eq!(expand_all("${{ vars.${{ secrets.X }}"), "${{ vars.s");
        assert!(has_unknown_source("${{ env.X }} ${{ vars.X }}"));
        assert!(!has_unknown_source("${{ vars.X }} $ {{"));
    }

    #[test]
    fn values_are_not_expanded_again() {
        assert_eq!(expand_all("${{ vars.A }}"), "${{ vars.B }}");
        let glued = expand("${{ vars.L }}vars.B }}", |_, _| Some("${{ "));
        assert_eq!(glued, "${{ vars.B }}");
    }

    #[test]
    fn templates_are_listed_in_order() {
        let found: Vec<_> = templates("${{ vars.B }}${{ secrets.A }}${{ vars.B }}").collect();
        let expected = [
            (TemplateSource::Vars, "B"),
            (TemplateSource::Secrets, "A"),
            (TemplateSource::Vars, "B"),
        ];
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([${} .]|vars|secrets|\\PC){0,40}") {
            let _ = expand_all(&text);
            let _ = has_unknown_source(&text);
        }

        #[test]
        fn text_without_templates_is_unchanged(text in "([${} .]|vars|secrets|[a-z]){0,40}") {
            if !has_template(&text) {
                prop_assert_eq!(expand_all(&text), text);
            }
        }

        #[test]
        fn every_value_appears_exactly_as_it_is(
            before in "[a-z$ ]{0,5}",
            value in "([${}]|vars\\.X| ){0,10}",
            after in "[a-z} ]{0,5}",
        ) {
            let text = format!("{before}${{{{ vars.X }}}}{after}");
            let expanded = expand(&text, |_, _| Some(&value));
            prop_assert_eq!(expanded, format!("{before}{value}{after}"));
        }
    }
}
