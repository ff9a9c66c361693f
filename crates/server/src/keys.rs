//! The server's keys: one seals the values of waiting runs, one seals stored secrets, one signs
//! object URLs. Each is a file of its own, made on the first start.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use hmac::{Hmac, Mac};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use vm0_model::{RunId, UserId};
use vm0_store::record::SealedSecret;

use crate::key_file::{self, KEY_BYTES, KeyError};

const NONCE_BYTES: usize = 12;
/// The first byte of a sealed secret: how the rest is made.
const SECRET_FORMAT: u8 = 1;

/// Sealed values cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    /// The cipher refused: other key, other owner, or altered bytes.
    #[error("authenticate sealed bytes")]
    Cipher,
    /// The system gives no random bytes.
    #[error("get random bytes")]
    Random(#[source] getrandom::Error),
}

/// All keys.
pub(crate) struct Keys {
    runs: Sealer,
    secrets: Sealer,
    sign: [u8; KEY_BYTES],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// Reads the keys of this directory, making what is missing. `stored` is a sample of the stored
    /// secrets: while there are any, their key is not made anew, and must open at least one.
    pub(crate) fn open(directory: &Path, stored: &[SealedSecret]) -> Result<Self, KeyError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| KeyError::Io {
                path: directory.to_owned(),
                source,
            })?;
        let path = directory.join("secrets.key");
        let secrets = if stored.is_empty() {
            key_file::read_or_create(&path)?
        } else {
            let missing = || KeyError::Missing { path: path.clone() };
            key_file::read(&path)?.ok_or_else(missing)?
        };
        let keys = Self {
            runs: Sealer::new(key_file::read_or_create(&directory.join("seal.key"))?),
            secrets: Sealer::new(secrets),
            sign: key_file::read_or_create(&directory.join("sign.key"))?,
        };
        let opens = |secret: &SealedSecret| {
            let opened = keys.open_secret(secret.user_id, &secret.name, &secret.sealed);
            opened.is_ok()
        };
        if stored.is_empty() || stored.iter().any(opens) {
            Ok(keys)
        } else {
            Err(KeyError::Foreign { path })
        }
    }

    /// Seals bytes so that only [`Keys::open_sealed`] for the same run reads them.
    pub(crate) fn seal(&self, run: RunId, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.runs.seal(&run.to_string(), plain)
    }

    /// The bytes that were sealed for this run.
    pub(crate) fn open_sealed(
        &self,
        run: RunId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.runs.open(&run.to_string(), sealed)
    }

    /// Seals a value so that only [`Keys::open_secret`] for the same user and name reads it.
    pub(crate) fn seal_secret(
        &self,
        user: UserId,
        name: &str,
        value: &SecretString,
    ) -> Result<Vec<u8>, SealError> {
        let value = value.expose_secret().as_bytes();
        let sealed = self.secrets.seal(&secret_owner(user, name), value)?;
        Ok([&[SECRET_FORMAT], sealed.as_slice()].concat())
    }

    /// The value that was sealed for this user and name.
    pub(crate) fn open_secret(
        &self,
        user: UserId,
        name: &str,
        sealed: &[u8],
    ) -> Result<SecretString, SealError> {
        let sealed = sealed.strip_prefix(&[SECRET_FORMAT]);
        let sealed = sealed.ok_or(SealError::Cipher)?;
        let value = self.secrets.open(&secret_owner(user, name), sealed)?;
        let text = std::str::from_utf8(&value).map_err(|_| SealError::Cipher)?;
        Ok(text.into())
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

/// Neither part holds a line break, so no two owners have one text.
fn secret_owner(user: UserId, name: &str) -> String {
    format!("{user}\n{name}")
}

/// Encrypts and authenticates bytes together with whose they are: `nonce ‖ ciphertext ‖ tag`.
struct Sealer(Aes256Gcm);

impl Sealer {
    fn new(key: [u8; KEY_BYTES]) -> Self {
        Self(Aes256Gcm::new(&key.into()))
    }

    fn seal(&self, owner: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(SealError::Random)?;
        let payload = Payload {
            msg: plain,
            aad: owner.as_bytes(),
        };
        let sealed = self
            .0
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| SealError::Cipher)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, owner: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, sealed) = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(SealError::Cipher)?;
        let payload = Payload {
            msg: sealed,
            aad: owner.as_bytes(),
        };
        let opened = self.0.decrypt(&Nonce::from(*nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| SealError::Cipher)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use uuid::Uuid;

    use super::*;

    /// `hunter2` for [`golden_user`] and `API_KEY` under the key of 64 times the digit 4.
    const GOLDEN_SECRET: &str =
        "01000102030405060708090a0ba36d16acdd2e253d78cbc8028dd02badafc2ade89020c8";

    fn run() -> RunId {
        RunId::from_uuid(Uuid::now_v7())
    }

    fn user() -> UserId {
        UserId::from_uuid(Uuid::now_v7())
    }

    fn golden_user() -> UserId {
        "019bc134-7840-7cba-a551-2100f80b56fc".parse().unwrap()
    }

    fn stored(keys: &Keys, user_id: UserId, name: &str) -> SealedSecret {
        SealedSecret {
            user_id,
            name: name.into(),
            sealed: keys.seal_secret(user_id, name, &"value".into()).unwrap(),
        }
    }

    #[test]
    fn values_are_opened_only_for_their_run_and_unaltered() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::open(directory.path(), &[]).unwrap();
        let (this, other) = (run(), run());
        let mut sealed = keys.seal(this, b"secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(*keys.open_sealed(this, &sealed).unwrap(), b"secret");
        assert!(keys.open_sealed(other, &sealed).is_err());
        *sealed.last_mut().unwrap() ^= 1;
        assert!(keys.open_sealed(this, &sealed).is_err());
        assert!(keys.open_sealed(this, b"short").is_err());
    }

    #[test]
    fn a_secret_is_opened_only_for_its_user_and_name_and_unaltered() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::open(directory.path(), &[]).unwrap();
        let (this, other) = (user(), user());
        let sealed = keys.seal_secret(this, "A", &"hunter2".into()).unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        let opened = keys.open_secret(this, "A", &sealed).unwrap();
        assert_eq!(opened.expose_secret(), "hunter2");
        assert!(keys.open_secret(other, "A", &sealed).is_err());
        assert!(keys.open_secret(this, "B", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(keys.open_secret(this, "A", &altered).is_err(), "byte {at}");
            assert!(keys.open_secret(this, "A", &sealed[..at]).is_err(), "cut");
        }
        let again = keys.seal_secret(this, "A", &"hunter2".into()).unwrap();
        assert_ne!(again, sealed, "nothing is sealed twice with one nonce");
    }

    #[test]
    fn a_secret_sealed_by_the_first_release_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        Keys::open(directory.path(), &[]).unwrap();
        fs::write(directory.path().join("secrets.key"), "4".repeat(64)).unwrap();
        let keys = Keys::open(directory.path(), &[]).unwrap();
        let sealed = hex::decode(GOLDEN_SECRET).unwrap();
        let opened = keys.open_secret(golden_user(), "API_KEY", &sealed);
        assert_eq!(opened.unwrap().expose_secret(), "hunter2");
    }

    #[test]
    fn keys_survive_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (run, user) = (run(), user());
        let keys = Keys::open(directory.path(), &[]).unwrap();
        let sealed = keys.seal(run, b"x").unwrap();
        let secret = stored(&keys, user, "A");
        let again = Keys::open(directory.path(), &[secret]).unwrap();
        assert_eq!(*again.open_sealed(run, &sealed).unwrap(), b"x");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_missing_key_is_not_replaced_while_it_is_needed() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::open(directory.path(), &[]).unwrap();
        let secret = stored(&keys, user(), "A");
        let file = directory.path().join("secrets.key");
        let kept = directory.path().join("kept");
        fs::rename(&file, &kept).unwrap();
        let open = || Keys::open(directory.path(), std::slice::from_ref(&secret));
        for _ in 0..2 {
            let error = open().unwrap_err();
            assert!(matches!(error, KeyError::Missing { .. }), "{error}");
            assert!(error.to_string().contains("from the backup"), "{error}");
            assert!(!file.exists());
        }
        fs::rename(&kept, &file).unwrap();
        open().unwrap();
        fs::remove_file(&file).unwrap();
        Keys::open(directory.path(), &[]).unwrap();
        assert!(matches!(open(), Err(KeyError::Foreign { .. })));
    }

    #[test]
    fn one_altered_secret_does_not_make_the_key_a_wrong_one() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::open(directory.path(), &[]).unwrap();
        let mut altered = stored(&keys, user(), "A");
        altered.sealed.truncate(9);
        let whole = stored(&keys, user(), "B");
        Keys::open(directory.path(), &[altered, whole]).unwrap();
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_command_that_fixes_it() {
        let directory = tempfile::tempdir().unwrap();
        Keys::open(directory.path(), &[]).unwrap();
        for name in ["seal.key", "secrets.key", "sign.key"] {
            let file = directory.path().join(name);
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            let error = Keys::open(directory.path(), &[]).unwrap_err();
            assert!(error.to_string().contains("chmod 600"), "{error}");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        Keys::open(directory.path(), &[]).unwrap();
        for name in ["seal.key", "secrets.key", "sign.key"] {
            let file = directory.path().join(name);
            let key = fs::read(&file).unwrap();
            fs::write(&file, "").unwrap();
            let opened = Keys::open(directory.path(), &[]);
            assert!(matches!(opened, Err(KeyError::Malformed { .. })), "{name}");
            fs::write(&file, key).unwrap();
        }
    }

    #[test]
    fn a_signature_holds_for_one_purpose_and_message() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::open(directory.path(), &[]).unwrap();
        let signature = keys.sign("url", b"a");
        assert!(keys.verify("url", b"a", &signature));
        assert!(!keys.verify("url", b"b", &signature));
        assert!(!keys.verify("other", b"a", &signature));
        assert!(!keys.verify("url", b"a", ""));
    }
}
