//! The agent of one run: its framework with what the run adds to it.

use std::collections::BTreeMap;

use uuid::Uuid;
use vm0_model::config::AgentConfig;
use vm0_model::framework::{AgentResult, ResultReader, history_patterns, relocate_history};
use vm0_model::wire::runner::Conversation;
use vm0_sandbox::{GuestFile, Resources};

/// The agent of one run.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) config: AgentConfig,
    pub(crate) resources: Resources,
    /// The image, as messages name it.
    pub(crate) image: String,
    /// The program that is started.
    pub(crate) program: String,
    /// The conversation that is resumed, if its history is there.
    pub(crate) resumed: Option<Conversation>,
}

impl Agent {
    /// A reader of its events.
    pub(crate) fn results(&self) -> ResultReader<'static> {
        let total = self
            .resumed
            .as_ref()
            .and_then(|conversation| conversation.token_total);
        ResultReader::new(self.config.framework).resuming(total)
    }

    /// The framework's id of its conversation.
    pub(crate) fn session_id(&self, result: &AgentResult) -> String {
        let own = result.session_id.clone();
        let resumed = || Some(self.resumed.as_ref()?.agent_session_id.clone());
        own.or_else(resumed)
            .unwrap_or_else(|| Uuid::now_v7().to_string())
    }

    /// Patterns below HOME of the files that its conversation is in.
    pub(crate) fn history_patterns(&self, session_id: &str) -> Vec<String> {
        if let Some(custom) = &self.config.custom {
            let below = |path: &String| [path.clone(), format!("{path}/**/*")];
            return custom.history.iter().flat_map(below).collect();
        }
        history_patterns(
            self.config.framework,
            session_id,
            self.config.working_dir.as_str(),
        )
    }

    /// The error of a run whose program is not there.
    pub(crate) fn missing_program(&self) -> String {
        let Self { program, image, .. } = self;
        let fix = match self.config.framework.is_custom() {
            true => "put it into an image and name that in `image`".to_owned(),
            false => format!("run: vm0 image build {}", self.config.framework.name),
        };
        format!("[prepare] program '{program}' is not in image '{image}'; {fix}")
    }
}

/// The files of a saved conversation at their places for the present working directory.
pub(crate) fn relocated(config: &AgentConfig, from: &str, files: Vec<GuestFile>) -> Vec<GuestFile> {
    let to = config.working_dir.as_str();
    let moved = files.into_iter().map(|file| GuestFile {
        path: relocate_history(config.framework, &file.path, from, to),
        bytes: file.bytes,
    });
    moved.collect()
}

/// What the sandbox may use.
pub(crate) fn resources(config: &AgentConfig) -> Resources {
    const MIB: u64 = 1 << 20;
    let wanted = config.resources;
    Resources {
        cpu_millis: wanted.cpu_millis,
        memory_bytes: u64::from(wanted.memory_mb) * MIB,
        disk_bytes: u64::from(wanted.disk_mb) * MIB,
        pids: wanted.pids,
    }
}

/// Settings files of the framework that the agent's environment asks for.
pub(crate) fn settings(config: &AgentConfig, env: &BTreeMap<String, String>) -> Vec<GuestFile> {
    let wanted = config.framework.files.iter().filter(|file| {
        file.env
            .as_ref()
            .is_none_or(|name| env.get(name).is_some_and(|value| !value.is_empty()))
    });
    let files = wanted.map(|file| GuestFile {
        path: file.path.clone(),
        bytes: file.content.clone().into_bytes(),
    });
    files.collect()
}
