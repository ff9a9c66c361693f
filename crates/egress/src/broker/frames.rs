//! Looking for placeholders in what a client says through a WebSocket (RFC 6455).

use crate::broker::scan::Scanner;

/// Bytes of the longest head of a frame: two, a length of eight, a key of four.
const HEAD_MAX_BYTES: usize = 14;
/// Bytes of the payload of a control frame (RFC 6455, 5.5).
const CONTROL_MAX_BYTES: u64 = 125;

/// Sees the frames of a client piece by piece, without extensions; keeps no payload.
#[derive(Debug)]
pub(crate) struct Frames {
    /// The messages, whose fragments belong together whatever control frames come between them.
    messages: Scanner,
    controls: Scanner,
    head: Vec<u8>,
    payload: Payload,
}

/// What is left of the payload of a frame.
#[derive(Debug, Default)]
struct Payload {
    left: u64,
    key: [u8; 4],
    /// Where in the key the next byte is.
    turn: usize,
    is_control: bool,
}

/// Why what a client says must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// It has a placeholder that may not be there, of the secret at this position.
    Stray(usize),
    /// It is no frame without extensions.
    Malformed,
}

impl Frames {
    pub(crate) fn new(scanner: Scanner) -> Self {
        Self {
            messages: scanner.clone(),
            controls: scanner,
            head: Vec::with_capacity(HEAD_MAX_BYTES),
            payload: Payload::default(),
        }
    }

    /// Takes the next piece; after an error it must not go on.
    pub(crate) fn push(&mut self, mut piece: &[u8]) -> Result<(), FrameError> {
        while !piece.is_empty() {
            if self.payload.left > 0 {
                let count = usize::try_from(self.payload.left).unwrap_or(usize::MAX);
                let (now, rest) = piece.split_at(count.min(piece.len()));
                self.read(now)?;
                piece = rest;
                continue;
            }
            self.head.push(piece[0]);
            piece = &piece[1..];
            if let Some(payload) = Payload::announced(&self.head)? {
                self.payload = payload;
                self.head.clear();
            }
        }
        Ok(())
    }

    fn read(&mut self, masked: &[u8]) -> Result<(), FrameError> {
        let payload = &mut self.payload;
        let key = payload.key.iter().cycle().skip(payload.turn);
        let plain: Vec<u8> = masked
            .iter()
            .zip(key)
            .map(|(byte, key)| byte ^ key)
            .collect();
        payload.turn = (payload.turn + masked.len()) % payload.key.len();
        payload.left -= masked.len() as u64;
        let scanner = if payload.is_control {
            &mut self.controls
        } else {
            &mut self.messages
        };
        scanner
            .push(&plain)
            .map_or(Ok(()), |secret| Err(FrameError::Stray(secret)))
    }
}

impl Payload {
    /// The payload that follows `head`; none if the head goes on.
    fn announced(head: &[u8]) -> Result<Option<Self>, FrameError> {
        let &[first, second, ref rest @ ..] = head else {
            return Ok(None);
        };
        let (reserved, is_final, opcode) = (first & 0x70, first & 0x80 != 0, first & 0x0f);
        let is_control = opcode & 0x08 != 0;
        let known = matches!(opcode, 0x0..=0x2 | 0x8..=0xa);
        if reserved != 0 || !known || (is_control && !is_final) {
            return Err(FrameError::Malformed);
        }
        let length_bytes = match second & 0x7f {
            127 => 8,
            126 => 2,
            _ => 0,
        };
        let key_bytes = if second & 0x80 == 0 { 0 } else { 4 };
        if rest.len() < length_bytes + key_bytes {
            return Ok(None);
        }
        let (length, key) = rest.split_at(length_bytes);
        let left = match length {
            [] => u64::from(second & 0x7f),
            long => long.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
        };
        if left >> 63 != 0 || (is_control && left > CONTROL_MAX_BYTES) {
            return Err(FrameError::Malformed);
        }
        Ok(Some(Self {
            left,
            // A frame without a key is as if it had zeros for one.
            key: key.try_into().unwrap_or_default(),
            turn: 0,
            is_control,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::broker::placeholders::Placeholders;

    const PLACEHOLDER: &str = "vm0_enc_00112233445566778899aabbccddeeff";
    const CONTINUATION: u8 = 0;
    const TEXT: u8 = 1;
    const BINARY: u8 = 2;
    const PING: u8 = 0x89;

    fn frames() -> Frames {
        let placeholders = Arc::new(Placeholders::new(&[PLACEHOLDER]));
        Frames::new(Scanner::new(placeholders, vec![false]))
    }

    fn frame(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
        let length = payload.len();
        let mut frame = vec![first];
        match length {
            0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
            126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(key);
        let key = key.iter().cycle();
        frame.extend(payload.iter().zip(key).map(|(byte, key)| byte ^ key));
        frame
    }

    /// What becomes of `bytes` in these pieces.
    fn pushed(bytes: &[u8], cuts: &[prop::sample::Index]) -> Result<(), FrameError> {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.extend([0, bytes.len()]);
        ends.sort_unstable();
        let mut frames = frames();
        for pair in ends.windows(2) {
            frames.push(&bytes[pair[0]..pair[1]])?;
        }
        Ok(())
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let cases: [&[u8]; 6] = [
            // Compressed, unknown, a control frame in parts, a long one, one longer than all.
            &[0xc1, 0x80],
            &[0x83, 0x80],
            &[0x09, 0x80],
            &[0x89, 0xfe, 0, 126, 0, 0, 0, 0],
            &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            b"GET / HTTP/1.1\r\n",
        ];
        for bytes in cases {
            assert_eq!(
                frames().push(bytes),
                Err(FrameError::Malformed),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_frame_without_a_key_is_read_and_an_empty_one_is_nothing() {
        let text = [&[0x81, 0, 0x81, 40][..], PLACEHOLDER.as_bytes()].concat();
        assert_eq!(frames().push(&text), Err(FrameError::Stray(0)));
    }

    proptest! {
        #[test]
        fn a_placeholder_is_found_in_any_frames_however_they_are_cut(
            before in "[ -~]{0,200}",
            at in 0..=PLACEHOLDER.len(),
            keys: [[u8; 4]; 3],
            ping in "[ -~]{0,125}",
            binary: bool,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let (first, second) = PLACEHOLDER.split_at(at);
            let begun = format!("{before}{first}");
            let kind = if binary { BINARY } else { TEXT };
            let bytes = [
                frame(kind, begun.as_bytes(), keys[0]),
                frame(PING, ping.as_bytes(), keys[1]),
                frame(CONTINUATION | 0x80, second.as_bytes(), keys[2]),
            ]
            .concat();
            prop_assert_eq!(pushed(&bytes, &cuts), Err(FrameError::Stray(0)));
            let in_ping = frame(PING, PLACEHOLDER.as_bytes(), keys[1]);
            prop_assert_eq!(pushed(&in_ping, &cuts), Err(FrameError::Stray(0)));
        }

        #[test]
        fn other_frames_pass(
            payloads in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<[u8; 4]>()), 0..5),
            long in prop::option::of(65_536usize..70_000),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut bytes: Vec<u8> = payloads
                .iter()
                .flat_map(|(payload, key)| frame(0x80 | BINARY, payload, *key))
                .collect();
            if let Some(long) = long {
                bytes.extend(frame(0x80 | TEXT, &vec![b'a'; long], [1, 2, 3, 4]));
            }
            prop_assert_eq!(pushed(&bytes, &cuts), Ok(()));
        }
    }
}
