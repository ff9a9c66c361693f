//! What every operation works with.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use vm0_blob::{ArchiveCache, Blobs};
use vm0_model::UserId;
use vm0_model::token::TokenHash;
use vm0_store::Store;

use super::auth_limit::{AuthLimit, ClientNetwork};
use super::execs::Execs;
use super::monitor::ObjectCount;
use super::token_use::TokenUse;
use super::tries::Tries;
use super::wakeups::Wakeups;
use crate::keys::Keys;
use crate::monitor::Meters;

/// How far the server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everything is served.
    Serving,
    /// Runs are wound down: only what runners have claimed already is served.
    Draining,
    /// Nothing is served, open streams end.
    Stopped,
}

/// What the operator decided.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Base of links and signed URLs, without a trailing slash.
    pub(crate) public_url: String,
    /// Scheme, host and port of it.
    pub(crate) public_origin: String,
    /// Whether the server itself speaks TLS.
    pub(crate) has_tls: bool,
    /// The name that is proposed to the first user.
    pub(crate) first_user_name: String,
    /// Pending and running runs per user; 0 means any number.
    pub(crate) concurrent_run_limit: u32,
    /// A runner token that is accepted without being stored.
    pub(crate) builtin_runner_token: Option<TokenHash>,
    /// How long a program may wait for a user's approval.
    pub(crate) device_code_ttl: Duration,
    /// Bytes of one version.
    pub(crate) version_max_bytes: u64,
    /// Entries of one version.
    pub(crate) version_max_entries: usize,
    /// How often garbage is looked for.
    pub(crate) gc_interval: Duration,
    /// How long garbage is kept.
    pub(crate) gc_grace: Duration,
}

/// What every operation works with.
pub(crate) struct Context {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) blobs: Blobs,
    pub(crate) archives: ArchiveCache,
    pub(crate) keys: Keys,
    pub(crate) wakeups: Arc<Wakeups>,
    pub(crate) execs: Arc<Execs>,
    pub(crate) token_use: TokenUse,
    /// Programs that an address lets ask to sign in.
    pub(crate) device_starts: Tries<ClientNetwork>,
    /// Wrong user codes.
    pub(crate) code_tries: Tries<UserId>,
    /// Failed authentications.
    pub(crate) auth_limit: AuthLimit,
    pub(crate) meters: Meters,
    pub(crate) object_count: ObjectCount,
    pub(crate) settings: Settings,
    pub(crate) phase: watch::Sender<Phase>,
}

/// A shared [`Context`]; the operations are its methods.
#[derive(Clone)]
pub(crate) struct App(Arc<Context>);

impl App {
    /// The operations over these parts.
    pub(crate) fn new(context: Context) -> Self {
        Self(Arc::new(context))
    }

    /// How far the server is in its life.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Returns once the server is in this phase or a later one.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut phases = self.phase.subscribe();
        // An error means that the server is gone altogether.
        let _ = phases.wait_for(|now| *now >= phase).await;
    }
}

impl Deref for App {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}
