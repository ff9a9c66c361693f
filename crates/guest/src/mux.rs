//! Streams multiplexed over one duplex byte stream, each with its own flow control.
//!
//! A stream buffers at most [`STREAM_WINDOW`] bytes and a connection at most [`MAX_STREAMS`] of
//! them, so a peer that sends without being read blocks itself and never grows the reader.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};
use tokio::io::BufStream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use yamux::{Config, Connection, Mode};

/// Streams open at one time.
pub const MAX_STREAMS: usize = 512;
/// Bytes a stream may hold that its reader has not taken.
pub const STREAM_WINDOW: usize = 256 * 1024;

const REQUESTS: usize = 64;
/// What one frame carries of a stream.
const FRAME_BYTES: usize = 64 * 1024;
/// What is read and written at once: a frame with its header, and small frames together. A system
/// call in gVisor costs as much as copying tens of kilobytes.
const BUFFER_BYTES: usize = 2 * FRAME_BYTES;

/// One stream of a connection.
pub type MuxStream = Compat<yamux::Stream>;

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Outside the sandbox.
    Host,
    /// Inside the sandbox.
    Guest,
}

/// Opens streams. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mux {
    requests: mpsc::Sender<oneshot::Sender<MuxStream>>,
}

/// Streams opened by the peer.
#[derive(Debug)]
pub struct Incoming {
    streams: mpsc::Receiver<MuxStream>,
}

/// The connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use a channel that has ended")]
pub struct Closed;

impl Mux {
    /// Multiplexes `io`. The returned future does all the work and must be polled (spawned) until
    /// it ends, which it does with the connection.
    pub fn new<T>(io: T, side: Side) -> (Self, Incoming, impl Future<Output = ()> + Send + 'static)
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let mut config = Config::default();
        config.set_max_num_streams(MAX_STREAMS);
        config.set_max_connection_receive_window(Some(MAX_STREAMS * STREAM_WINDOW));
        config.set_split_send_size(FRAME_BYTES);
        let mode = match side {
            Side::Host => Mode::Client,
            Side::Guest => Mode::Server,
        };
        let io = BufStream::with_capacity(BUFFER_BYTES, BUFFER_BYTES, io);
        let (requests, wanted) = mpsc::channel(REQUESTS);
        let (arrived, streams) = mpsc::channel(MAX_STREAMS);
        let mut driver = Driver {
            connection: Connection::new(io.compat(), config, mode),
            wanted,
            waiting: None,
            arrived,
            requests_ended: false,
        };
        let run = async move { poll_fn(|cx| driver.poll(cx)).await };
        (Self { requests }, Incoming { streams }, run)
    }

    /// Opens a stream; the peer learns of it with its first byte.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn open(&self) -> Result<MuxStream, Closed> {
        let (reply, stream) = oneshot::channel();
        self.requests.send(reply).await.map_err(|_| Closed)?;
        stream.await.map_err(|_| Closed)
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) {
        self.requests.closed().await;
    }
}

impl Incoming {
    /// The next stream; `None` once the connection has ended.
    pub async fn next(&mut self) -> Option<MuxStream> {
        self.streams.recv().await
    }
}

struct Driver<T> {
    connection: Connection<T>,
    wanted: mpsc::Receiver<oneshot::Sender<MuxStream>>,
    waiting: Option<oneshot::Sender<MuxStream>>,
    arrived: mpsc::Sender<MuxStream>,
    requests_ended: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Driver<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let opened = self.poll_open(cx);
            match self.connection.poll_next_inbound(cx) {
                Poll::Ready(Some(Ok(stream))) => {
                    // A queue that is full drops, that is resets, the stream.
                    let _ = self.arrived.try_send(stream.compat());
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending if opened => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Serves one request to open a stream; whether there may be more.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> bool {
        if self.waiting.is_none() && !self.requests_ended {
            match self.wanted.poll_recv(cx) {
                Poll::Ready(Some(reply)) => self.waiting = Some(reply),
                Poll::Ready(None) => self.requests_ended = true,
                Poll::Pending => {}
            }
        }
        let Some(reply) = self.waiting.take() else {
            return false;
        };
        match self.connection.poll_new_outbound(cx) {
            Poll::Ready(Ok(stream)) => {
                let _ = reply.send(stream.compat());
                true
            }
            Poll::Ready(Err(_)) => false,
            Poll::Pending => {
                self.waiting = Some(reply);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn pair() -> (Mux, Incoming, Mux, Incoming) {
        let (a, b) = tokio::io::duplex(64 * 1024);
        let (host, host_in, host_run) = Mux::new(a, Side::Host);
        let (guest, guest_in, guest_run) = Mux::new(b, Side::Guest);
        tokio::spawn(host_run);
        tokio::spawn(guest_run);
        (host, host_in, guest, guest_in)
    }

    #[tokio::test]
    async fn a_stream_carries_bytes_both_ways_and_half_closes() {
        let (host, _host_in, _guest, mut guest_in) = pair();
        let mut near = host.open().await.unwrap();
        near.write_all(b"ping").await.unwrap();
        near.shutdown().await.unwrap();
        let mut far = guest_in.next().await.unwrap();
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        far.write_all(b"pong").await.unwrap();
        far.shutdown().await.unwrap();
        let mut reply = String::new();
        near.read_to_string(&mut reply).await.unwrap();
        assert_eq!((text.as_str(), reply.as_str()), ("ping", "pong"));
    }

    /// Tells the length of each write.
    struct Writes(mpsc::UnboundedSender<usize>);

    impl tokio::io::AsyncWrite for Writes {
        fn poll_write(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            self.0.send(bytes.len()).unwrap();
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_frame_and_its_header_are_written_at_once() {
        const HEADER_BYTES: usize = 12;
        let (silent, _open) = tokio::io::duplex(1);
        let (told, mut writes) = mpsc::unbounded_channel();
        let io = tokio::io::join(silent, Writes(told));
        let (host, _incoming, run) = Mux::new(io, Side::Host);
        let driver = tokio::spawn(run);
        let mut stream = host.open().await.unwrap();
        stream.write_all(&[0; FRAME_BYTES]).await.unwrap();
        // The first frame asks how long an answer takes and is a header alone.
        assert_eq!(writes.recv().await, Some(HEADER_BYTES));
        assert_eq!(writes.recv().await, Some(HEADER_BYTES + FRAME_BYTES));
        driver.abort();
    }

    #[tokio::test]
    async fn a_stream_that_is_not_read_blocks_its_writer_and_no_other() {
        let (host, _host_in, guest, mut guest_in) = pair();
        let mut stuck = host.open().await.unwrap();
        let chunk = vec![0; STREAM_WINDOW];
        let flood = async {
            loop {
                stuck.write_all(&chunk).await.unwrap();
            }
        };
        let blocked = tokio::time::timeout(std::time::Duration::from_millis(100), flood).await;
        assert!(blocked.is_err());
        let _held = guest_in.next().await.unwrap();
        let mut other = host.open().await.unwrap();
        other.write_all(b"x").await.unwrap();
        let mut far = guest_in.next().await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'x');
        drop(guest);
    }

    #[tokio::test]
    async fn the_end_of_the_connection_ends_everything() {
        let (a, b) = tokio::io::duplex(1024);
        let (host, mut incoming, run) = Mux::new(a, Side::Host);
        let driver = tokio::spawn(run);
        drop(b);
        driver.await.unwrap();
        assert_eq!(host.open().await.unwrap_err(), Closed);
        assert!(incoming.next().await.is_none());
    }
}
