//! What a command prints when it cannot do its work (CLI 1.6). Errors of every layer become a
//! [`Failure`] here, at the rim, and nowhere else.

use std::error::Error;
use std::io;

use serde_json::json;
use vm0_client::ClientError;
use vm0_model::name::is_stored_name;

use crate::exit::Exit;
use crate::output::Output;

/// The result of a command.
pub(crate) type CommandResult = Result<Exit, Failure>;

/// Why a command ends, as the user sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    kind: String,
    code: String,
    message: String,
    param: Option<Box<str>>,
    hints: Vec<String>,
    broken_pipe: bool,
}

impl Failure {
    /// A fault found by the client.
    pub(crate) fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self {
            exit,
            kind: "client_error".to_owned(),
            code: code.to_owned(),
            message: message.into(),
            param: None,
            hints: Vec::new(),
            broken_pipe: false,
        }
    }

    /// Wrong use of the command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// What was named does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, "resource_not_found", message)
    }

    /// The same failure with another exit code.
    #[must_use]
    pub(crate) fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// `Failed to <error>: <cause>: <cause>`.
    pub(crate) fn of(code: &str, error: &dyn Error) -> Self {
        Self::new(Exit::Failed, code, format!("Failed to {}", chain(error)))
    }

    /// Adds the next command to type.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Replaces the hints.
    #[must_use]
    pub(crate) fn only_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints = vec![hint.into()];
        self
    }

    /// The next commands to type.
    #[cfg(test)]
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// What went wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// The exit code.
    #[cfg(test)]
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Says where the token came from that the server refused.
    #[must_use]
    pub(crate) fn with_token_source(mut self, source: &str) -> Self {
        if self.code == "invalid_api_key" {
            self.message = format!("The server refused the token of {source}");
        }
        self
    }

    /// Prints itself to stderr and gives the exit code.
    pub(crate) fn report(&self, output: &Output) -> Exit {
        if self.broken_pipe {
            return Exit::Done;
        }
        if output.is_json() {
            output.error_line(&self.to_json().to_string());
        } else {
            output.error(&self.message, &self.hints);
        }
        self.exit
    }

    fn to_json(&self) -> serde_json::Value {
        let mut error = json!({ "type": self.kind, "code": self.code, "message": self.message });
        if let Some(param) = &self.param {
            error["param"] = json!(param);
        }
        if !self.hints.is_empty() {
            error["hint"] = json!(self.hints.join("\n"));
        }
        error["exit_code"] = json!(self.exit.code());
        json!({ "error": error })
    }
}

/// An error and its causes in one line; a cause that only repeats the text before is left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match error.status() {
            Some(401) => Exit::NotAuthenticated,
            Some(404) => Exit::NotFound,
            _ if error.is_unreachable() => Exit::Unreachable,
            _ => Exit::Failed,
        };
        let failure = match error {
            ClientError::Api {
                kind,
                code,
                message,
                param,
                ..
            } => {
                let mut failure = Self::new(exit, &code, message);
                failure.kind = kind;
                failure.hints = hints_of(&code, param.as_deref(), &failure.message);
                failure.param = param.map(String::into_boxed_str);
                failure
            }
            other => {
                let mut failure = Self::of("server_unreachable", &other);
                failure.exit = exit;
                if exit != Exit::Unreachable {
                    failure.code = "client_failure".to_owned();
                }
                failure
            }
        };
        if exit == Exit::Unreachable {
            failure.hint("Start one: vm0 serve, or set VM0_API_URL")
        } else {
            failure
        }
    }
}

/// The next command to type, by the code and the field of an API error; the message is looked at
/// only for the name of a missing value.
fn hints_of(code: &str, param: Option<&str>, message: &str) -> Vec<String> {
    if let ("invalid_parameter", Some(name)) = (code, missing_value(message)) {
        match param {
            Some("secrets") => return vec![format!("Or store it: vm0 secret set {name}")],
            Some("variables") => {
                return vec![format!("Or store it: vm0 variable set {name} VALUE")];
            }
            _ => {}
        }
    }
    let hint = match (code, param) {
        ("invalid_api_key", _) => "Sign in: vm0 auth login",
        ("resource_not_found", Some("agent" | "agent_id")) => "Create it: vm0 compose vm0.yaml",
        ("resource_not_found", Some("agent_version")) => "See: vm0 agent status NAME",
        ("resource_not_found", Some("session_id" | "checkpoint_id")) => "See: vm0 run list --all",
        ("agent_has_active_runs", _) => "See: vm0 run list, and end them: vm0 run kill RUN",
        ("session_busy" | "concurrent_run_limit_exceeded", _) => "See: vm0 run list",
        ("version_conflict", _) => "Get it first: vm0 artifact pull",
        ("invalid_parameter", Some(param)) if param.starts_with("volumes.") => {
            "Push it: vm0 volume push"
        }
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

/// The first name in `Missing required secrets: A, B. Use …`.
fn missing_value(message: &str) -> Option<&str> {
    let (start, names) = message.split_once(": ")?;
    let name = names.split([',', '.']).next()?;
    (start.starts_with("Missing required ") && is_stored_name(name)).then_some(name)
}

/// Writing to stdout failed: quietly if the reader has gone, as an error otherwise.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let mut failure = Self::new(Exit::Failed, "output", format!("Failed to write: {error}"));
        failure.broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, code: &str, param: Option<&str>) -> Failure {
        Failure::from(ClientError::Api {
            status,
            kind: "not_found_error".into(),
            code: code.into(),
            message: "No such agent: 'demo'".into(),
            param: param.map(Into::into),
        })
    }

    #[test]
    fn the_exit_code_follows_the_status() {
        for (status, code) in [
            (400, 1),
            (401, 3),
            (404, 4),
            (409, 1),
            (413, 1),
            (429, 1),
            (500, 1),
        ] {
            assert_eq!(api(status, "x", None).exit().code(), code, "{status}");
        }
        for status in [502, 503, 504] {
            assert_eq!(api(status, "x", None).exit(), Exit::Unreachable);
        }
    }

    #[test]
    fn a_missing_value_can_be_stored() {
        let hint = |param, message| hints_of("invalid_parameter", Some(param), message).join("");
        let message = "Missing required secrets: A_KEY, B. Use '--secrets A_KEY=<value>'.";
        assert_eq!(
            hint("secrets", message),
            "Or store it: vm0 secret set A_KEY"
        );
        let message = "Missing required variables: B. Use '--vars B=<value>'.";
        assert_eq!(
            hint("variables", message),
            "Or store it: vm0 variable set B VALUE"
        );
        let lower = "Missing required secrets: key. Use '--secrets key=<value>'.";
        assert_eq!(hint("secrets", lower), "", "it cannot be stored");
        assert_eq!(hint("variables", "The expanded environment: too large"), "");
    }

    #[test]
    fn an_error_in_json_has_the_documented_keys() {
        let failure = api(404, "resource_not_found", Some("agent"));
        assert_eq!(
            failure.to_json().to_string(),
            concat!(
                r#"{"error":{"type":"not_found_error","code":"resource_not_found","#,
                r#""message":"No such agent: 'demo'","param":"agent","#,
                r#""hint":"Create it: vm0 compose vm0.yaml","exit_code":4}}"#
            )
        );
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.broken_pipe);
    }
}
