//! HTTP/2: the request comes back in headers, body and trailers.

use std::convert::Infallible;

use futures::stream;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use super::request::MirroredRequest;
use super::{Seen, note};

const PIECE: usize = 7;

pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    seen: Seen,
) {
    let service = service_fn(move |request| {
        let seen = Seen::clone(&seen);
        async move { Ok::<_, Infallible>(answer(request, &seen).await) }
    });
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ended = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, seen: &Seen) -> Response<BoxBody<Bytes, Infallible>> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut head = format!("{} {path} HTTP/2\r\n", parts.method).into_bytes();
    if let Some(authority) = parts.uri.authority() {
        head.extend_from_slice(format!("host: {authority}\r\n").as_bytes());
    }
    for (name, value) in &parts.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    let collected = body.collect().await.ok();
    let trailers = collected.as_ref().and_then(|body| body.trailers().cloned());
    let mut body = collected.map(|body| body.to_bytes().to_vec());
    if let (Some(body), Some(trailers)) = (&mut body, trailers) {
        body.extend_from_slice(format!("{trailers:?}").as_bytes());
    }
    let body = body.unwrap_or_default();
    note(
        seen,
        MirroredRequest {
            head: head.clone(),
            body,
        },
    );
    let echo = echoed(&parts.headers);
    let pieces: Vec<Bytes> = head.chunks(PIECE).map(Bytes::copy_from_slice).collect();
    let data = pieces.into_iter().map(Frame::data);
    let frames = data.chain([Frame::trailers(echo.clone())]);
    let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
    let mut response = Response::new(BodyExt::boxed(body));
    response.headers_mut().extend(echo);
    response
}

/// The values of headers, under other names.
fn echoed(headers: &HeaderMap) -> HeaderMap {
    let named = |(name, value): (&HeaderName, &HeaderValue)| {
        let name = HeaderName::try_from(format!("x-echo-{name}")).ok()?;
        Some((name, value.clone()))
    };
    headers.iter().filter_map(named).collect()
}
