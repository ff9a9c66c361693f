//! Signing in on the server's pages: by a one-time link, or by a token.

use vm0_model::bearer::BearerSecret;
use vm0_model::name::is_user_name;
use vm0_model::token::TokenKind;
use vm0_model::{UserId, limits};
use vm0_store::StoreError;
use vm0_store::record::{NewSignInLink, SignInLinkOutcome, SignInLinkUse, TokenOwner, UserRecord};

use super::auth_limit::Client;
use super::context::App;
use super::error::AppError;
use super::page_sessions::{PageCaller, PageSession};
use super::tokens::{parse, refused};
use crate::clock;

/// What a link is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkView {
    /// It makes the first user.
    First {
        /// The name that is proposed.
        name: String,
    },
    /// It signs in this user.
    User(UserRecord),
    /// Nothing.
    Dead(LinkFault),
}

/// Why a link is good for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkFault {
    /// There is none, or no more.
    Unknown,
    /// It was used.
    Used,
    /// It is too old.
    Expired,
    /// It was for the first user, whom there is.
    NotFirst,
}

/// What came of the use of a link.
#[derive(Debug, Clone)]
pub(crate) enum LinkUsed {
    /// The session.
    SignedIn(PageSession),
    /// The name is none of a user.
    BadName,
    /// Nothing.
    Dead(LinkFault),
}

impl App {
    /// The address by which the first user signs in, fresh; none if there is a user.
    pub(crate) async fn first_link_create(&self) -> Result<Option<String>, StoreError> {
        let secret = BearerSecret::from_bytes(rand::random());
        let now = clock::now();
        let link = NewSignInLink {
            hash: secret.hash(),
            user: None,
            expires_at: clock::after(now, limits::FIRST_LINK_TTL),
            now,
            kept: 1,
        };
        let made = self.store.sign_in_link_create(link).await?;
        Ok(made.then(|| self.link_url(&secret)))
    }

    /// The address by which the caller signs in once more, on another device.
    pub(crate) async fn sign_in_link_create(
        &self,
        caller: &PageCaller,
    ) -> Result<String, AppError> {
        let secret = BearerSecret::from_bytes(rand::random());
        let now = clock::now();
        let link = NewSignInLink {
            hash: secret.hash(),
            user: Some(caller.user.id),
            expires_at: clock::after(now, limits::SIGN_IN_LINK_TTL),
            now,
            kept: limits::SIGN_IN_LINKS_MAX,
        };
        self.store.sign_in_link_create(link).await?;
        Ok(self.link_url(&secret))
    }

    fn link_url(&self, secret: &BearerSecret) -> String {
        format!("{}/sign-in/{}", self.settings.public_url, secret.expose())
    }

    /// What a link is good for. To look at it does not use it: programs that preview links do.
    pub(crate) async fn sign_in_link_view(
        &self,
        link: &str,
        client: &Client,
    ) -> Result<LinkView, AppError> {
        self.auth_limit.check(client.network)?;
        let view = self.sign_in_link_find(link).await?;
        if let (LinkView::Dead(LinkFault::Unknown), Some(network)) = (&view, client.network) {
            self.auth_limit.failed(network, clock::now())?;
        }
        Ok(view)
    }

    async fn sign_in_link_find(&self, link: &str) -> Result<LinkView, AppError> {
        let Ok(secret) = link.parse::<BearerSecret>() else {
            return Ok(LinkView::Dead(LinkFault::Unknown));
        };
        let Some(found) = self.store.sign_in_link_view(&secret.hash()).await? else {
            return Ok(LinkView::Dead(LinkFault::Unknown));
        };
        Ok(match found.user {
            _ if found.used => LinkView::Dead(LinkFault::Used),
            _ if found.expires_at <= clock::now() => LinkView::Dead(LinkFault::Expired),
            Some(user) => LinkView::User(user),
            None if self.store.user_any().await? => LinkView::Dead(LinkFault::NotFirst),
            None => LinkView::First {
                name: self.settings.first_user_name.clone(),
            },
        })
    }

    /// Signs in by a link, once; `name` is that of the first user.
    pub(crate) async fn sign_in_link_use(
        &self,
        link: &str,
        name: Option<&str>,
        client: &Client,
    ) -> Result<LinkUsed, AppError> {
        let name_of = match self.sign_in_link_view(link, client).await? {
            LinkView::Dead(fault) => return Ok(LinkUsed::Dead(fault)),
            LinkView::First { .. } => name.unwrap_or_default().to_owned(),
            LinkView::User(user) => user.name,
        };
        let Ok(secret) = link.parse::<BearerSecret>() else {
            return Ok(LinkUsed::Dead(LinkFault::Unknown));
        };
        let now = clock::now();
        let session = PageSession::fresh(now, None);
        let first_user = name
            .filter(|name| is_user_name(name))
            .map(|name| UserRecord {
                id: clock::fresh(UserId::from_uuid),
                name: name.to_owned(),
            });
        let used = SignInLinkUse {
            hash: secret.hash(),
            first_user,
            session_hash: session.secret.hash(),
            session_expires_at: session.expires_at(now),
            sessions_kept: limits::PAGE_SESSIONS_MAX,
            now,
        };
        Ok(
            match self
                .signing_in(&name_of, None, client)
                .sign_in_link_use(used)
                .await?
            {
                SignInLinkOutcome::SignedIn(user) => {
                    tracing::info!(user = user.name, "signed in by a link");
                    LinkUsed::SignedIn(session)
                }
                SignInLinkOutcome::Unnamed => LinkUsed::BadName,
                SignInLinkOutcome::Unknown => LinkUsed::Dead(LinkFault::Unknown),
                SignInLinkOutcome::Used => LinkUsed::Dead(LinkFault::Used),
                SignInLinkOutcome::Expired => LinkUsed::Dead(LinkFault::Expired),
                SignInLinkOutcome::NotFirst => LinkUsed::Dead(LinkFault::NotFirst),
            },
        )
    }

    /// Signs in the user whose token this is.
    pub(crate) async fn sign_in_by_token(
        &self,
        token: &str,
        client: &Client,
    ) -> Result<PageSession, AppError> {
        let proof = async {
            let secret = parse(Some(token.trim()), TokenKind::Live)?;
            let token = self.token_valid(&secret).await?;
            match &token.owner {
                TokenOwner::User(user) => Ok((user.clone(), token)),
                TokenOwner::Runner(_) => Err(refused()),
            }
        };
        let (user, token) = self.auth_limit.judge(client.network, None, proof).await?;
        let now = clock::now();
        let session = PageSession::fresh(now, token.expires_at);
        let store = self.signing_in(&user.name, Some(token.id), client);
        let row = session.row(user.id, Some(token.id), now);
        store.page_session_create(row).await?;
        tracing::info!(user = user.name, "signed in by a token");
        Ok(session)
    }
}
