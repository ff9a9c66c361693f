//! Ctrl-C while something is being done: what was begun is taken back before the command ends.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Failure;
use crate::exit::Exit;

/// Whether Ctrl-C was pressed, as blocking work asks it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether to give up.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Says so.
    pub(crate) fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ctrl-C from now on: it no longer ends the process by itself.
#[derive(Debug)]
pub(crate) struct Interrupt {
    signal: Signal,
    stop: Stop,
}

impl Interrupt {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let signal = signal(SignalKind::interrupt());
        Ok(Self {
            signal: signal.map_err(|error| Failure::of("signals", &error))?,
            stop: Stop::default(),
        })
    }

    /// Waits for `work`, which is dropped on Ctrl-C.
    pub(crate) async fn race<T, E: Into<Failure>>(
        &mut self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.pressed() => Err(interrupted()),
            result = work => result.map_err(Into::into),
        }
    }

    /// The same for a call that changes something: it may have reached the server, and `hint` says
    /// how to see that.
    pub(crate) async fn race_change<T, E: Into<Failure>>(
        &mut self,
        work: impl Future<Output = Result<T, E>>,
        hint: &str,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.pressed() => Err(interrupted().hint(hint)),
            result = work => result.map_err(Into::into),
        }
    }

    /// The next Ctrl-C. Cancel-safe.
    pub(crate) async fn pressed(&mut self) {
        let _always = self.signal.recv().await;
    }

    /// Waits for blocking `work`, also after Ctrl-C, of which it is told: when this returns nothing
    /// of it goes on.
    pub(crate) async fn blocking<T, E>(
        &mut self,
        work: impl FnOnce(&Stop) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        E: Into<Failure> + Send + 'static,
    {
        let stop = self.stop.clone();
        let mut work = tokio::task::spawn_blocking(move || work(&stop));
        let result = tokio::select! {
            result = &mut work => result,
            _ = self.signal.recv() => {
                self.stop.ask();
                work.await
            }
        };
        let result = result.expect("blocking work does not panic");
        if self.stop.is_asked() {
            return Err(interrupted());
        }
        result.map_err(Into::into)
    }
}

/// The end of a command that was interrupted.
pub(crate) fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted", "Interrupted")
}
