//! `vm0 compose` (CLI 3.3).
//!
//! A `vm0.yaml` is read and checked (`agent_file`), what lies beside it is staged in a temporary
//! directory (`bundle`, `skill_writer`, and for skills of GitHub `github` over `git`), what skills
//! ask for is approved (`needs`), and then the bundle is pushed and the agent posted (`command`).

mod agent_file;
mod bundle;
mod command;
mod fault;
mod git;
mod github;
mod needs;
mod skill_writer;

pub(crate) use agent_file::AgentFile;
pub(crate) use command::{ComposeArgs, ComposeOptions, compose_file, execute};
