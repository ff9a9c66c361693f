//! Carries one connection: bytes from a program's packets to a stream and back.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::segment::{Segments, Sending};

/// The program's end of a connection, shared by what carries it and what hands packets over.
#[derive(Clone)]
pub(crate) struct Shared {
    inner: Rc<RefCell<Inner>>,
}

struct Inner {
    segments: Segments,
    /// Of what carries the connection.
    waker: Option<Waker>,
}

impl Shared {
    pub(crate) fn new(segments: Segments) -> Self {
        let inner = Inner {
            segments,
            waker: None,
        };
        Self {
            inner: Rc::new(RefCell::new(inner)),
        }
    }

    /// Takes a packet of this connection.
    pub(crate) fn arrive(&self, packet: &[u8]) {
        let mut inner = self.inner.borrow_mut();
        inner.segments.arrive(packet);
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }

    /// Carries the connection until both ends have ended or one has broken off.
    pub(crate) async fn carry<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        Flow {
            shared: self,
            stream,
            upload: Half::Open,
            download: Half::Open,
            timer: Box::pin(sleep(std::time::Duration::ZERO)),
        }
        .await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Open,
    /// All is read; the end is still to be told.
    Ending,
    Ended,
}

/// The stream broke off.
struct Broken;

struct Flow<S> {
    shared: Shared,
    stream: S,
    /// From the program.
    upload: Half,
    /// To the program.
    download: Half,
    timer: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Flow<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let flow = self.get_mut();
        let shared = flow.shared.clone();
        let mut inner = shared.inner.borrow_mut();
        let segments = &mut inner.segments;
        loop {
            let moved = flow
                .upload(cx, segments)
                .and_then(|up| Ok(flow.download(cx, segments)? || up));
            let Ok(moved) = moved else {
                segments.abort();
                return Poll::Ready(());
            };
            let delay = segments.depart();
            if flow.upload == Half::Ended && segments.is_over() {
                return Poll::Ready(());
            }
            if moved {
                continue;
            }
            if let Some(delay) = delay {
                flow.timer.as_mut().reset(Instant::now() + delay);
                if flow.timer.as_mut().poll(cx).is_ready() {
                    continue;
                }
            }
            inner.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Flow<S> {
    /// Moves what the program sent; whether anything was moved.
    fn upload(&mut self, cx: &mut Context<'_>, segments: &mut Segments) -> Result<bool, Broken> {
        let mut moved = 0;
        if self.upload == Half::Open {
            let mut written = Poll::Pending;
            let sending = segments.take(|bytes| {
                written = Pin::new(&mut self.stream).poll_write(cx, bytes);
                match written {
                    Poll::Ready(Ok(count)) => count,
                    _ => 0,
                }
            });
            match written {
                Poll::Ready(Ok(0) | Err(_)) => return Err(Broken),
                Poll::Ready(Ok(count)) => moved = count,
                Poll::Pending => {}
            }
            match sending {
                Sending::Open => {}
                Sending::Ended => self.upload = Half::Ending,
                Sending::Broken => return Err(Broken),
            }
        }
        match self.end_upload(cx) {
            Poll::Ready(Err(_)) => Err(Broken),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(moved > 0),
        }
    }

    /// Passes on what was written, and the end after it.
    fn end_upload(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.upload {
            Half::Open => Pin::new(&mut self.stream).poll_flush(cx),
            Half::Ending => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                self.upload = Half::Ended;
                Poll::Ready(Ok(()))
            }
            Half::Ended => Poll::Ready(Ok(())),
        }
    }

    /// Moves what is for the program; whether anything was moved.
    fn download(&mut self, cx: &mut Context<'_>, segments: &mut Segments) -> Result<bool, Broken> {
        if self.download != Half::Open {
            if self.download == Half::Ending && segments.finish() {
                self.download = Half::Ended;
            }
            return Ok(false);
        }
        let mut read = Poll::Pending;
        segments.put(|room| {
            let mut room = ReadBuf::new(room);
            read = Pin::new(&mut self.stream)
                .poll_read(cx, &mut room)
                .map_ok(|()| room.filled().len());
            room.filled().len()
        });
        match read {
            Poll::Ready(Ok(0)) => {
                self.download = Half::Ending;
                Ok(true)
            }
            Poll::Ready(Ok(_)) => Ok(true),
            Poll::Ready(Err(_)) => Err(Broken),
            Poll::Pending => Ok(false),
        }
    }
}
