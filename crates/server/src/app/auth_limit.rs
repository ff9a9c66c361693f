//! How often an address may fail to prove who it is.
//!
//! Failures are counted for each address, of IPv6 for each network of 64 bits. An address that has
//! failed too often is answered 429 without a look at what it brings, so that guessing costs the
//! server nothing. What was valid lately is looked at all the same: one broken program behind a
//! shared address does not lock out the others.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use vm0_model::token::TokenHash;
use vm0_model::{ErrorCode, Timestamp, limits};

use super::error::AppError;
use super::tries::Tries;
use crate::clock;

/// Who is at the other end, as far as failures are counted for it: an address, or of IPv6 the
/// network of 64 bits, all of which one caller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientNetwork(IpAddr);

impl From<IpAddr> for ClientNetwork {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// Who asks, before it is known who that is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    /// Whose failures are counted; none of a proxy of this machine.
    pub(crate) network: Option<ClientNetwork>,
    /// The address, for the audit.
    pub(crate) address: Option<String>,
}

/// The failures of addresses, and the tokens that were valid lately.
#[derive(Debug)]
pub(crate) struct AuthLimit {
    failures: Tries<ClientNetwork>,
    valid: Mutex<HashSet<TokenHash>>,
}

impl AuthLimit {
    /// At most so many failures of an address in [`limits::AUTH_FAILURES_WINDOW`].
    pub(crate) fn new(failures_max: u32) -> Self {
        Self {
            failures: Tries::new(failures_max, limits::AUTH_FAILURES_WINDOW),
            valid: Mutex::default(),
        }
    }

    /// Awaits a proof, unless the address has failed too often; counts it if it fails. Nothing is
    /// counted for a caller without an address of its own.
    pub(super) async fn judge<T>(
        &self,
        client: Option<ClientNetwork>,
        token: Option<TokenHash>,
        proof: impl Future<Output = Result<T, AppError>>,
    ) -> Result<T, AppError> {
        if let Some(client) = client
            && !token.is_some_and(|token| self.valid().contains(&token))
        {
            self.failures.check(&client, clock::now())?;
        }
        let proven = proof.await;
        match &proven {
            Ok(_) => token.into_iter().for_each(|token| self.remember(token)),
            Err(error) if is_refusal(error) => {
                // One that was deleted is a guess from now on.
                token.map(|token| self.valid().remove(&token));
                if let Some(client) = client {
                    self.failed(client, clock::now())?;
                }
            }
            Err(_) => {}
        }
        proven
    }

    /// Whether the address may try at all.
    pub(super) fn check(&self, client: Option<ClientNetwork>) -> Result<(), AppError> {
        client.map_or(Ok(()), |client| self.failures.check(&client, clock::now()))
    }

    /// Counts a failure.
    pub(super) fn failed(&self, client: ClientNetwork, now: Timestamp) -> Result<(), AppError> {
        self.failures.take(client, now)
    }

    fn remember(&self, token: TokenHash) {
        let mut valid = self.valid();
        if valid.len() >= limits::AUTH_TOKENS_REMEMBERED && !valid.contains(&token) {
            valid.clear();
        }
        valid.insert(token);
    }

    fn valid(&self) -> MutexGuard<'_, HashSet<TokenHash>> {
        self.valid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_refusal(error: &AppError) -> bool {
    matches!(error, AppError::Api(error) if error.code == ErrorCode::InvalidApiKey)
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use vm0_model::ApiError;
    use vm0_model::token::{TokenKind, TokenSecret};

    use super::*;

    fn client(text: &str) -> Option<ClientNetwork> {
        let address: IpAddr = text.parse().unwrap();
        Some(address.into())
    }

    fn token(n: u8) -> Option<TokenHash> {
        Some(TokenSecret::from_bytes(TokenKind::Live, [n; 32]).hash())
    }

    fn refusal() -> AppError {
        ApiError::new(ErrorCode::InvalidApiKey, "no").into()
    }

    fn too_many<T>(answer: &Result<T, AppError>) -> bool {
        matches!(answer, Err(AppError::TooMany { .. }))
    }

    #[test]
    fn one_caller_is_one_address_or_one_network() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1:2:3"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
    }

    #[tokio::test]
    async fn after_too_many_failures_nothing_is_looked_at_but_what_was_valid_lately() {
        let limit = AuthLimit::new(3);
        let (bad, other) = (client("10.0.0.1"), client("10.0.0.2"));
        let valid = limit.judge(bad, token(1), ready(Ok(()))).await;
        assert!(valid.is_ok());
        for _ in 0..3 {
            let failed = limit
                .judge::<()>(bad, token(2), ready(Err(refusal())))
                .await;
            assert!(!too_many(&failed) && failed.is_err());
        }
        let unlooked = async { panic!("it is looked up") };
        assert!(too_many(&limit.judge::<()>(bad, token(2), unlooked).await));
        assert!(limit.judge(bad, token(1), ready(Ok(()))).await.is_ok());
        assert!(limit.judge(other, token(3), ready(Ok(()))).await.is_ok());
        assert!(limit.judge(None, token(4), ready(Ok(()))).await.is_ok());
    }

    #[tokio::test]
    async fn a_token_that_was_deleted_is_a_guess() {
        let limit = AuthLimit::new(1);
        let from = client("10.0.0.1");
        limit.judge(from, token(1), ready(Ok(()))).await.unwrap();
        let deleted = || limit.judge::<()>(from, token(1), ready(Err(refusal())));
        assert!(!too_many(&deleted().await));
        assert!(too_many(&deleted().await));
    }

    #[tokio::test]
    async fn a_fault_of_the_server_is_no_failure_of_the_caller() {
        let limit = AuthLimit::new(1);
        for _ in 0..3 {
            let fault = ready(Err(AppError::Panicked));
            let answer = limit.judge::<()>(client("10.0.0.1"), token(1), fault).await;
            assert!(!too_many(&answer));
        }
    }

    #[tokio::test]
    async fn so_many_valid_tokens_are_remembered() {
        let limit = AuthLimit::new(1);
        for n in 0..=limits::AUTH_TOKENS_REMEMBERED {
            let bytes = std::array::from_fn(|i| (n >> (8 * (i % 2))) as u8);
            let hash = TokenSecret::from_bytes(TokenKind::Live, bytes).hash();
            limit.judge(None, Some(hash), ready(Ok(()))).await.unwrap();
        }
        assert!(limit.valid().len() <= limits::AUTH_TOKENS_REMEMBERED);
    }
}
