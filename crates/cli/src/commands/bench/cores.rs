//! Which cores do what: the server has one of its own, the load the others.

use std::io;

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of this process, divided between a server and its load.
#[derive(Debug)]
pub(super) struct Cores {
    all: CpuSet,
    server: CpuSet,
    load: CpuSet,
}

impl Cores {
    /// The first core for the server, the others for the load; `None` if there is only one.
    pub(super) fn divide() -> io::Result<Option<Self>> {
        let all = sched_getaffinity(None)?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|&core| all.is_set(core));
        let (Some(first), rest) = (usable.next(), usable.collect::<Vec<_>>()) else {
            return Ok(None);
        };
        if rest.is_empty() {
            return Ok(None);
        }
        let (mut server, mut load) = (CpuSet::new(), CpuSet::new());
        server.set(first);
        for core in rest {
            load.set(core);
        }
        Ok(Some(Self { all, server, load }))
    }

    /// Starts something on the server's core: a child inherits what the calling thread has.
    pub(super) fn on_server<T>(&self, start: impl FnOnce() -> T) -> io::Result<T> {
        sched_setaffinity(None, &self.server)?;
        let started = start();
        sched_setaffinity(None, &self.all)?;
        Ok(started)
    }

    /// Keeps all threads of this process off the server's core.
    pub(super) fn keep_off(&self) -> io::Result<()> {
        self.set_own(&self.load)
    }

    fn set_own(&self, cores: &CpuSet) -> io::Result<()> {
        for entry in std::fs::read_dir("/proc/self/task")? {
            let thread = entry?.file_name();
            let thread = thread.to_str().and_then(|text| text.parse().ok());
            if let Some(thread) = thread.and_then(Pid::from_raw) {
                match sched_setaffinity(Some(thread), cores) {
                    // It has ended meanwhile.
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        // Threads that cannot be moved back stay where they are.
        let _ = self.set_own(&self.all);
    }
}
