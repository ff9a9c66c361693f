//! The guest agent's executable, embedded.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::SandboxError;

static AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent"));

/// Writes the agent below `directory`, under a name that changes with its content.
pub(crate) fn extract(directory: &Path) -> Result<PathBuf, SandboxError> {
    let digest = hex::encode(Sha256::digest(AGENT));
    let path = directory.join(format!("agent-{}", &digest[..16]));
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == AGENT.len() as u64) {
        return Ok(path);
    }
    let partial = directory.join(format!(".agent-{}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o555)
            .open(&partial)?;
        file.write_all(AGENT)?;
        drop(file);
        fs::rename(&partial, &path)
    };
    write().map_err(SandboxError::io("write", &path))?;
    Ok(path)
}
