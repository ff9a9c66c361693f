//! HTML out of templates: a value gets in only escaped.

use std::fmt::Write;

/// HTML that may be sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Html(String);

impl Html {
    /// The template with `{{name}}` replaced by the value of the name, escaped.
    pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> Self {
        Self::fill_with(template, values, &[])
    }

    /// The same; `{{{name}}}` is replaced by the part of the name, as it is.
    pub(super) fn fill_with(
        template: &str,
        values: &[(&str, &str)],
        parts: &[(&str, &Self)],
    ) -> Self {
        let mut html = String::with_capacity(template.len());
        let mut rest = template.trim_end();
        while let Some((before, after)) = rest.split_once("{{") {
            html.push_str(before);
            if let Some((name, after)) = after.strip_prefix('{').and_then(|a| a.split_once("}}}")) {
                let part = parts.iter().find(|(known, _)| *known == name);
                html.push_str(part.map_or("", |(_, part)| part.as_str()));
                rest = after;
            } else if let Some((name, after)) = after.split_once("}}") {
                let value = values.iter().find(|(known, _)| *known == name);
                escape(&mut html, value.map_or("", |(_, value)| value));
                rest = after;
            } else {
                rest = after;
            }
        }
        html.push_str(rest);
        Self(html)
    }

    /// Text of ours that needs no escaping, such as a style sheet.
    pub(super) fn constant(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// The HTML.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The HTML.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

fn escape(html: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // What turns text around or hides in it is shown for what it is.
            c if c.is_control() || is_invisible(c) => {
                let _ = write!(html, "\\u{{{:x}}}", u32::from(c));
            }
            c => html.push(c),
        }
    }
}

/// Marks of direction and of no width.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_put_in_as_they_are_and_values_escaped() {
        let part = Html::fill("<b>{{x}}</b>", &[("x", "<&'\">")]);
        let whole = Html::fill_with(
            "{{x}}: {{{part}}}.\n",
            &[("x", "{{{part}}}")],
            &[("part", &part)],
        );
        assert_eq!(
            whole.as_str(),
            "{{{part}}}: <b>&lt;&amp;&#39;&quot;&gt;</b>."
        );
        assert_eq!(Html::fill("a{{x}}b", &[]).as_str(), "ab");
    }

    #[test]
    fn text_that_pretends_to_be_other_text_is_shown_for_what_it_is() {
        let shown = Html::fill("{{x}}", &[("x", "a\u{202e}b\u{200b}\n")]);
        assert_eq!(shown.as_str(), "a\\u{202e}b\\u{200b}\\u{a}");
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_attribute(value in any::<String>()) {
            let html = Html::fill("{{x}}", &[("x", &value)]).into_string();
            prop_assert!(!html.contains(['<', '>', '"', '\'']));
        }
    }
}
