//! The program inside a sandbox, under several names of one executable:
//!
//! - `agent init CONFIG`: PID 1. Serves the host's channel, starts programs, reaps, accepts proxy
//!   connections, and owns the interface of programs that know no proxy.
//! - `agent shell`: the built-in agent without a model.
//! - `agent put BASE`, `agent get BASE PATTERN…`: files in and out, as the user inside.
//!
//! *Invariant:* knows nothing of ours but `vm0-guest`.

mod files;
mod init;
mod net;
mod shell;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["init", config] => init::run(config).map(|()| ExitCode::SUCCESS),
        ["shell"] => shell::run(),
        ["put", base] => files::put(base).map(|()| ExitCode::SUCCESS),
        ["get", base, patterns @ ..] => files::get(base, patterns).map(|()| ExitCode::SUCCESS),
        _ => Err(std::io::Error::other("usage: agent init|shell|put|get")),
    };
    result.unwrap_or_else(|error| {
        eprintln!("vm0 agent: {error}");
        ExitCode::FAILURE
    })
}
