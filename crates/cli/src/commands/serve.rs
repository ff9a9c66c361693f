//! `vm0 serve`: server and one runner in one process, which speak HTTP over loopback (CLI 2.1).

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use vm0_client::ServerUrl;
use vm0_model::name::is_user_name;
use vm0_model::token::{TokenKind, TokenSecret};
use vm0_runner::{Runner, RunnerError, RunningRunner};
use vm0_server::{DataDirError, RunningServer, Server, ServerConfig, StartError, TlsFiles};

use super::runner::RunnerOptions;
use crate::config::non_empty;
use crate::context::Context;
use crate::dump::forbid_dumps;
use crate::error::{CommandResult, Failure, chain};
use crate::exit::Exit;
use crate::logging::log_service;
use crate::stop_signal::{HangUp, StopSignal};

/// The name of the built-in runner.
const RUNNER_NAME: &str = "builtin";
/// Files that are open at a time: a connection is one, and one that carries an archive two.
const OPEN_FILES: u64 = 65_536;

/// Options of `vm0 serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm0 serve\n  vm0 serve --listen 127.0.0.1:0 --data-dir /tmp/vm0 --sandbox runc\n  \
                  vm0 serve --no-runner --listen 0.0.0.0:8080 --public-url https://vm0.example.com\n  \
                  vm0 serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem \\\n    --public-url https://vm0.example.com:8443"
)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", value_parser = listen)]
    listen: SocketAddr,
    /// Certificate in PEM, with those that lead to its authority: speak TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Base of links and signed URLs [default: http(s)://HOST:PORT]
    #[arg(long, value_name = "URL")]
    public_url: Option<ServerUrl>,
    /// Server only
    #[arg(long)]
    no_runner: bool,
    /// Pending and running runs per user; 0 means any number
    #[arg(
        long,
        value_name = "N",
        env = "CONCURRENT_RUN_LIMIT",
        default_value_t = 0
    )]
    concurrent_run_limit: u32,
    #[command(flatten)]
    runner: RunnerOptions,
}

/// Reads `HOST:PORT`; a name is resolved.
fn listen(text: &str) -> Result<SocketAddr, String> {
    use std::net::ToSocketAddrs;
    let mut addresses = text.to_socket_addrs().map_err(|error| error.to_string())?;
    addresses
        .next()
        .ok_or_else(|| "the name has no address".to_owned())
}

/// Does it: answers requests and executes runs until a signal comes.
pub(crate) async fn execute(context: &Context, args: ServeArgs) -> CommandResult {
    log_service(args.runner.log_format)?;
    forbid_dumps();
    vm0_runner::give_back_large_buffers();
    raise_open_files();
    let data_dir = context.data_dir()?;
    let mut signal = StopSignal::listen()?;
    let hang_up = HangUp::listen(args.tls_cert.is_some())?;
    let tls = tls_files(&args);
    if !args.listen.ip().is_loopback() && tls.is_none() {
        tracing::warn!(
            "{} is not a loopback address: use --tls-cert, or put TLS in front of it",
            args.listen.ip()
        );
    }
    let token = fresh_runner_token()?;
    let config = ServerConfig {
        tls,
        first_user_name: first_user_name(),
        public_url: args.public_url.as_ref().map(ToString::to_string),
        concurrent_run_limit: args.concurrent_run_limit,
        builtin_runner_token: (!args.no_runner).then(|| token.clone()),
        ..ServerConfig::new(data_dir.clone(), args.listen)
    };
    let server = Server::start(config)
        .await
        .map_err(|error| start_failure(&error))?;
    let drain = args.runner.drain();
    let mut runner = match args.no_runner {
        true => None,
        false => Some(start_runner(&args.runner, &server, &token, &data_dir).await?),
    };
    print_first_link(context, &server).await?;
    context
        .output
        .line(&format!("listening on {}", server.url()))?;
    tokio::select! {
        () = signal.received() => {}
        error = failed(runner.as_mut()) => return Err(runner_failure(&error)),
        never = reload(&server, hang_up) => match never {},
    }
    tokio::select! {
        () = stop(server, runner, drain) => Ok(Exit::Done),
        () = signal.received() => Ok(Exit::Interrupted),
    }
}

fn tls_files(args: &ServeArgs) -> Option<TlsFiles> {
    Some(TlsFiles {
        cert: args.tls_cert.clone()?,
        key: args.tls_key.clone()?,
    })
}

/// Reads the certificate files again whenever the operator says so.
async fn reload(server: &RunningServer, mut hang_up: HangUp) -> Infallible {
    loop {
        hang_up.received().await;
        match server.tls_reload() {
            Ok(true) => tracing::info!("another certificate is in use"),
            Ok(false) => tracing::info!("the certificate files have not changed"),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "a replaced certificate is not used");
            }
        }
    }
}

/// As long as there is no user, the way to become the first one.
async fn print_first_link(context: &Context, server: &RunningServer) -> Result<(), Failure> {
    let link = server.first_link().await;
    if let Some(link) = link.map_err(|error| start_failure(&error))? {
        let output = &context.output;
        output.error_line("First start. Open this link once to sign in as the first user:");
        output.error_line(&format!("  {link}"));
    }
    Ok(())
}

/// The name to propose to the first user: that of who started the server.
fn first_user_name() -> String {
    let names = ["SUDO_USER", "USER", "LOGNAME"];
    let mut names = names.into_iter().filter_map(non_empty);
    names
        .find(|name| is_user_name(name) && name != "root")
        .unwrap_or_else(|| "admin".to_owned())
}

async fn start_runner(
    options: &RunnerOptions,
    server: &RunningServer,
    token: &TokenSecret,
    data_dir: &Path,
) -> Result<RunningRunner, Failure> {
    let url = format!("http://{}", loopback_of(server.runner_address()));
    let url: ServerUrl = url
        .parse()
        .map_err(|error| Failure::of("server_url", &error))?;
    let config = options.config(
        url,
        token.expose().into(),
        RUNNER_NAME.to_owned(),
        data_dir.join("runner"),
    )?;
    let runner = Runner::start(config)
        .await
        .map_err(|error| runner_failure(&error))?;
    tracing::info!(sandbox = runner.sandbox_kind(), "runs are executed here");
    Ok(runner)
}

/// Takes as many open files as this process may have, up to what the server uses.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: Some(limit.maximum.map_or(OPEN_FILES, |max| max.min(OPEN_FILES))),
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, limit = limit.current, "few files can be open at a time");
    }
}

/// Where this process reaches its own server.
fn loopback_of(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn failed(runner: Option<&mut RunningRunner>) -> RunnerError {
    match runner {
        Some(runner) => runner.failed().await,
        None => std::future::pending().await,
    }
}

/// Ends the runs first: their last words still go to the server.
async fn stop(server: RunningServer, runner: Option<RunningRunner>, drain: Duration) {
    tracing::info!("stopping");
    server.stop_accepting();
    if let Some(runner) = runner {
        runner.stop(drain).await;
    }
    server.stop().await;
}

fn fresh_runner_token() -> Result<TokenSecret, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(
            Exit::Failed,
            "random",
            format!("Failed to get random bytes: {error}"),
        )
    })?;
    Ok(TokenSecret::from_bytes(TokenKind::Runner, bytes))
}

fn start_failure(error: &StartError) -> Failure {
    match error {
        StartError::DataDir(in_use @ DataDirError::InUse { .. }) => {
            Failure::new(Exit::Failed, "data_dir_in_use", in_use.to_string())
        }
        StartError::Tls(_) => Failure::of("tls", error)
            .hint("Give a certificate and its key in PEM: --tls-cert FILE --tls-key FILE"),
        StartError::Listen { .. } => {
            Failure::of("listen", error).hint("Take another address: vm0 serve --listen HOST:PORT")
        }
        _ => Failure::of("server_start", error),
    }
}

/// The failure of a runner: a refused token is an exit code of its own.
pub(super) fn runner_failure(error: &RunnerError) -> Failure {
    match error {
        RunnerError::Refused { .. } => {
            Failure::of("runner", error).with_exit(Exit::NotAuthenticated)
        }
        RunnerError::Sandbox(sandbox) => {
            let message = format!("No sandbox: {}", chain(sandbox));
            Failure::new(Exit::Failed, "sandbox", message).hint("See: vm0 doctor")
        }
        _ => Failure::of("runner", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_reaches_its_server_over_loopback() {
        let reached = |text: &str| loopback_of(text.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("127.0.0.1:80"), "127.0.0.1:80");
    }
}
