//! Bodies on their way through the broker.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use vm0_model::limits;

use crate::broker::{Broker, FrameError, Frames, Masker, Scanner, Stray};

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
    masker: Option<Patient>,
    broker: Arc<Broker>,
    trailers: Option<HeaderMap>,
}

/// The server's side of a connection that became something else, without the values of secrets
/// in what it says.
pub(crate) struct MaskedStream<S> {
    inner: S,
    masker: Option<Patient>,
    ready: Bytes,
}

/// A masker that does not wait for more than [`limits::GATEWAY_SILENCE`].
struct Patient {
    masker: Masker,
    /// Runs while nothing comes and something is held that need not be.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(masker: Masker) -> Self {
        Self {
            masker,
            silence: None,
        }
    }

    fn push(&mut self, piece: Bytes) -> Bytes {
        self.silence = None;
        self.masker.push(piece)
    }

    /// What is given because nothing comes.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if self.masker.is_settled() {
            return Poll::Pending;
        }
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limits::GATEWAY_SILENCE)));
        ready!(silence.as_mut().poll(cx));
        self.silence = None;
        match self.masker.settle() {
            given if given.is_empty() => Poll::Pending,
            given => Poll::Ready(given),
        }
    }
}

/// The client's side of a WebSocket, which breaks off where a placeholder may not be.
pub(crate) struct ScannedFrames<S> {
    inner: S,
    frames: Option<Frames>,
    refused: Option<FrameError>,
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
            masker: broker.masker().map(Patient::new),
            broker: Arc::clone(broker),
            trailers: None,
        }
    }

    fn held(&self) -> usize {
        self.masker
            .as_ref()
            .map_or(0, |patient| patient.masker.held())
    }

    /// What is left when the inner body has nothing more.
    fn rest(&mut self) -> Option<Frame<Bytes>> {
        let masker = self.masker.as_mut().map(|patient| &mut patient.masker);
        let rest = masker
            .map(|masker| masker.push_last(Bytes::new()))
            .unwrap_or_default();
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
        let this = &mut *self;
        loop {
            let Poll::Ready(polled) = Pin::new(&mut this.inner).poll_frame(cx) else {
                let Some(masker) = &mut this.masker else {
                    return Poll::Pending;
                };
                let given = ready!(masker.poll_silence(cx));
                return Poll::Ready(Some(Ok(Frame::data(given))));
            };
            let frame = match polled {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(this.rest().map(Ok)),
            };
            match frame.into_data() {
                Ok(data) => {
                    let Some(masker) = &mut this.masker else {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    };
                    let decided = match this.inner.is_end_stream() {
                        true => masker.masker.push_last(data),
                        false => masker.push(data),
                    };
                    if !decided.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(decided))));
                    }
                }
                Err(frame) => {
                    if let Ok(mut trailers) = frame.into_trailers() {
                        this.broker.mask_headers(&mut trailers);
                        this.trailers = Some(trailers);
                        return Poll::Ready(this.rest().map(Ok));
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
            masker: broker.masker().map(Patient::new),
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
            let Poll::Ready(read) = Pin::new(&mut this.inner).poll_read(cx, &mut piece) else {
                this.ready = ready!(masker.poll_silence(cx));
                break;
            };
            read?;
            let filled = piece.filled();
            if filled.is_empty() {
                this.ready = masker.masker.push_last(Bytes::new());
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

impl<S> ScannedFrames<S> {
    /// Without `frames` everything passes.
    pub(crate) fn new(inner: S, frames: Option<Frames>) -> Self {
        Self {
            inner,
            frames,
            refused: None,
        }
    }

    /// Why it broke off, if it did.
    pub(crate) fn refused(&self) -> Option<FrameError> {
        self.refused
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ScannedFrames<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        if let Some(frames) = &mut this.frames
            && let Err(refused) = frames.push(&buf.filled()[before..])
        {
            buf.set_filled(before);
            this.refused = Some(refused);
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ScannedFrames<S> {
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::BodyExt;
    use http_body_util::channel::{Channel, Sender};
    use vm0_model::broker::{Binding, Place, Transport};

    use super::*;
    use crate::broker::BrokeredSecret;

    type Answer = Masked<Channel<Bytes, Infallible>>;

    fn answer() -> (Sender<Bytes, Infallible>, Answer) {
        let binding = Binding {
            host: "a.example".to_owned(),
            port: 443,
            transport: Transport::Tls,
            place: Place::Bearer,
        };
        let placeholder = "vm0_enc_00112233445566778899aabbccddeeff";
        let secret = BrokeredSecret::new(
            "KEY".to_owned(),
            "real-value".into(),
            placeholder,
            [binding],
        );
        let broker = Arc::new(Broker::new(vec![secret.unwrap()], Vec::new()));
        let (sender, body) = Channel::new(8);
        (sender, Masked::new(body, &broker))
    }

    /// What the body gives without anything else happening.
    fn now(body: &mut Answer) -> Option<Bytes> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match Pin::new(body).poll_frame(&mut cx) {
            Poll::Ready(Some(frame)) => Some(frame.unwrap().into_data().unwrap()),
            Poll::Ready(None) => panic!("the body has ended"),
            Poll::Pending => None,
        }
    }

    /// There is no timer to wait for outside a runtime.
    #[test]
    fn lines_and_the_end_of_a_body_wait_for_nothing() {
        let (mut sender, mut body) = answer();
        for event in ["data: one\n\n", "{\"a\": 1}\n", "data: real-value\n\n"] {
            sender.try_send(Frame::data(event.into())).unwrap();
            let given = now(&mut body).unwrap();
            assert_eq!(given, event.replace("real-value", "**********"));
            assert_eq!(now(&mut body), None);
        }
        sender.try_send(Frame::data("the end".into())).unwrap();
        drop(sender);
        assert_eq!(now(&mut body).unwrap(), "the end");
    }

    #[tokio::test]
    async fn a_line_that_does_not_end_is_given_in_silence() {
        let (mut sender, mut body) = answer();
        sender.send_data("Password: ".into()).await.unwrap();
        assert_eq!(now(&mut body), None);
        let given = body.frame().await.unwrap().unwrap();
        assert_eq!(given.into_data().unwrap(), "Password: ");
        sender.send_data("real-v".into()).await.unwrap();
        assert_eq!(now(&mut body), None);
        sender.send_data("alue and".into()).await.unwrap();
        let given = body.frame().await.unwrap().unwrap();
        assert_eq!(given.into_data().unwrap(), "********** and");
    }
}
