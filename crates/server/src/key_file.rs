//! A key file: 64 hex digits, mode 0600.
//!
//! A file that others may read, or that is no key, is refused: the server never runs on a key it
//! did not choose.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// Why the keys could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("read the key file {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Others than the owner may read it.
    #[error(
        "use the key file {}: its mode is {mode:04o}, it must be 0600; run: chmod 600 {}",
        .path.display(), .path.display()
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold a key.
    #[error("use the key file {}: it must hold 64 hex digits", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Secrets are stored, and the key that opens them is not there.
    #[error(
        "find the key file {}: the database holds secrets that only this key opens; \
         put it back from the backup of the data directory",
        .path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Secrets are stored, and this key does not open them.
    #[error(
        "use the key file {}: the secrets in the database were sealed with another key; \
         put that one back from the backup of the data directory",
        .path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("get random bytes")]
    Random(#[source] getrandom::Error),
}

/// The key in this file, made if there is no file.
pub(crate) fn read_or_create(path: &Path) -> Result<[u8; KEY_BYTES], KeyError> {
    match read(path)? {
        Some(key) => Ok(key),
        None => create(path),
    }
}

/// The key in this file; `None` if there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<[u8; KEY_BYTES]>, KeyError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(path)(error)),
    };
    let mode = file.metadata().map_err(io(path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Mode {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(io(path))?;
    let mut key = [0; KEY_BYTES];
    match hex::decode_to_slice(text.trim_end(), &mut key) {
        Ok(()) => Ok(Some(key)),
        Err(_) => Err(KeyError::Malformed {
            path: path.to_owned(),
        }),
    }
}

/// Makes a key file whole or not at all: written beside its place, then linked there, so that of
/// two processes starting at once both use the key of the first. The file is on the disk before
/// anything is sealed with its key.
fn create(path: &Path) -> Result<[u8; KEY_BYTES], KeyError> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(KeyError::Random)?;
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(io(path))?;
    file.write_all(format!("{}\n", hex::encode(key)).as_bytes())
        .map_err(io(path))?;
    file.sync_all().map_err(io(path))?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(io(path))?;
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return read_or_create(path),
        Err(error) => return Err(io(path)(error)),
    }
    // The name of the file, and that of its directory.
    for directory in path.ancestors().skip(1).take(2) {
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(io(path))?;
    }
    Ok(key)
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> KeyError {
    move |source| KeyError::Io {
        path: path.to_owned(),
        source,
    }
}
