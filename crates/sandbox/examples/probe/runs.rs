//! Runs probes, each in a process of its own.

use std::fs;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libc::c_ulong;

use crate::outcome::{broken, line};
use crate::registry::{Control, all as probes, find};
use crate::sys::call;

/// What a probe may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// The directory that is covered by an empty one for a control in namespaces of its own.
const STAGE: &str = "/mnt";

/// Runs all probes through this subcommand of ours and prints their lines.
pub(crate) fn all(subcommand: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for probe in probes() {
        let line = run(subcommand, probe.name)
            .unwrap_or_else(|error| broken(probe.name, &error.to_string()).to_string());
        writeln!(output, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The line of one probe; an error if it dies, hangs or says nothing.
fn run(subcommand: &str, name: &str) -> io::Result<String> {
    let mut child = Command::new("/proc/self/exe")
        .args([subcommand, name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other("it did not end"));
        }
        std::thread::sleep(LOOK_AGAIN);
    };
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text)?;
    }
    if text.is_empty() {
        return Err(io::Error::other(format!("it said nothing: {status}")));
    }
    Ok(text)
}

/// Runs one probe here and prints its line.
pub(crate) fn attempt(name: &str) -> io::Result<()> {
    let probe = find(name)?;
    println!("{}", line(name, &(probe.attempt)()));
    Ok(())
}

/// Runs the control of one probe.
pub(crate) fn stage(name: &str) -> io::Result<()> {
    if matches!(find(name)?.control, Control::Host) {
        return attempt(name);
    }
    let apart = libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWPID;
    call!(libc::SYS_unshare, apart)?;
    again("init", name)
}

/// PID 1 of a control: puts in place what the probe finds in a sandbox, and stays while it runs.
pub(crate) fn init(name: &str) -> io::Result<()> {
    let none = c"none";
    let private = libc::MS_REC | libc::MS_PRIVATE;
    mount(none, c"/", c"", private)?;
    mount(none, c"/proc", c"proc", 0)?;
    mount(none, c"/mnt", c"tmpfs", 0)?;
    std::env::set_current_dir(STAGE)?;
    if let Control::Prepared(prepare) = find(name)?.control {
        prepare()?;
    }
    again("attempt", name)
}

/// Mounts a file system of this kind without options.
pub(crate) fn mount(
    source: &std::ffi::CStr,
    target: &std::ffi::CStr,
    kind: &std::ffi::CStr,
    flags: c_ulong,
) -> io::Result<()> {
    call!(libc::SYS_mount, source, target, kind, flags, 0).map(drop)
}

fn again(subcommand: &str, name: &str) -> io::Result<()> {
    let status = Command::new("/proc/self/exe")
        .args([subcommand, name])
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{subcommand} {name}: {status}")))
}

/// Writes what a file already holds into it again.
pub(crate) fn rewrite(path: &str) -> io::Result<String> {
    let text = fs::read(path)?;
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(&text)?;
    Ok(format!("wrote {path}"))
}

/// Opens a file for writing, and leaves it as it is.
pub(crate) fn writable(path: &str) -> io::Result<String> {
    fs::OpenOptions::new().write(true).open(path)?;
    Ok(format!("{path} is writable"))
}

/// The first of several attempts that succeeds, else the last error that says more than absence.
pub(crate) fn any(attempts: impl IntoIterator<Item = io::Result<String>>) -> io::Result<String> {
    let mut last = io::Error::from_raw_os_error(libc::ENOENT);
    for attempt in attempts {
        match attempt {
            Ok(evidence) => return Ok(evidence),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => last = error,
        }
    }
    Err(last)
}
