//! Runs (API 4): creating one is a walk through the checks of API 4.4, each in a file of its own.

mod create;
mod mounts;
mod network;
mod origin;
mod values;
mod view;

pub(crate) use create::RunRequest;
pub(super) use network::change as network_change;
pub(super) use values::SealedValues;
pub(crate) use view::RunListQuery;
pub(super) use view::execution_time_ms;
