//! Keeps moves of processes into control groups from waiting.
//!
//! The kernel lets the first move after a pause wait until every CPU has passed a quiet point (a
//! grace period of RCU, 8 to 16 ms on the machine of the README's figures); one that follows soon
//! does not wait. A runtime makes such moves in the middle of a start. While this lives, moves
//! that change nothing are made all the time, so that the wait is over when the runtime's come.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::cgroup::ROOT;

/// Shorter than a grace period.
const INTERVAL: Duration = Duration::from_millis(4);
/// A runtime that has not moved its processes by now is in no hurry.
const LONGEST: Duration = Duration::from_secs(1);

/// Makes moves until it is dropped.
#[derive(Debug)]
pub(crate) struct Moves {
    /// Closed when it is dropped.
    _alive: Sender<()>,
}

impl Moves {
    /// Begins; without control groups nothing is done.
    pub(crate) fn begin() -> Self {
        let (alive, ended) = mpsc::channel();
        let table = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        if let Some(processes) = own_group(&table) {
            thread::spawn(move || {
                let deadline = Instant::now() + LONGEST;
                while move_nothing(&processes).is_ok()
                    && Instant::now() < deadline
                    && ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout)
                {
                }
            });
        }
        Self { _alive: alive }
    }
}

/// Moves this process to where it is.
fn move_nothing(processes: &Path) -> std::io::Result<()> {
    fs::write(processes, "0")
}

/// The list of processes of a group that this process is in, by `/proc/self/cgroup`: lines of
/// number, controllers and path. Any hierarchy will do.
fn own_group(table: &str) -> Option<PathBuf> {
    table.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let group = Path::new(ROOT)
            .join(controllers.trim_start_matches("name="))
            .join(path.trim_start_matches('/'))
            .join("cgroup.procs");
        group.exists().then_some(group)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_moved_to_where_it_is() {
        let table = || fs::read_to_string("/proc/self/cgroup").unwrap();
        let before = table();
        let group = own_group(&before).expect("control groups on a machine that tests sandboxes");
        move_nothing(&group).unwrap();
        assert_eq!(table(), before);
    }

    #[test]
    fn a_group_that_is_not_mounted_is_none() {
        assert_eq!(own_group(""), None);
        assert_eq!(own_group("no table"), None);
        assert_eq!(own_group("3:none-of-these:/a\n0::/none/of/these\n"), None);
    }
}
