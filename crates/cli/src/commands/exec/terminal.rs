//! The terminal that the user sits at.

use std::io;

use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr};
use vm0_model::wire::exec::TtySize;

/// The size of a terminal that nobody sees.
const UNSEEN: TtySize = TtySize { rows: 24, cols: 80 };

/// The size of the user's terminal.
pub(super) fn size() -> TtySize {
    let sizes = [
        tcgetwinsize(io::stdout()),
        tcgetwinsize(io::stdin()),
        tcgetwinsize(io::stderr()),
    ];
    let seen = sizes.into_iter().flatten().find_map(seen);
    seen.unwrap_or(UNSEEN)
}

fn seen(size: Winsize) -> Option<TtySize> {
    let has_room = size.ws_row > 0 && size.ws_col > 0;
    has_room.then_some(TtySize {
        rows: size.ws_row,
        cols: size.ws_col,
    })
}

/// The terminal that passes every key on as it is, until this is dropped.
pub(super) struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    pub(super) fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no mode.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
