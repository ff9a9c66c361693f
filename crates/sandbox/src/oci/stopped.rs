//! A sandbox in which nothing runs any more.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::cgroup::Cgroup;
use super::layout::Layout;
use super::mount;
use super::process;
use super::scratch::ScratchDisk;
use crate::contract::Stopped;
use crate::error::SandboxError;

const PATIENCE: Duration = Duration::from_secs(10);
const LOWER_PRIORITY: i32 = 5;

/// What is left of a sandbox.
pub(crate) struct OciStopped {
    layout: Layout,
}

impl OciStopped {
    /// Of a sandbox whose processes have been ended.
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout }
    }

    /// Of a sandbox that an earlier process has left: ends it, and mounts its disk if it has one.
    pub(crate) fn recover(layout: Layout) -> Result<Self, SandboxError> {
        process::end_runtimes(&layout);
        process::end_contained(&layout)?;
        let (image, scratch) = (layout.scratch_image(), layout.scratch());
        if image.exists() && !mount::is_mounted(&scratch)? {
            std::fs::create_dir_all(&scratch).map_err(SandboxError::io("make", &scratch))?;
            // A crash while the disk was being made leaves nothing worth mounting.
            match ScratchDisk::reopen(&image) {
                Ok(disk) => disk.attach(&scratch)?,
                Err(error) => tracing::warn!(%error, "the scratch disk has no file system"),
            }
        }
        Ok(Self { layout })
    }
}

#[async_trait]
impl Stopped for OciStopped {
    fn layer(&self, target: &str) -> Option<PathBuf> {
        let index = self
            .layout
            .targets
            .iter()
            .position(|known| known == target)?;
        Some(self.layout.upper(index)).filter(|upper| upper.is_dir())
    }

    async fn remove(self: Box<Self>) -> Result<(), SandboxError> {
        behind(move || remove(&self.layout)).await
    }
}

/// Removes everything of a sandbox; its record last, so that a crash in between is found again.
fn remove(layout: &Layout) -> Result<(), SandboxError> {
    mount::unmount_below(&layout.run)?;
    let cgroup = Cgroup::new(&layout.id);
    cgroup
        .remove(PATIENCE)
        .map_err(SandboxError::io("remove", cgroup.oci_path()))?;
    mount::remove_tree(&layout.run)?;
    mount::remove_tree(&layout.dir)
}

/// Runs blocking work that nobody waits for to its end, on a thread that gives way to others.
async fn behind<T, F>(work: F) -> Result<T, SandboxError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, SandboxError> + Send + 'static,
{
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        give_way();
        // A caller that has gone away needs no answer.
        let _ = done.send(work());
    });
    result.await.unwrap_or(Err(SandboxError::Gone))
}

/// Gives this thread a lower priority, so that it does not slow the start of the next sandbox.
pub(crate) fn give_way() {
    // Without it the work is done all the same.
    let _ = rustix::process::setpriority_process(None, LOWER_PRIORITY);
}

/// Runs blocking work to its end even if the caller is cancelled.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, SandboxError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, SandboxError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(SandboxError::Gone),
        },
    }
}
