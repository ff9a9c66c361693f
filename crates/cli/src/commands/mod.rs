//! One file per command.

pub(crate) mod agent;
pub(crate) mod compose;
pub(crate) mod logs;
pub(crate) mod run;
pub(crate) mod volume;
