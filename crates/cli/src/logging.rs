//! Logs on stderr.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::config::non_empty;
use crate::error::Failure;

/// The form of a log: for people, or one JSON object a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Logs of `serve` and `runner`, at the level of `VM0_LOG_LEVEL`; without a form, text on a
/// terminal and JSON elsewhere.
pub(crate) fn log_service(format: Option<LogFormat>) -> Result<(), Failure> {
    let level = non_empty("VM0_LOG_LEVEL").unwrap_or_else(|| "info".to_owned());
    if !["error", "warn", "info", "debug"].contains(&level.as_str()) {
        let message = format!("Invalid VM0_LOG_LEVEL '{level}'; allowed: error, warn, info, debug");
        return Err(Failure::usage(message));
    }
    let terminal = io::stderr().is_terminal();
    let others = if level == "error" { "error" } else { "warn" };
    let filter = EnvFilter::new(format!("{others},vm0={level}"));
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    }) {
        LogFormat::Text => logger.with_ansi(terminal).init(),
        LogFormat::Json => logger.json().init(),
    }
    Ok(())
}

/// With `VM0_LOG_LEVEL=debug` each request of a client command is printed.
pub(crate) fn log_requests() {
    if non_empty("VM0_LOG_LEVEL").as_deref() == Some("debug") {
        let logger = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("vm0_client=debug"))
            .with_writer(io::stderr)
            .without_time()
            .with_target(false);
        logger.init();
    }
}
