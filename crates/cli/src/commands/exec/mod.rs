//! `vm0 exec` (CLI 4.6).

mod command;
mod keyboard;
mod session;
mod terminal;

pub(crate) use command::{ExecArgs, execute};
