//! The one crypto provider of the process.

/// Makes ring the process-wide provider of rustls. Without it the first TLS connection of any
/// crate panics. May be called any number of times.
pub fn install_crypto_provider() {
    // An error means that a provider is installed already, which is what was asked for.
    let _already = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_twice_is_harmless() {
        install_crypto_provider();
        install_crypto_provider();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
