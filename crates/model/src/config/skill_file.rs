//! What a skill asks for: the front matter of its `SKILL.md` (agents 1.6).

use std::collections::BTreeSet;

use crate::config::field::Field;
use crate::config::problem::{Problem, Problems};
use crate::config::yaml;
use crate::name::is_variable_name;

const FENCE: &str = "---";
const SECRETS: &str = "vm0_secrets";
const VARIABLES: &str = "vm0_vars";
/// Most names of one list.
const NAMES_MAX: usize = 64;

/// The names that a skill needs in the environment of its agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkillNeeds {
    /// Secrets.
    pub secrets: BTreeSet<String>,
    /// Variables.
    pub variables: BTreeSet<String>,
}

/// Reads the lists `vm0_secrets` and `vm0_vars` of the front matter of a `SKILL.md`. Other keys
/// are for others, who read YAML more leniently: front matter without these two is not judged.
///
/// # Errors
/// Every problem, in document order.
pub fn skill_needs(text: &str) -> Result<SkillNeeds, Vec<Problem>> {
    let Some(matter) = front_matter(text) else {
        return Ok(SkillNeeds::default());
    };
    if !matter.contains(SECRETS) && !matter.contains(VARIABLES) {
        return Ok(SkillNeeds::default());
    }
    let mut problems = Problems::default();
    let mut needs = SkillNeeds::default();
    if let Some(root) = yaml::read(&matter, &mut problems) {
        let root = Field::root(&root);
        for (key, field) in root.entries(&mut problems).unwrap_or_default() {
            match key {
                SECRETS => needs.secrets = names(&field, &mut problems),
                VARIABLES => needs.variables = names(&field, &mut problems),
                _ => {}
            }
        }
    }
    let problems = problems.into_sorted();
    if problems.is_empty() {
        Ok(needs)
    } else {
        Err(problems)
    }
}

/// What stands between the first line, if that is a fence, and the next fence; the first line is
/// left empty, so that lines keep their numbers.
fn front_matter(text: &str) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines();
    if lines.next()?.trim_end() != FENCE {
        return None;
    }
    let mut matter = String::new();
    for line in lines {
        if line.trim_end() == FENCE {
            return Some(matter);
        }
        matter.push('\n');
        matter.push_str(line);
    }
    None
}

fn names(field: &Field<'_>, problems: &mut Problems) -> BTreeSet<String> {
    let items = field.strings(problems, 0..=NAMES_MAX).unwrap_or_default();
    let mut names = BTreeSet::new();
    for (item, name) in items {
        if !is_variable_name(name) {
            let text = format_args!(
                "invalid name '{name}': use letters, digits or '_', not beginning with a digit"
            );
            problems.add(&item, text);
        } else if name.starts_with("VM0_") {
            problems.add(&item, "names beginning with VM0_ are reserved");
        } else {
            names.insert(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let problems = skill_needs(text).unwrap_err();
        problems
            .iter()
            .map(|problem| problem.in_file("SKILL.md"))
            .collect()
    }

    #[test]
    fn needs_are_read_from_the_front_matter_only() {
        let text = "---\nname: audit\nvm0_secrets: [GH_TOKEN, OTHER]\nvm0_vars:\n  - REGION\n---\n\
                    # Audit\nvm0_secrets: [NOT_THIS]\n";
        let needs = skill_needs(text).unwrap();
        assert_eq!(
            needs.secrets.into_iter().collect::<Vec<_>>(),
            ["GH_TOKEN", "OTHER"]
        );
        assert_eq!(needs.variables.into_iter().collect::<Vec<_>>(), ["REGION"]);
    }

    #[test]
    fn a_skill_that_asks_for_nothing_is_not_judged() {
        for text in [
            "",
            "# Audit\nvm0_secrets: [A]\n",
            "---\ndescription: Use when: x\n---\n",
            "---\nvm0_secrets: [A]\n",
            "---\r\nname: a\r\n---\r\n",
        ] {
            assert_eq!(skill_needs(text), Ok(SkillNeeds::default()), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        assert_eq!(
            faults("---\nname: a\nvm0_secrets: GH_TOKEN\n---\n"),
            ["SKILL.md:3:1: vm0_secrets: must be a list, not a string"]
        );
        assert_eq!(
            faults("---\nvm0_vars: [VM0_X, 1a, 7]\n---\n"),
            [
                "SKILL.md:2:12: vm0_vars.0: names beginning with VM0_ are reserved",
                "SKILL.md:2:19: vm0_vars.1: invalid name '1a': use letters, digits or '_', not \
                 beginning with a digit",
                "SKILL.md:2:23: vm0_vars.2: must be a string, not a number",
            ]
        );
        assert_eq!(
            faults("---\nvm0_secrets: [A\n---\n").len(),
            1,
            "broken YAML that mentions one of the keys"
        );
    }

    proptest! {
        #[test]
        fn no_skill_file_makes_it_panic(text in "(---\n)?(vm0_secrets|vm0_vars|[a-z:\\[\\], \n-]){0,20}(---\n)?\\PC{0,10}") {
            let _ = skill_needs(&text);
        }
    }
}
