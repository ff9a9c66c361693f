//! What skills ask for: names that the agent's environment gets, secrets only when somebody agrees
//! (agents 1.6).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vm0_model::config::{AgentConfig, SkillNeeds};

use crate::error::Failure;
use crate::exit::Exit;
use crate::output::Output;

/// Names that the environment lacks, each with the skills that need it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    secrets: BTreeMap<String, Vec<String>>,
    variables: BTreeMap<String, Vec<String>>,
}

/// What the agent's current version has.
#[derive(Debug, Default)]
pub(super) struct Known {
    secrets: BTreeSet<String>,
    variables: BTreeSet<String>,
}

impl Known {
    /// The names of a stored configuration.
    pub(super) fn of(config: Option<&Value>) -> Self {
        match config.map(AgentConfig::from_json) {
            Some(Ok((_, config))) => Self {
                secrets: config.required_secrets(),
                variables: config.required_variables(),
            },
            _ => Self::default(),
        }
    }
}

impl Needs {
    /// What the skills ask for beyond the environment. A name that is a secret for one skill and a
    /// variable for another is a secret.
    pub(super) fn of(agent: &AgentConfig, skills: &[(String, SkillNeeds)]) -> Self {
        let given: BTreeSet<_> = agent.environment.iter().map(|(name, _)| name).collect();
        let mut needs = Self::default();
        let lacking = |names: &BTreeSet<String>| {
            let names = names.iter().filter(|name| !given.contains(name));
            names.cloned().collect::<Vec<_>>()
        };
        for (skill, asked) in skills {
            for name in lacking(&asked.secrets) {
                needs.secrets.entry(name).or_default().push(skill.clone());
            }
            for name in lacking(&asked.variables) {
                needs.variables.entry(name).or_default().push(skill.clone());
            }
        }
        for (name, skills) in &mut needs.secrets {
            let also = needs.variables.remove(name).unwrap_or_default();
            skills.extend(also);
            skills.sort();
            skills.dedup();
        }
        needs
    }

    /// Whether there is nothing to ask.
    pub(super) fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.variables.is_empty()
    }

    /// The lines that show them.
    fn lines(&self, known: &Known) -> Vec<String> {
        let section =
            |title: &str, names: &BTreeMap<String, Vec<String>>, known: &BTreeSet<String>| {
                let width = names.keys().map(String::len).max().unwrap_or_default();
                let line = |(name, skills): (&String, &Vec<String>)| {
                    let new = if known.contains(name) { "" } else { " (new)" };
                    format!("  {name:<width$}  {}{new}", skills.join(", "))
                };
                let title = (!names.is_empty()).then(|| title.to_owned());
                title
                    .into_iter()
                    .chain(names.iter().map(line))
                    .collect::<Vec<_>>()
            };
        let mut lines = section("Secrets:", &self.secrets, &known.secrets);
        lines.extend(section("Variables:", &self.variables, &known.variables));
        lines
    }

    /// Shows them, and asks whether the agent may have secrets that it did not have.
    pub(super) async fn approve(
        &self,
        output: &Output,
        known: &Known,
        yes: bool,
    ) -> Result<(), Failure> {
        let new: Vec<&str> = self
            .secrets
            .keys()
            .filter(|name| !known.secrets.contains(*name))
            .map(String::as_str)
            .collect();
        let asks = !new.is_empty() && !yes;
        for line in self.lines(known) {
            if asks && output.can_ask() {
                output.error_line(&line);
            } else {
                output.note(&line);
            }
        }
        if !asks {
            return Ok(());
        }
        let names = new.join(", ");
        if !output.can_ask() {
            let message = format!("Skills ask for new secrets: {names}");
            let failure = Failure::new(Exit::Usage, "approval_needed", message);
            return Err(failure.hint("Approve them: vm0 compose --yes"));
        }
        let (asker, question) = (output.clone(), format!("Give the agent {names}?"));
        // A blocking question leaves Ctrl-C to the task that waits for it.
        let answer = tokio::task::spawn_blocking(move || asker.confirm(&question)).await;
        if answer.expect("asking does not panic")? {
            Ok(())
        } else {
            Err(Failure::new(Exit::Failed, "declined", "Compose cancelled"))
        }
    }

    /// Adds them to the environment of the agent `name`.
    pub(super) fn add_to(&self, config: &mut Value, name: &str) {
        let environment = &mut config["agents"][name]["environment"];
        let entries = [("secrets", &self.secrets), ("vars", &self.variables)];
        for (source, names) in entries {
            for name in names.keys() {
                environment[name] = json!(format!("${{{{ {source}.{name} }}}}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vm0_model::config::from_yaml;

    use super::*;

    fn asked(secrets: &[&str], variables: &[&str]) -> SkillNeeds {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        SkillNeeds {
            secrets: owned(secrets),
            variables: owned(variables),
        }
    }

    fn needs(skills: &[(&str, SkillNeeds)]) -> (Value, Needs) {
        let text = "version: \"1.0\"\nagents:\n  demo:\n    environment: { HERE: x }\n";
        let (config, agent) = from_yaml(text).unwrap();
        let skills: Vec<_> = skills
            .iter()
            .map(|(name, needs)| ((*name).to_owned(), needs.clone()))
            .collect();
        (config, Needs::of(&agent, &skills))
    }

    #[test]
    fn only_what_the_environment_lacks_is_added() {
        let (mut config, needs) = needs(&[
            ("a", asked(&["HERE", "KEY"], &["REGION"])),
            ("b", asked(&["REGION"], &["KEY", "ZONE"])),
        ]);
        needs.add_to(&mut config, "demo");
        assert_eq!(
            config["agents"]["demo"]["environment"],
            json!({ "HERE": "x", "KEY": "${{ secrets.KEY }}", "REGION": "${{ secrets.REGION }}",
                    "ZONE": "${{ vars.ZONE }}" })
        );
    }

    #[test]
    fn each_name_is_shown_with_its_skills_and_whether_it_is_new() {
        let (_, needs) = needs(&[
            ("a", asked(&["KEY"], &[])),
            ("b", asked(&["KEY", "OTHER"], &["ZONE"])),
        ]);
        let known = Known {
            secrets: BTreeSet::from(["KEY".to_owned()]),
            variables: BTreeSet::new(),
        };
        assert_eq!(
            needs.lines(&known),
            [
                "Secrets:",
                "  KEY    a, b",
                "  OTHER  b (new)",
                "Variables:",
                "  ZONE  b (new)"
            ]
        );
        assert!(Needs::default().lines(&known).is_empty());
    }
}
