//! What goes to the command: what is typed or piped in, and signals.

use std::io::{self, Read};
use std::thread;

use bytes::Bytes;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use vm0_client::ExecSender;
use vm0_model::wire::exec::{ExecControl, ExecSignal, StdinControl};

use super::terminal;
use crate::error::Failure;

const PIECE_BYTES: usize = 32 * 1024;
/// After so many Ctrl-C in a row the command is left to itself.
const PATIENCE: u32 = 3;

/// Pieces of stdin. A thread of its own reads them, which may be in the middle of a read when the
/// program ends.
pub(super) fn pieces() -> mpsc::Receiver<Bytes> {
    let (sender, pieces) = mpsc::channel(1);
    thread::spawn(move || {
        let mut buffer = vec![0; PIECE_BYTES];
        let mut stdin = io::stdin().lock();
        while let Ok(read @ 1..) = stdin.read(&mut buffer) {
            let piece = Bytes::copy_from_slice(&buffer[..read]);
            if sender.blocking_send(piece).is_err() {
                return;
            }
        }
    });
    pieces
}

/// Sends what is typed and what is asked, as fast as the other side takes it.
pub(super) async fn send(
    sender: &mut ExecSender,
    mut typed: Option<mpsc::Receiver<Bytes>>,
    mut asked: mpsc::Receiver<ExecControl>,
) {
    let close = ExecControl::Stdin(StdinControl::Close);
    let mut sent = match typed {
        Some(_) => Ok(()),
        None => sender.control(close).await,
    };
    while sent.is_ok() {
        let typing = async {
            match &mut typed {
                Some(pieces) => pieces.recv().await,
                None => std::future::pending().await,
            }
        };
        sent = tokio::select! {
            biased;
            Some(control) = asked.recv() => sender.control(control).await,
            piece = typing => match piece {
                Some(piece) => sender.stdin(piece).await,
                None => {
                    typed = None;
                    sender.control(close).await
                }
            },
        };
    }
    // The receiver of the connection tells why.
    std::future::pending::<()>().await;
}

/// The signals of this process.
pub(super) struct Signals {
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    hangup: Signal,
    resized: Option<Signal>,
}

impl Signals {
    /// Takes them over; changes of the terminal's size only if the command has one.
    pub(super) fn listen(tty: bool) -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::of("signals", &error));
        let resized = tty.then(|| listen(SignalKind::window_change()));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            resized: resized.transpose()?,
        })
    }

    /// Passes signals on to the command until one is for this program itself; its number.
    pub(super) async fn pass_on(&mut self, ask: &mpsc::Sender<ExecControl>) -> ExecSignal {
        let mut interrupts = 0;
        loop {
            let resized = async {
                match &mut self.resized {
                    Some(resized) => resized.recv().await,
                    None => std::future::pending().await,
                }
            };
            let control = tokio::select! {
                _ = self.interrupt.recv() => {
                    interrupts += 1;
                    ExecControl::Signal(ExecSignal::Int)
                }
                _ = self.quit.recv() => ExecControl::Signal(ExecSignal::Quit),
                _ = self.terminate.recv() => return ExecSignal::Term,
                _ = self.hangup.recv() => return ExecSignal::Hup,
                _ = resized => ExecControl::Resize(terminal::size()),
            };
            // One that was asked for before and is not sent yet says that the command takes
            // nothing; a size is sent with the next change.
            let stuck = ask.try_send(control).is_err();
            let is_interrupt = control == ExecControl::Signal(ExecSignal::Int);
            if is_interrupt && (stuck || interrupts >= PATIENCE) {
                return ExecSignal::Int;
            }
        }
    }
}
