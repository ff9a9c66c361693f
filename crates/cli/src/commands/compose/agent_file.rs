//! A `vm0.yaml` and what is wrong with it.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vm0_model::config::{AgentConfig, Problem, from_yaml, problem_at};
use vm0_model::limits::CONFIG_MAX_BYTES;
use vm0_model::template::has_unknown_source;

use crate::error::Failure;
use crate::exit::Exit;
use crate::output::Output;

/// A file that keeps the rules.
#[derive(Debug)]
pub(crate) struct AgentFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What is written there.
    text: String,
    /// The same as JSON, the agent's name in lower case.
    pub(crate) config: Value,
    /// What it means.
    pub(crate) agent: AgentConfig,
}

/// A file that cannot be used.
#[derive(Debug)]
pub(crate) enum AgentFileError {
    /// There is no text.
    Unreadable(Failure),
    /// The text, or what lies beside the file, breaks rules.
    Invalid(Invalid),
}

/// Problems of a file, in document order.
#[derive(Debug)]
pub(crate) struct Invalid {
    path: PathBuf,
    /// At least one.
    pub(crate) problems: Vec<Problem>,
}

impl AgentFile {
    /// Reads and checks a file.
    pub(crate) fn read(path: &Path) -> Result<Self, AgentFileError> {
        let text = read_text(path).map_err(AgentFileError::Unreadable)?;
        match from_yaml(&text) {
            Ok((config, agent)) => Ok(Self {
                path: path.to_owned(),
                text,
                config,
                agent,
            }),
            Err(problems) => Err(AgentFileError::Invalid(Invalid {
                path: path.to_owned(),
                problems,
            })),
        }
    }

    /// The folder that paths in the file are relative to.
    pub(crate) fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// A fault of what a field of the agent names.
    pub(crate) fn problem(&self, field: &str, fault: impl std::fmt::Display) -> Problem {
        let written = self.written_name();
        let mut problem = problem_at(&self.text, &format!("agents.{written}.{field}"), fault);
        problem.path = format!("agents.{}.{field}", self.agent.name);
        problem
    }

    /// The file is refused for these problems.
    pub(crate) fn refuse(&self, problems: Vec<Problem>) -> Invalid {
        Invalid {
            path: self.path.clone(),
            problems,
        }
    }

    /// The agent's name as the file has it, before it was lowered.
    fn written_name(&self) -> String {
        let value = vm0_model::config::yaml_value(&self.text).unwrap_or_default();
        let agents = value["agents"].as_object();
        let name = agents.and_then(|agents| agents.keys().next().cloned());
        name.unwrap_or_else(|| self.agent.name.clone())
    }

    /// What is allowed but hardly meant.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (name, value) in &self.agent.environment {
            if has_unknown_source(value) {
                warnings.push(format!(
                    "environment.{name}: a '${{{{' that is neither vars nor secrets stays as it is"
                ));
            }
        }
        let written = &self.config["agents"][&self.agent.name];
        if written.get("experimental_runner").is_some() {
            warnings.push("experimental_runner has no effect".to_owned());
        }
        if self.agent.bundle.is_some() {
            let text = "bundle is written in the file: what lies beside the file is not collected";
            warnings.push(text.to_owned());
        }
        warnings
    }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let bad = |why: String| Failure::new(Exit::Failed, "config_file", why);
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let failure = bad(format!("Config file not found: {}", path.display()));
            failure.hint("Make one: vm0 init")
        }
        _ => bad(format!("Failed to read {}: {error}", path.display())),
    })?;
    if bytes.len() > CONFIG_MAX_BYTES {
        let path = path.display();
        return Err(bad(format!(
            "{path} is longer than {CONFIG_MAX_BYTES} bytes"
        )));
    }
    String::from_utf8(bytes).map_err(|_| bad(format!("{} is not UTF-8", path.display())))
}

impl Invalid {
    /// Every problem as `FILE:LINE:COLUMN: PATH: TEXT`.
    fn lines(&self) -> Vec<String> {
        let file = self.path.display();
        let lines = self.problems.iter().map(|problem| problem.in_file(&file));
        lines.collect()
    }

    /// Prints every problem but the last, which becomes the failure; as JSON they are one.
    pub(crate) fn report(&self, output: &Output) -> Failure {
        let lines = self.lines();
        let failure = |message: String| {
            let failure = Failure::new(Exit::Failed, "invalid_config", message);
            failure.hint(format!(
                "Check again: vm0 compose {} --dry-run",
                self.path.display()
            ))
        };
        if output.is_json() {
            return failure(lines.join("\n"));
        }
        let (last, others) = lines.split_last().expect("there is a problem");
        for line in others {
            output.error(line, &[]);
        }
        failure(last.clone())
    }
}

impl AgentFileError {
    /// As [`Invalid::report`].
    pub(crate) fn report(self, output: &Output) -> Failure {
        match self {
            Self::Unreadable(failure) => failure,
            Self::Invalid(invalid) => invalid.report(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<AgentFile, AgentFileError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vm0.yaml");
        std::fs::write(&path, text).unwrap();
        AgentFile::read(&path)
    }

    #[test]
    fn every_problem_names_its_place() {
        let text =
            "version: \"1.0\"\nagents:\n  demo:\n    framwork: shell\n    timeout_seconds: 0\n";
        let Err(AgentFileError::Invalid(mut invalid)) = file(text) else {
            panic!("the file is not valid")
        };
        invalid.path = "vm0.yaml".into();
        assert_eq!(
            invalid.lines(),
            [
                "vm0.yaml:4:5: agents.demo.framwork: unknown key 'framwork'; did you mean 'framework'?",
                "vm0.yaml:5:5: agents.demo.timeout_seconds: must be between 1 and 86400",
            ]
        );
    }

    #[test]
    fn what_stays_as_written_is_warned_about() {
        let text = "version: \"1.0\"\nagents:\n  demo:\n    framework: shell\n    environment:\n      \
                    A: \"${{ env.X }}\"\n";
        assert_eq!(file(text).unwrap().warnings().len(), 1);
    }

    #[test]
    fn a_fault_of_a_field_is_found_whatever_the_case_of_the_name() {
        let text = "version: \"1.0\"\nagents:\n  Demo:\n    skills: [a, b]\n";
        let problem = file(text).unwrap().problem("skills.1", "x");
        assert_eq!(problem.in_file("f"), "f:4:17: agents.demo.skills.1: x");
    }
}
