//! Ways out of a sandbox, each tried for real: the escape campaign.
//!
//! ```text
//!   probe run        every probe, as whoever calls: what an agent does inside
//!   probe control    every probe where nothing stands in its way: root of the host, in namespaces
//!                    of its own where it would do harm
//!   probe report DIR the table of what the tests wrote, and whether anything got out
//! ```
//!
//! Each probe is a process of its own and ends in one line of JSON: `probe`, `outcome` (`refused`,
//! `succeeded`, `absent`: this kernel does not have it, `broken`: it died), `errno`, `evidence`.

mod cgroups;
mod devices;
mod kernel;
mod mounts;
mod namespaces;
mod outcome;
mod privileges;
mod processes;
mod registry;
mod report;
mod runs;
mod sockets;
mod subsystems;
mod sys;
mod time;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["run"] => runs::all("attempt"),
        ["control"] => runs::all("stage"),
        ["attempt", name] => runs::attempt(name),
        ["stage", name] => runs::stage(name),
        ["init", name] => runs::init(name),
        ["report", directory] => return report::print(std::path::Path::new(directory)),
        _ => {
            eprintln!("usage: probe run | control | report DIR");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("probe: {error}");
            ExitCode::FAILURE
        }
    }
}
