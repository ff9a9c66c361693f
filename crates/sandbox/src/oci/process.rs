//! Ends the processes of a sandbox, whoever started them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::layout::Layout;
use crate::error::SandboxError;

const PATIENCE: Duration = Duration::from_secs(10);

/// Kills what is in the sandbox's control groups and waits until it is gone.
pub(crate) fn end_contained(layout: &Layout) -> Result<(), SandboxError> {
    let cgroup = Cgroup::new(&layout.id);
    cgroup.kill(PATIENCE).map_err(SandboxError::io(
        "empty the control group",
        cgroup.oci_path(),
    ))
}

/// Kills the runtime's own processes that an earlier process of ours has left: those whose command
/// line names the sandbox's run directory. A runtime that is just starting another of them is
/// looked at again.
pub(crate) fn end_runtimes(layout: &Layout) {
    let deadline = Instant::now() + PATIENCE;
    let mut quiet = 0;
    while quiet < 2 && Instant::now() < deadline {
        quiet = if end_named(layout) { 0 } else { quiet + 1 };
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One look at all processes; whether there was one to kill.
fn end_named(layout: &Layout) -> bool {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found = false;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if pid != own && names(&line, &layout.run) {
            found |= kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok();
        }
    }
    found
}

/// Whether an argument is a path below `run`, alone or after `--option=`.
fn names(command_line: &[u8], run: &Path) -> bool {
    let run = run.as_os_str().as_bytes();
    command_line.split(|byte| *byte == 0).any(|argument| {
        let value = argument
            .iter()
            .position(|byte| *byte == b'=')
            .map_or(argument, |at| {
                if argument.starts_with(b"--") {
                    &argument[at + 1..]
                } else {
                    argument
                }
            });
        value
            .strip_prefix(run)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_of_this_sandbox_are_named_by_its_run_directory() {
        let run = Path::new("/run/vm0/a");
        assert!(names(b"runsc\0--root\0/run/vm0/a/runtime\0run", run));
        assert!(names(
            b"runsc-sandbox\0--root=/run/vm0/a/runtime\0boot",
            run
        ));
        assert!(!names(b"runsc\0--root=/run/vm0/ab/runtime", run));
        assert!(!names(b"vim\0x=/run/vm0/a/runtime", run));
    }
}
