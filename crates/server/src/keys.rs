//! The server's two keys: one seals the values of waiting runs, one signs object URLs.
//!
//! A key is a file of 64 hex digits, mode 0600, made on the first start. A file that others may
//! read, or that is no key, stops the start: the server never runs on a key it did not choose.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use vm0_model::RunId;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

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
    /// The system gives no random bytes.
    #[error("get random bytes")]
    Random(#[source] getrandom::Error),
}

/// Sealed values cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// The cipher refused: other key, other run, or altered bytes.
    #[error("authenticate sealed bytes")]
    Cipher,
    /// The system gives no random bytes.
    #[error("get random bytes")]
    Random(#[source] getrandom::Error),
}

/// Both keys.
pub(crate) struct Keys {
    seal: Aes256Gcm,
    sign: [u8; KEY_BYTES],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// Reads the keys of this directory, making what is missing.
    pub(crate) fn open(directory: &Path) -> Result<Self, KeyError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| KeyError::Io {
                path: directory.to_owned(),
                source,
            })?;
        let seal = key_file(&directory.join("seal.key"))?;
        let sign = key_file(&directory.join("sign.key"))?;
        Ok(Self {
            seal: Aes256Gcm::new(&seal.into()),
            sign,
        })
    }

    /// Seals bytes so that only [`Keys::open_sealed`] for the same run reads them.
    pub(crate) fn seal(&self, run: RunId, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(SealError::Random)?;
        let aad = run.to_string();
        let payload = Payload {
            msg: plain,
            aad: aad.as_bytes(),
        };
        let sealed = self
            .seal
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| SealError::Cipher)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// The bytes that were sealed for this run.
    pub(crate) fn open_sealed(&self, run: RunId, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, sealed) = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(SealError::Cipher)?;
        let aad = run.to_string();
        let payload = Payload {
            msg: sealed,
            aad: aad.as_bytes(),
        };
        self.seal
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| SealError::Cipher)
    }

    /// The signature of `message` for one purpose, in hex.
    pub(crate) fn sign(&self, purpose: &str, message: &[u8]) -> String {
        let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(&self.sign)
            .expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        mac.update(b"\n");
        mac.update(message);
        hex::encode(mac.finalize().into_bytes())
    }

    /// Whether `signature` is that of `message` for the purpose; takes the same time for any.
    pub(crate) fn verify(&self, purpose: &str, message: &[u8], signature: &str) -> bool {
        let expected = self.sign(purpose, message);
        expected.as_bytes().ct_eq(signature.as_bytes()).into()
    }
}

fn key_file(path: &Path) -> Result<[u8; KEY_BYTES], KeyError> {
    let io = |source| KeyError::Io {
        path: path.to_owned(),
        source,
    };
    match OpenOptions::new().read(true).open(path) {
        Ok(mut file) => {
            let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(KeyError::Mode {
                    path: path.to_owned(),
                    mode,
                });
            }
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(io)?;
            let mut key = [0; KEY_BYTES];
            hex::decode_to_slice(text.trim_end(), &mut key).map_err(|_| KeyError::Malformed {
                path: path.to_owned(),
            })?;
            Ok(key)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => key_create(path),
        Err(error) => Err(io(error)),
    }
}

/// Makes a key file whole or not at all: written beside its place, then linked there, so that of
/// two processes starting at once both use the key of the first.
fn key_create(path: &Path) -> Result<[u8; KEY_BYTES], KeyError> {
    let io = |source| KeyError::Io {
        path: path.to_owned(),
        source,
    };
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(KeyError::Random)?;
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(io)?;
    file.write_all(format!("{}\n", hex::encode(key)).as_bytes())
        .map_err(io)?;
    file.sync_all().map_err(io)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(io)?;
    match linked {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => key_file(path),
        Err(error) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn run() -> RunId {
        RunId::from_uuid(Uuid::now_v7())
    }

    #[test]
    fn values_are_opened_only_for_their_run_and_unaltered() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::open(directory.path()).unwrap();
        let (this, other) = (run(), run());
        let mut sealed = keys.seal(this, b"secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(keys.open_sealed(this, &sealed).unwrap(), b"secret");
        assert!(keys.open_sealed(other, &sealed).is_err());
        *sealed.last_mut().unwrap() ^= 1;
        assert!(keys.open_sealed(this, &sealed).is_err());
        assert!(keys.open_sealed(this, b"short").is_err());
    }

    #[test]
    fn keys_survive_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let run = run();
        let sealed = Keys::open(directory.path())
            .unwrap()
            .seal(run, b"x")
            .unwrap();
        let again = Keys::open(directory.path()).unwrap();
        assert_eq!(again.open_sealed(run, &sealed).unwrap(), b"x");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_command_that_fixes_it() {
        let directory = tempfile::tempdir().unwrap();
        Keys::open(directory.path()).unwrap();
        let file = directory.path().join("seal.key");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Keys::open(directory.path()).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        Keys::open(directory.path()).unwrap();
        fs::write(directory.path().join("sign.key"), "").unwrap();
        assert!(matches!(
            Keys::open(directory.path()),
            Err(KeyError::Malformed { .. })
        ));
    }

    #[test]
    fn a_signature_holds_for_one_purpose_and_message() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::open(directory.path()).unwrap();
        let signature = keys.sign("url", b"a");
        assert!(keys.verify("url", b"a", &signature));
        assert!(!keys.verify("url", b"b", &signature));
        assert!(!keys.verify("other", b"a", &signature));
        assert!(!keys.verify("url", b"a", ""));
    }
}
