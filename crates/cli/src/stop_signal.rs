//! SIGTERM and SIGINT, by which an operator stops a service.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Failure;

/// Both signals.
#[derive(Debug)]
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Takes both signals over from their default, which ends the process.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::of("signals", &error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// The next of them. Cancel-safe.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP, by which an operator says that files were replaced.
#[derive(Debug)]
pub(crate) struct HangUp(Option<Signal>);

impl HangUp {
    /// Takes the signal over if it is `wanted`; else it ends the process, as by default.
    pub(crate) fn listen(wanted: bool) -> Result<Self, Failure> {
        let listen = || signal(SignalKind::hangup());
        let signal = wanted.then(listen).transpose();
        signal
            .map(Self)
            .map_err(|error| Failure::of("signals", &error))
    }

    /// The next one. Cancel-safe.
    pub(crate) async fn received(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}
