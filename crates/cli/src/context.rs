//! What every command needs: the global options and how to talk.

use std::path::PathBuf;

use vm0_client::Client;

use crate::args::GlobalArgs;
use crate::config::{Connection, data_dir};
use crate::error::Failure;
use crate::output::Output;

/// The global options of one invocation.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where text goes.
    pub(crate) output: Output,
    api_url: Option<String>,
    no_color: bool,
    data_dir: Option<PathBuf>,
}

impl Context {
    /// Reads the global options.
    pub(crate) fn new(global: &GlobalArgs) -> Self {
        Self {
            output: Output::new(global.json, global.quiet, global.no_color),
            api_url: global.api_url.clone(),
            no_color: global.no_color,
            data_dir: global.data_dir.clone(),
        }
    }

    /// The global options again, for a command that this one starts.
    pub(crate) fn global_args(&self) -> Vec<String> {
        let flags = [
            ("--json", self.output.is_json()),
            ("--quiet", self.output.is_quiet()),
            ("--no-color", self.no_color),
        ];
        let flags = flags.into_iter().filter(|(_, on)| *on);
        let mut args: Vec<String> = flags.map(|(name, _)| name.to_owned()).collect();
        args.extend(self.api_url.as_ref().map(|url| format!("--api-url={url}")));
        args
    }

    /// The server and the token for it.
    pub(crate) fn connection(&self) -> Result<Connection, Failure> {
        Connection::find(self.api_url.as_deref())
    }

    /// A client of the server.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.connection()?.client(&self.output)
    }

    /// The data directory of commands of the server's side.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, Failure> {
        data_dir(self.data_dir.as_deref())
    }

    /// Prints a failure and gives its exit code.
    pub(crate) fn report(&self, failure: Failure) -> crate::exit::Exit {
        let source = self
            .connection()
            .ok()
            .and_then(|connection| connection.token);
        let failure = match source {
            Some((_, source)) => failure.with_token_source(&source.to_string()),
            None => failure,
        };
        failure.report(&self.output)
    }
}
