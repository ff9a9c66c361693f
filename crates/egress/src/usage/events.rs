//! The framing of server-sent events, without keeping a line.

/// A piece of a stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'b> {
    /// More of the present event's data.
    Data(&'b [u8]),
    /// The present event is complete.
    End,
}

/// Where in a line the stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// So many bytes of the field's name agree with `data`.
    Name(usize),
    /// Behind the colon, where one space may stand.
    Colon,
    Data,
    /// Another field, or a comment.
    Other,
}

/// The lines of a stream that is being read.
#[derive(Debug)]
pub(super) struct EventLines {
    within: Within,
    /// A line feed behind a carriage return belongs to it.
    after_return: bool,
}

const DATA: &[u8] = b"data";

impl EventLines {
    /// At the beginning of a stream.
    pub(super) fn new() -> Self {
        Self {
            within: Within::Name(0),
            after_return: false,
        }
    }

    /// Reads on, and hands out the data of events.
    pub(super) fn feed<'b>(&mut self, mut bytes: &'b [u8], piece: &mut impl FnMut(Piece<'b>)) {
        while let Some((&byte, rest)) = bytes.split_first() {
            let feeds_return = std::mem::take(&mut self.after_return) && byte == b'\n';
            if feeds_return {
                bytes = rest;
                continue;
            }
            bytes = match (self.within, byte) {
                (_, b'\r' | b'\n') => {
                    self.after_return = byte == b'\r';
                    self.line_ends(piece);
                    rest
                }
                (Within::Name(known), _) => {
                    self.within = match DATA.get(known) {
                        Some(&expected) if expected == byte => Within::Name(known + 1),
                        None if byte == b':' => Within::Colon,
                        _ => Within::Other,
                    };
                    rest
                }
                (Within::Colon, b' ') => {
                    self.within = Within::Data;
                    rest
                }
                (Within::Colon | Within::Data | Within::Other, _) => {
                    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
                    let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    if self.within != Within::Other {
                        self.within = Within::Data;
                        piece(Piece::Data(line));
                    }
                    rest
                }
            };
        }
    }

    fn line_ends<'b>(&mut self, piece: &mut impl FnMut(Piece<'b>)) {
        match self.within {
            Within::Name(0) => piece(Piece::End),
            // Two lines of data are two lines of the event.
            Within::Data => piece(Piece::Data(b"\n")),
            Within::Name(_) | Within::Colon | Within::Other => {}
        }
        self.within = Within::Name(0);
    }
}
