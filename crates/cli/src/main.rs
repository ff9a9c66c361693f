//! `vm0`: server, runner and client of the VM0 API in one program.

mod args;
mod commands;
mod config;
mod config_file;
mod confirm;
mod context;
mod dump;
mod env_file;
mod error;
mod events;
mod exit;
mod files;
mod hidden_input;
mod interrupt;
mod logging;
mod output;
mod progress;
mod start;
mod stop_signal;
mod table;
mod units;
mod values;

fn main() -> std::process::ExitCode {
    start::start().into()
}
