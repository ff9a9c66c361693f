//! `vm0 doctor` (CLI 2.4): what this machine can do, and how to get the rest.

mod check;
mod client;
mod command;
mod data;
mod host;
mod images;
mod sandbox;

pub(crate) use command::{DoctorArgs, execute};
