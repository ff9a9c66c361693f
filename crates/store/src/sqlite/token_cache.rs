//! Tokens found lately: a request need not ask the database who calls.
//!
//! Whatever writes a token in this process calls [`TokenCache::forget`] once that is durable, so a
//! deletion counts at once. A write of another process (the command line beside a running server)
//! counts after [`LIFETIME`]. Whether a token has expired is for the caller to compare.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::record::TokenRecord;

/// A token is believed for this long.
const LIFETIME: Duration = Duration::from_secs(1);
/// Tokens kept; one more drops them all.
const TOKENS_MAX: usize = 4096;

/// The tokens, by hash.
#[derive(Debug, Default)]
pub(super) struct TokenCache(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    /// How often tokens were forgotten.
    generation: u64,
    tokens: HashMap<String, (Instant, TokenRecord)>,
}

/// The state of the cache before the database was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Generation(u64);

impl TokenCache {
    /// The token with this hash, or what [`TokenCache::put`] needs once it was looked up.
    pub(super) fn get(&self, hash: &str) -> Result<TokenRecord, Generation> {
        let found = self.found();
        match found.tokens.get(hash) {
            Some((at, token)) if at.elapsed() < LIFETIME => Ok(token.clone()),
            _ => Err(Generation(found.generation)),
        }
    }

    /// Keeps a token, unless one was written since the database was asked.
    pub(super) fn put(&self, asked: Generation, token: &TokenRecord) {
        let mut found = self.found();
        if found.generation != asked.0 {
            return;
        }
        if found.tokens.len() >= TOKENS_MAX {
            found.tokens.clear();
        }
        let entry = (Instant::now(), token.clone());
        found.tokens.insert(token.hash.clone(), entry);
    }

    /// A token was written.
    pub(super) fn forget(&self) {
        let mut found = self.found();
        found.generation += 1;
        found.tokens.clear();
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use vm0_model::{Timestamp, TokenId};

    use super::*;
    use crate::record::TokenOwner;

    fn token(hash: &str) -> TokenRecord {
        TokenRecord {
            id: TokenId::from_uuid(Uuid::nil()),
            owner: TokenOwner::Runner("r".to_owned()),
            name: "n".to_owned(),
            hash: hash.to_owned(),
            prefix: "p".to_owned(),
            expires_at: None,
            last_used_at: None,
            created_at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn a_token_is_found_until_any_is_written() {
        let cache = TokenCache::default();
        let asked = cache.get("a").unwrap_err();
        cache.put(asked, &token("a"));
        assert_eq!(cache.get("a").unwrap(), token("a"));
        assert!(cache.get("b").is_err());
        cache.forget();
        assert!(cache.get("a").is_err());
    }

    #[test]
    fn what_was_read_before_a_write_is_not_kept_after_it() {
        let cache = TokenCache::default();
        let asked = cache.get("a").unwrap_err();
        cache.forget();
        cache.put(asked, &token("a"));
        assert!(cache.get("a").is_err());
    }

    #[test]
    fn the_cache_is_bounded() {
        let cache = TokenCache::default();
        for n in 0..=TOKENS_MAX {
            let hash = n.to_string();
            let asked = cache.get(&hash).unwrap_err();
            cache.put(asked, &token(&hash));
        }
        assert_eq!(cache.found().tokens.len(), 1);
    }
}
