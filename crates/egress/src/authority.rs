//! The certificate authority of one run: made in memory, trusted in its sandbox only, gone with it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;

use crate::host::Host;

/// The protocols spoken with the sandbox, the preferred one first.
pub(crate) const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Certificates kept for the next connection; beyond it they are made anew.
const LEAVES_MAX: usize = 512;
/// Clocks differ.
const SKEW: Duration = Duration::from_secs(24 * 3600);
/// Longer than the longest run.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// A certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The certificate itself.
    #[error("make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// What is made of it.
    #[error("use a certificate")]
    Tls(#[from] rustls::Error),
}

/// Signs the certificates that the gateway shows to the sandbox.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// One key for every leaf: whoever has it has this process anyway.
    leaf_key: KeyPair,
    leaves: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl Authority {
    /// A new one, with keys of its own.
    pub(crate) fn new() -> Result<Self, AuthorityError> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "vm0 gateway of this run");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params);
        Ok(Self {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?,
            leaf_key: KeyPair::generate()?,
            leaves: Mutex::default(),
        })
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// What a TLS connection for `host` is accepted with.
    pub(crate) fn server_config(&self, host: &Host) -> Result<Arc<ServerConfig>, AuthorityError> {
        let name = host.to_string();
        if let Some(config) = self.leaves().get(&name) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.issue(host)?);
        let mut leaves = self.leaves();
        if leaves.len() >= LEAVES_MAX {
            leaves.clear();
        }
        leaves.insert(name, Arc::clone(&config));
        Ok(config)
    }

    fn issue(&self, host: &Host) -> Result<ServerConfig, AuthorityError> {
        let mut params = CertificateParams::default();
        let name = match host {
            Host::Domain(name) => SanType::DnsName(name.as_str().try_into()?),
            Host::Address(address) => SanType::IpAddress(*address),
        };
        params.subject_alt_names = vec![name];
        // A common name may have 64 characters, a host 253; clients read the alternative name.
        params
            .distinguished_name
            .push(DnType::CommonName, "vm0 gateway");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params);
        let leaf = params.signed_by(&self.leaf_key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.leaf_key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?;
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn leaves(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<ServerConfig>>> {
        self.leaves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn set_validity(params: &mut CertificateParams) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(SKEW);
    params.not_after = epoch + now + LIFETIME;
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_for_each_host() {
        let authority = Authority::new().unwrap();
        let host = |text| Host::parse(text).unwrap();
        let first = authority.server_config(&host("a.example")).unwrap();
        let again = authority.server_config(&host("a.example")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        for other in ["b.example", "192.0.2.1", "[2001:db8::1]"] {
            authority.server_config(&host(other)).unwrap();
        }
        assert_eq!(authority.leaves().len(), 4);
    }

    #[test]
    fn no_more_certificates_are_kept_than_the_limit() {
        let authority = Authority::new().unwrap();
        for n in 0..=LEAVES_MAX {
            let host = Host::parse(&format!("h{n}.example")).unwrap();
            authority.server_config(&host).unwrap();
        }
        assert_eq!(authority.leaves().len(), 1);
    }

    #[test]
    fn authorities_are_told_apart() {
        let (a, b) = (Authority::new().unwrap(), Authority::new().unwrap());
        assert_ne!(a.pem(), b.pem());
        assert!(!format!("{a:?}").contains("KEY"));
    }
}
