//! A client of an event stream that only counts.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::events::Sent;

/// A stream that stands still for this long is given up; what is missing counts as lost.
const SILENCE: Duration = Duration::from_secs(10);
const BUFFER_BYTES: usize = 16 << 10;

/// An open event stream.
#[derive(Debug)]
pub(super) struct Watcher {
    stream: TcpStream,
}

/// What a watcher has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// From sending to here, of each event in milliseconds.
    pub(super) ways_ms: Vec<f64>,
    /// Events that did not come.
    pub(super) lost: u64,
    /// Events that came before.
    pub(super) repeated: u64,
}

impl Seen {
    /// Whether each event came once.
    pub(super) fn is_exact(&self) -> bool {
        self.lost == 0 && self.repeated == 0
    }

    fn event(&mut self, seq: u64, next: &mut u64, sent: &Sent) {
        if seq < *next {
            self.repeated += 1;
            return;
        }
        self.lost += seq - *next;
        *next = seq + 1;
        let moment = usize::try_from(seq - 1)
            .ok()
            .and_then(|at| sent.get(at)?.get());
        if let Some(moment) = moment {
            self.ways_ms.push(moment.elapsed().as_secs_f64() * 1e3);
        }
    }
}

impl Watcher {
    /// Connects and asks.
    pub(super) async fn open(address: &str, request: &[u8]) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(request).await?;
        Ok(Self { stream })
    }

    /// Reads until all events of `sent` have come, or the stream ends or stands still.
    pub(super) async fn watch(mut self, sent: Sent) -> io::Result<Seen> {
        let count = sent.len() as u64;
        let mut seen = Seen::default();
        let mut next = 1;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut lines = Lines::default();
        while next <= count {
            let read = tokio::time::timeout(SILENCE, self.stream.read(&mut buffer)).await;
            let read = read.unwrap_or(Ok(0))?;
            if read == 0 {
                break;
            }
            lines.push(&buffer[..read]);
            while let Some(line) = lines.take() {
                if let Some(seq) = line.strip_prefix("id: ").and_then(|text| text.parse().ok()) {
                    seen.event(seq, &mut next, &sent);
                }
            }
        }
        seen.lost += (count + 1).saturating_sub(next);
        Ok(seen)
    }
}

/// Lines of a stream, whose pieces end anywhere. The lengths of chunks between them are lines too,
/// of no interest.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
    complete: VecDeque<String>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(part);
            if let Some(line) = self.partial.strip_suffix(b"\n") {
                if line.starts_with(b"id: ") {
                    self.complete
                        .push_back(String::from_utf8_lossy(line).into_owned());
                }
                self.partial.clear();
            }
        }
    }

    fn take(&mut self) -> Option<String> {
        self.complete.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use super::*;

    #[test]
    fn what_is_missing_is_lost_and_what_comes_again_is_repeated() {
        let sent: Sent = Arc::new((0..5).map(|_| OnceLock::new()).collect());
        let (mut seen, mut next) = (Seen::default(), 1);
        for seq in [1, 2, 2, 5] {
            seen.event(seq, &mut next, &sent);
        }
        assert_eq!((seen.lost, seen.repeated, next), (2, 1, 6));
        assert!(!seen.is_exact());
    }

    #[test]
    fn ids_are_found_across_pieces_and_chunks() {
        let mut lines = Lines::default();
        for piece in [
            "1a\r\nid: 1\nev",
            "ent: output\ndata: {}\n\nid",
            ": 23\n\r\n0\r\n",
        ] {
            lines.push(piece.as_bytes());
        }
        let all: Vec<_> = std::iter::from_fn(|| lines.take()).collect();
        assert_eq!(all, ["id: 1", "id: 23"]);
    }
}
