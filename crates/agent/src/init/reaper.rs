//! Waits for every child and orphan, and tells who asked how theirs ended.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// The one place that calls `wait`.
#[derive(Clone)]
pub(crate) struct Reaper {
    waiting: Rc<RefCell<HashMap<i32, oneshot::Sender<i32>>>>,
    childless: watch::Receiver<bool>,
}

impl Reaper {
    /// Starts reaping.
    pub(crate) fn start() -> io::Result<Self> {
        let mut children = signal(SignalKind::child())?;
        let (report, childless) = watch::channel(true);
        let reaper = Self {
            waiting: Rc::default(),
            childless,
        };
        let own = reaper.clone();
        tokio::task::spawn_local(async move {
            loop {
                let _ = report.send_replace(own.reap());
                if children.recv().await.is_none() {
                    return;
                }
            }
        });
        Ok(reaper)
    }

    /// The exit code of a child that has just been started: nothing may be awaited between its
    /// start and this call.
    pub(crate) fn expect(&self, pid: i32) -> oneshot::Receiver<i32> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().insert(pid, sender);
        receiver
    }

    /// Kills every process but PID 1 and waits until there is none.
    pub(crate) async fn kill_all(&self) {
        let mut childless = self.childless.clone();
        loop {
            // Every process: inside, PID 1 sees no others than its own.
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(-1),
                nix::sys::signal::Signal::SIGKILL,
            );
            if self.reap() {
                return;
            }
            let again = std::time::Duration::from_millis(10);
            let _ = tokio::time::timeout(again, childless.wait_for(|none| *none)).await;
        }
    }

    /// Takes all that have ended; whether no child is left.
    fn reap(&self) -> bool {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => self.ended(pid.as_raw(), code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    self.ended(pid.as_raw(), 128 + signal as i32);
                }
                Ok(WaitStatus::StillAlive) => return false,
                Err(Errno::ECHILD) => return true,
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn ended(&self, pid: i32, code: i32) {
        if let Some(waiting) = self.waiting.borrow_mut().remove(&pid) {
            let _ = waiting.send(code);
        }
    }
}
