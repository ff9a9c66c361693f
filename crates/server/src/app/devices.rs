//! Programs that ask to sign in: the device authorization grant (CLI 9, RFC 8628).

use std::net::IpAddr;
use std::time::Duration;

use vm0_model::bearer::BearerSecret;
use vm0_model::device::DeviceView;
use vm0_model::token::{TokenKind, TokenSecret};
use vm0_model::user_code::UserCode;
use vm0_model::wire::auth::{DeviceCode, DeviceFault, DeviceToken};
use vm0_model::{Timestamp, TokenId, limits};
use vm0_store::record::{
    DeviceCreateOutcome, DeviceDecideOutcome, DeviceDecision, DeviceRecord, DeviceRedeem,
    DeviceRedeemOutcome, DeviceTokenRecord, NewDevice,
};

use super::auth_limit::Client;
use super::context::App;
use super::error::AppError;
use super::page_sessions::PageCaller;
use super::tokens::expiry;
use crate::clock;

/// Where a user enters the code, below the server's address.
const VERIFICATION_PATH: &str = "/device";
/// Label of the token that a program gets.
const TOKEN_NAME: &str = "vm0 auth login";
/// Codes that are made until one is free. With 20⁸ of them the first one is.
const CODES: u32 = 4;
const USER_CODE: &str = "user code";

/// Where a program's request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceOrigin {
    /// What the program says it is.
    pub(crate) client: Option<String>,
    /// The other end of the connection.
    pub(crate) peer: IpAddr,
    /// Whether that is a proxy, and the program somewhere behind it.
    pub(crate) forwarded: bool,
}

/// A program that asks, as the user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceAsk {
    pub(crate) code: UserCode,
    pub(crate) client: Option<String>,
    pub(crate) address: Option<String>,
    /// How long it waits already.
    pub(crate) waited: Duration,
}

/// What a user finds under a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeviceFound {
    /// No program has the code.
    Unknown,
    /// A program waits.
    Open(DeviceAsk),
    /// It was decided already.
    Decided,
    /// It has waited too long.
    Expired,
}

impl App {
    /// Lets a program ask.
    pub(crate) async fn device_create(
        &self,
        origin: &DeviceOrigin,
    ) -> Result<DeviceCode, AppError> {
        let now = clock::now();
        self.device_starts.take(origin.peer.into(), now)?;
        for _ in 0..CODES {
            let Some(code) = UserCode::from_bytes(rand::random()) else {
                continue;
            };
            let secret = BearerSecret::from_bytes(rand::random());
            let device = self.new_device(origin, &secret, &code, now);
            match self.store.device_create(device).await? {
                DeviceCreateOutcome::Created => {
                    return Ok(answer(&secret, &code, self.settings.device_code_ttl));
                }
                DeviceCreateOutcome::CodeTaken => {}
                DeviceCreateOutcome::TooMany => break,
            }
        }
        Err(AppError::TooMany {
            retry_after: limits::DEVICE_STARTS_WINDOW,
        })
    }

    fn new_device(
        &self,
        origin: &DeviceOrigin,
        secret: &BearerSecret,
        code: &UserCode,
        now: Timestamp,
    ) -> NewDevice {
        let address = (!origin.forwarded).then(|| origin.peer.to_canonical().to_string());
        NewDevice {
            hash: secret.hash(),
            user_code_hash: self.user_code_hash(code),
            client: origin.client.clone(),
            address,
            expires_at: clock::after(now, self.settings.device_code_ttl),
            now,
            waiting_max: limits::DEVICE_CODES_MAX,
        }
    }

    /// A user code is too short for a hash without a key.
    fn user_code_hash(&self, code: &UserCode) -> String {
        self.keys.sign(USER_CODE, code.letters().as_bytes())
    }

    /// What a poll gets: the token, once, or why not.
    pub(crate) async fn device_redeem(
        &self,
        device_code: &str,
        client: &Client,
    ) -> Result<Result<DeviceToken, DeviceFault>, AppError> {
        let Ok(code) = device_code.parse::<BearerSecret>() else {
            return Ok(Err(DeviceFault::ExpiredToken));
        };
        let now = clock::now();
        let days = limits::TOKEN_EXPIRES_DEFAULT_DAYS;
        let secret = TokenSecret::from_bytes(TokenKind::Live, rand::random());
        let token = DeviceTokenRecord {
            id: clock::fresh(TokenId::from_uuid),
            name: TOKEN_NAME.to_owned(),
            hash: secret.hash().to_string(),
            prefix: secret.shown_prefix(),
            expires_at: expiry(now, days),
        };
        let hash = code.hash();
        let redeem = DeviceRedeem { hash, token, now };
        Ok(
            match self.acting_device(client).device_redeem(redeem).await? {
                DeviceRedeemOutcome::Pending => Err(DeviceFault::AuthorizationPending),
                DeviceRedeemOutcome::SlowDown => Err(DeviceFault::SlowDown),
                DeviceRedeemOutcome::Denied => Err(DeviceFault::AccessDenied),
                DeviceRedeemOutcome::Expired => Err(DeviceFault::ExpiredToken),
                DeviceRedeemOutcome::Granted(user) => {
                    tracing::info!(user = user.name, "a program has signed in");
                    Ok(DeviceToken {
                        access_token: secret.expose().to_owned(),
                        token_type: "Bearer".to_owned(),
                        expires_in: u64::from(days) * 24 * 3600,
                    })
                }
            },
        )
    }

    /// What a user finds under the code that was typed.
    pub(crate) async fn device_view(
        &self,
        caller: &PageCaller,
        typed: &str,
    ) -> Result<DeviceFound, AppError> {
        let now = clock::now();
        self.code_tries.take(caller.user.id, now)?;
        let Ok(code) = typed.parse::<UserCode>() else {
            return Ok(DeviceFound::Unknown);
        };
        let found = self.store.device_view(&self.user_code_hash(&code)).await?;
        let Some(device) = found else {
            return Ok(DeviceFound::Unknown);
        };
        self.code_tries.give_back(&caller.user.id);
        let view = device.grant.view(now);
        Ok(found_of(view, ask(code, device, now)))
    }

    /// Approves or denies what waits under the code. `Open` is what was decided now.
    pub(crate) async fn device_decide(
        &self,
        caller: &PageCaller,
        typed: &str,
        approved: bool,
    ) -> Result<DeviceFound, AppError> {
        let found = self.device_view(caller, typed).await?;
        let DeviceFound::Open(ask) = found else {
            return Ok(found);
        };
        let decision = DeviceDecision {
            user_code_hash: self.user_code_hash(&ask.code),
            user: caller.user.id,
            approved,
            now: clock::now(),
        };
        Ok(
            match self.acting_on_page(caller).device_decide(decision).await? {
                DeviceDecideOutcome::Unknown => DeviceFound::Unknown,
                DeviceDecideOutcome::Known(view) => found_of(view, ask),
            },
        )
    }
}

fn answer(secret: &BearerSecret, code: &UserCode, valid: Duration) -> DeviceCode {
    DeviceCode {
        device_code: secret.expose().to_owned(),
        user_code: code.to_string(),
        verification_path: VERIFICATION_PATH.to_owned(),
        expires_in: valid.as_secs(),
        interval: limits::DEVICE_POLL_INTERVAL.as_secs(),
    }
}

fn ask(code: UserCode, device: DeviceRecord, now: Timestamp) -> DeviceAsk {
    let waited = now.millis_since(device.created_at).max(0).unsigned_abs();
    DeviceAsk {
        code,
        client: device.client,
        address: device.address,
        waited: Duration::from_millis(waited),
    }
}

fn found_of(view: DeviceView, ask: DeviceAsk) -> DeviceFound {
    match view {
        DeviceView::Open => DeviceFound::Open(ask),
        DeviceView::Decided => DeviceFound::Decided,
        DeviceView::Expired => DeviceFound::Expired,
    }
}
