//! `vm0 volume` and `vm0 artifact`, which are alike (CLI 5).

mod clone;
mod command;
mod delete;
mod directory;
mod fetch;
mod init;
mod list;
mod pull;
mod push;
mod remote;
mod status;
mod upload;
mod versions;

pub(crate) use command::{StorageCommand, execute};
pub(crate) use upload::{PushOutcome, PushRequest, push_tree};
