//! Bodies on their way through the broker.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::broker::{Broker, Masker, Scanner, Stray};

const RELAY_BUFFER_BYTES: usize = 16 * 1024;

/// The body of a request, which breaks off where a placeholder may not be.
pub(crate) struct Scanned<B> {
    inner: B,
    guard: Option<Guard>,
}

struct Guard {
    broker: Arc<Broker>,
    scanner: Scanner,
    /// Where the others learn why it broke off.
    stray: Arc<OnceLock<Stray>>,
}

/// Why a request's body breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScannedError<E> {
    #[error("read the body")]
    Inner(#[source] E),
    #[error("let the {0} pass")]
    Stray(Stray),
}

/// The body of an answer, without the values of secrets.
pub(crate) struct Masked<B> {
    inner: B,
    masker: Option<Masker>,
    broker: Arc<Broker>,
    trailers: Option<HeaderMap>,
}

/// The server's side of a connection that became something else, without the values of secrets
/// in what it says.
pub(crate) struct MaskedStream<S> {
    inner: S,
    masker: Option<Masker>,
    ready: Bytes,
}

impl<B> Scanned<B> {
    /// `scanner` is what the broker gave for this request; `stray` gets what it finds.
    pub(crate) fn new(
        inner: B,
        broker: &Arc<Broker>,
        scanner: Option<Scanner>,
        stray: Arc<OnceLock<Stray>>,
    ) -> Self {
        let guard = scanner.map(|scanner| Guard {
            broker: Arc::clone(broker),
            scanner,
            stray,
        });
        Self { inner, guard }
    }
}

impl Guard {
    fn check(&mut self, frame: &Frame<Bytes>) -> Option<Stray> {
        let found = if let Some(data) = frame.data_ref() {
            self.scanner.push(data)
        } else {
            // Nothing that a request is sent with could use them; they are looked at all the same.
            let trailers = frame.trailers_ref()?;
            let mut values = trailers.values();
            values.find_map(|value| self.scanner.push(value.as_bytes()))
        };
        let stray = self.broker.stray_in_body(found?);
        Some(self.stray.get_or_init(|| stray).clone())
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Scanned<B> {
    type Data = Bytes;
    type Error = ScannedError<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(ScannedError::Inner(error)))),
            None => return Poll::Ready(None),
        };
        let stray = self.guard.as_mut().and_then(|guard| guard.check(&frame));
        Poll::Ready(Some(match stray {
            Some(stray) => Err(ScannedError::Stray(stray)),
            None => Ok(frame),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Masked<B> {
    pub(crate) fn new(inner: B, broker: &Arc<Broker>) -> Self {
        Self {
            inner,
            masker: broker.masker(),
            broker: Arc::clone(broker),
            trailers: None,
        }
    }

    fn held(&self) -> usize {
        self.masker.as_ref().map_or(0, Masker::held)
    }

    /// What is left when the inner body has nothing more.
    fn rest(&mut self) -> Option<Frame<Bytes>> {
        let rest = self.masker.as_mut().map(Masker::finish).unwrap_or_default();
        if rest.is_empty() {
            return self.trailers.take().map(Frame::trailers);
        }
        Some(Frame::data(rest))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Masked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.trailers.is_some() {
            return Poll::Ready(self.rest().map(Ok));
        }
        loop {
            let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(self.rest().map(Ok)),
            };
            match frame.into_data() {
                Ok(data) => {
                    let Some(masker) = &mut self.masker else {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    };
                    let decided = masker.push(data);
                    if !decided.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(decided))));
                    }
                }
                Err(frame) => {
                    if let Ok(mut trailers) = frame.into_trailers() {
                        self.broker.mask_headers(&mut trailers);
                        self.trailers = Some(trailers);
                        return Poll::Ready(self.rest().map(Ok));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held() == 0 && self.trailers.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let held = self.held() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint.set_lower(hint.lower().saturating_add(held));
        hint
    }
}

impl<S> MaskedStream<S> {
    pub(crate) fn new(inner: S, broker: &Broker) -> Self {
        Self {
            inner,
            masker: broker.masker(),
            ready: Bytes::new(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MaskedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(masker) = &mut this.masker else {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        };
        while this.ready.is_empty() {
            let mut space = [0; RELAY_BUFFER_BYTES];
            let mut piece = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut piece))?;
            let filled = piece.filled();
            if filled.is_empty() {
                this.ready = masker.finish();
                break;
            }
            this.ready = masker.push(Bytes::copy_from_slice(filled));
        }
        let count = this.ready.len().min(buf.remaining());
        buf.put_slice(&this.ready[..count]);
        this.ready.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MaskedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
