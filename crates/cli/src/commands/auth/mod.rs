//! `vm0 auth` (CLI 3.1).

mod command;
mod device;
mod login;
mod logout;
mod status;

pub(crate) use command::{AuthCommand, execute};
