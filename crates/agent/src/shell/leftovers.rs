//! Processes that the script leaves behind: adopted, found and killed.

use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(5);

/// Makes orphans of the script children of this process.
pub(super) fn adopt() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Kills children until there are none; their own children become ours in turn.
pub(super) fn kill_all() {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(nix::sys::wait::WaitStatus::StillAlive) => {
                for child in children() {
                    let _ = kill_one(child);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn kill_one(pid: i32) -> nix::Result<()> {
    kill(Pid::from_raw(pid), Signal::SIGKILL)
}

fn children() -> Vec<i32> {
    let own = std::process::id().to_string();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| parent_of(&stat) == Some(own.as_str()))
        })
        .collect()
}

/// The parent in a `/proc/PID/stat` line; the name before it may contain anything.
fn parent_of(stat: &str) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_hide_the_parent() {
        assert_eq!(parent_of("12 (a) b) S 34 12 12 0"), Some("34"));
        assert_eq!(parent_of("garbage"), None);
    }
}
