//! Authorities that are trusted beside those of this machine.

use std::sync::OnceLock;

use reqwest::Certificate;

use crate::error::ClientError;

static EXTRA: OnceLock<Vec<Certificate>> = OnceLock::new();

/// Trusts the authorities of a text in PEM too, in every client that this process makes from now
/// on. To be called once, before the first client is made.
///
/// # Errors
/// `Setup` if the text has no certificate, or one that is broken.
pub fn trust_also(pem: &[u8]) -> Result<(), ClientError> {
    let setup = |source: Box<dyn std::error::Error + Send + Sync>| ClientError::Setup { source };
    let roots = Certificate::from_pem_bundle(pem).map_err(|error| setup(error.into()))?;
    if roots.is_empty() {
        return Err(setup("there is no certificate in PEM".into()));
    }
    // A second call changes nothing: clients may exist.
    let _ = EXTRA.set(roots);
    Ok(())
}

/// What was trusted also.
pub(crate) fn extra() -> impl Iterator<Item = Certificate> {
    EXTRA.get().into_iter().flatten().cloned()
}
