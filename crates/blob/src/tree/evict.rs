//! Making room.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::cache::TreeCache;
use super::disk::remove_all;
use super::error::TreeError;

impl TreeCache {
    /// Removes trees that nobody holds, the one not used for longest first, until the others have
    /// at most `budget_bytes`, and then the contents that no tree has any more. The number of
    /// trees removed.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written.
    pub async fn evict(&self, budget_bytes: u64) -> Result<usize, TreeError> {
        if self.inner.bytes() <= budget_bytes {
            return Ok(0);
        }
        // No tree is being built meanwhile: a build may count on contents that no tree has yet.
        let alone = self.inner.contents.clone().write_owned().await;
        let inner = self.inner.clone();
        let removed = tokio::task::spawn_blocking(move || {
            let _alone = alone;
            let mut removed = 0;
            while inner.bytes() > budget_bytes {
                let Some(version) = inner.take_oldest() else {
                    break;
                };
                let doomed = inner.disk.temporary();
                match fs::rename(inner.disk.tree(version), &doomed) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                remove_all(&doomed)?;
                remove_all(&inner.disk.size_file(version))?;
                removed += 1;
            }
            if removed > 0 {
                remove_unused_contents(&inner.disk.contents())?;
            }
            Ok(removed)
        });
        Ok(removed.await??)
    }
}

/// Removes the contents that no tree has.
pub(super) fn remove_unused_contents(contents: &Path) -> io::Result<()> {
    for shard in fs::read_dir(contents)? {
        remove_unused(&shard?.path())?;
    }
    Ok(())
}

fn remove_unused(shard: &Path) -> io::Result<()> {
    for content in fs::read_dir(shard)? {
        let content = content?;
        if content.metadata()?.nlink() == 1 {
            fs::remove_file(content.path())?;
        }
    }
    Ok(())
}
