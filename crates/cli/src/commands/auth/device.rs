//! Waiting until somebody approves on a page of the server (RFC 8628, 3.3–3.5).

use std::time::{Duration, Instant};

use secrecy::SecretString;
use vm0_client::{ClientError, DeviceClient, ServerUrl};
use vm0_model::wire::auth::{DeviceCode, DeviceFault};

use crate::error::Failure;
use crate::events::one_line;
use crate::exit::Exit;
use crate::output::{Output, detail};

/// What a poll that came too soon adds to the interval (RFC 8628, 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// The interval is never longer, whatever the server says and however long it is away.
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// A server that says less is not polled more often.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// A code is not waited for longer, whatever the server says.
const VALID_MAX: Duration = Duration::from_secs(24 * 3600);
const AGAIN: &str = "Try again: vm0 auth login";

/// Shows a code and waits for its token.
pub(super) async fn token(output: &Output, server: &ServerUrl) -> Result<SecretString, Failure> {
    let client = DeviceClient::new(server.clone())?;
    let code = client.device_create().await?;
    let valid = Duration::from_secs(code.expires_in).min(VALID_MAX);
    show(output, server, &code, valid);
    wait(&client, &code, valid).await
}

/// To stderr, whatever was said of notes: without it nothing can be done.
fn show(output: &Output, server: &ServerUrl, code: &DeviceCode, valid: Duration) {
    let path = one_line(&code.verification_path);
    output.error_line("Open this page and enter the code:");
    output.error_line(&detail("Link", format_args!("{server}{path}")));
    output.error_line(&detail("Code", one_line(&code.user_code)));
    output.error_line(&detail("Valid for", minutes(valid)));
}

fn minutes(span: Duration) -> String {
    let minutes = span.as_secs().div_ceil(60);
    let plural = if minutes == 1 { "" } else { "s" };
    format!("{minutes} minute{plural}")
}

async fn wait(
    client: &DeviceClient,
    code: &DeviceCode,
    valid: Duration,
) -> Result<SecretString, Failure> {
    let end = Instant::now() + valid;
    let mut interval = Duration::from_secs(code.interval).clamp(INTERVAL_MIN, INTERVAL_MAX);
    while Instant::now() < end {
        tokio::time::sleep(interval).await;
        match client.device_redeem(&code.device_code).await {
            Ok(Ok(token)) => return Ok(token.access_token.into()),
            Ok(Err(DeviceFault::AuthorizationPending)) => {}
            Ok(Err(DeviceFault::SlowDown)) => interval = (interval + SLOWER).min(INTERVAL_MAX),
            Ok(Err(DeviceFault::AccessDenied)) => {
                let denied = Failure::new(Exit::Failed, "access_denied", "The sign-in was denied");
                return Err(denied.hint(AGAIN));
            }
            Ok(Err(DeviceFault::ExpiredToken)) => break,
            Err(error) if is_passing(&error) => interval = (interval * 2).min(INTERVAL_MAX),
            Err(error) => return Err(error.into()),
        }
    }
    let expired = Failure::new(Exit::Failed, "expired_token", "The code has expired");
    Err(expired.hint(AGAIN))
}

/// A server that starts again is waited for.
fn is_passing(error: &ClientError) -> bool {
    error.is_transient()
}
