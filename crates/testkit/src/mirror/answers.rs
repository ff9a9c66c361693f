//! The ways in which a request is given back, each named by the first segment of its path.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::Value;

use super::request::MirroredRequest;

/// What is done for an answer, in order.
#[derive(Debug)]
pub(super) enum Step {
    Send(Vec<u8>),
    Flush,
    /// Reads once; what comes counts as the body of another request.
    Listen,
    Close,
}

/// The answer to `request`.
pub(super) fn to(request: &MirroredRequest) -> Vec<Step> {
    let path = request.path();
    let way = path.trim_start_matches('/').split(['/', '?']).next();
    let way = way.unwrap_or_default();
    let echo = &request.head;
    if let Some(body) = encoded(way, echo) {
        return whole("", b"", &body);
    }
    match way {
        "headers" => whole("", &as_headers(request), b"ok"),
        "reason" => vec![
            send("HTTP/1.1 200 "),
            Step::Send(credentials(request)),
            send("\r\nContent-Length: 2\r\n\r\nok"),
        ],
        "early" => early(request),
        "trailers" => trailers(request),
        "error" => whole("500 Failed", b"", echo),
        "gzip" => whole("", b"Content-Encoding: gzip\r\n", &gzip(echo)),
        "deflate" => whole("", b"Content-Encoding: deflate\r\n", &zlib(echo)),
        "gzip-transfer" => {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
            vec![send(head), chunk(&gzip(echo)), chunk(b""), Step::Close]
        }
        "range" => range(request),
        "redirect" => redirect(request, &path),
        "sse" => {
            let kind = b"Content-Type: text/event-stream\r\nConnection: close\r\n\r\n";
            let text = String::from_utf8_lossy(echo);
            let events = text.lines().map(|line| format!("data: {line}\n\n"));
            in_pieces(kind, events.collect::<String>().as_bytes())
        }
        "chunks" => {
            let mut steps = vec![send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            )];
            for piece in pieces(echo) {
                steps.extend([chunk(piece), Step::Flush]);
            }
            steps.push(chunk(b""));
            steps
        }
        "until-close" => in_pieces(b"Connection: close\r\n\r\n", echo),
        "excess" => excess(request),
        "conflict" => {
            let framing = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
                echo.len()
            );
            vec![send(&framing), Step::Send(echo.clone()), Step::Close]
        }
        "lengths" => {
            let framing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 900\r\n\r\n";
            vec![send(framing), Step::Send(echo.clone()), Step::Close]
        }
        "fold" => {
            let folded = [b"X-Echo: a\r\n ".as_slice(), &credentials(request), b"\r\n"].concat();
            whole("", &folded, b"ok")
        }
        "garbage" => vec![Step::Send(echo.clone()), Step::Close],
        "switch" => websocket(request),
        _ => whole("", b"", echo),
    }
}

/// What an encoder makes of the request, if `way` names one.
fn encoded(way: &str, echo: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(echo);
    let json = Value::from(text.as_ref()).to_string();
    Some(match way {
        "json" => json.into_bytes(),
        "json-ascii" => ascii_json(&text).into_bytes(),
        "json-slashes" => json.replace('/', "\\/").into_bytes(),
        "json-html" => {
            let safe = json.replace('&', "\\u0026").replace('<', "\\u003c");
            safe.replace('>', "\\u003e").into_bytes()
        }
        "html" => html(&text).into_bytes(),
        "latin1" => {
            let wrong: String = echo.iter().map(|byte| char::from(*byte)).collect();
            wrong.into_bytes()
        }
        "url" => percent_encoded(echo),
        "base64" => STANDARD.encode(echo).into_bytes(),
        "base64url" => URL_SAFE_NO_PAD.encode(echo).into_bytes(),
        _ => return None,
    })
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// An answer of known length.
fn whole(status: &str, headers: &[u8], body: &[u8]) -> Vec<Step> {
    let status = if status.is_empty() { "200 OK" } else { status };
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    let head = format!("HTTP/1.1 {status}\r\n");
    vec![
        send(&head),
        Step::Send(headers.to_vec()),
        send(&length),
        Step::Send(body.to_vec()),
    ]
}

fn in_pieces(headers: &[u8], body: &[u8]) -> Vec<Step> {
    let mut steps = vec![send("HTTP/1.1 200 OK\r\n"), Step::Send(headers.to_vec())];
    for piece in pieces(body) {
        steps.extend([Step::Send(piece.to_vec()), Step::Flush]);
    }
    steps.push(Step::Close);
    steps
}

/// Single bytes, or a thousand pieces if there are more of them.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(bytes.len().div_ceil(1000).max(1))
}

/// The values of all headers but those that frame the message.
fn values(request: &MirroredRequest) -> impl Iterator<Item = Vec<u8>> {
    let headers = request.headers();
    headers
        .filter(|(name, _)| !name.eq_ignore_ascii_case("host"))
        .map(|(_, value)| value)
}

fn credentials(request: &MirroredRequest) -> Vec<u8> {
    values(request).collect::<Vec<_>>().join(b"; ".as_slice())
}

fn as_headers(request: &MirroredRequest) -> Vec<u8> {
    let mut headers = Vec::new();
    for (number, value) in values(request).enumerate() {
        headers.extend_from_slice(format!("X-Echo-{number}: ").as_bytes());
        headers.extend_from_slice(&value);
        headers.extend_from_slice(b"\r\n");
    }
    headers.extend_from_slice(format!("X-Path: {}\r\n", request.path()).as_bytes());
    headers
}

fn early(request: &MirroredRequest) -> Vec<Step> {
    let mut steps = vec![send("HTTP/1.1 103 Early Hints\r\nLink: <")];
    steps.push(Step::Send(credentials(request)));
    steps.push(send(">\r\n\r\n"));
    steps.extend(whole("", b"", &request.head));
    steps
}

fn trailers(request: &MirroredRequest) -> Vec<Step> {
    let trailers = as_headers(request);
    vec![
        send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Echo-0\r\n\r\n"),
        chunk(&request.head),
        send("0\r\n"),
        Step::Send(trailers),
        send("\r\n"),
    ]
}

fn chunk(bytes: &[u8]) -> Step {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    Step::Send(chunk)
}

/// The part that was asked for; all if none was.
fn range(request: &MirroredRequest) -> Vec<Step> {
    let asked = request.header("range").unwrap_or_default();
    let asked = String::from_utf8_lossy(&asked).into_owned();
    let bounds = asked.strip_prefix("bytes=").and_then(|range| {
        let (first, last) = range.split_once('-')?;
        Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
    });
    match bounds {
        Some((first, last)) if first <= last && first < request.head.len() => {
            let part = &request.head[first..request.head.len().min(last + 1)];
            let headers = format!("Content-Range: bytes {first}-{last}/*\r\n");
            whole("206 Partial Content", headers.as_bytes(), part)
        }
        _ => whole("", b"", &request.head),
    }
}

/// `/redirect/CODE?to=URL`: there, with the credentials.
fn redirect(request: &MirroredRequest, path: &str) -> Vec<Step> {
    let code = path.split(['/', '?']).nth(2).unwrap_or("302");
    let to = request.parameter("to").unwrap_or_default();
    let leak = percent_encoded(&credentials(request));
    let leak = String::from_utf8_lossy(&leak).into_owned();
    let location = format!("Location: {to}?leak={leak}\r\n");
    whole(&format!("{code} Moved"), location.as_bytes(), &request.head)
}

/// An answer, and behind it one that nobody asked for.
fn excess(request: &MirroredRequest) -> Vec<Step> {
    let mut steps = whole("", b"", b"ok");
    steps.extend(whole("", b"", &request.head));
    steps.push(Step::Close);
    steps
}

/// Switches to WebSocket, says the head of its handshake, compressed if it may, and listens.
fn websocket(request: &MirroredRequest) -> Vec<Step> {
    let compressed = request.header("sec-websocket-extensions").is_some();
    let extensions = if compressed {
        "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    } else {
        ""
    };
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         {extensions}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
    let payload = if compressed {
        deflate(&request.head)
    } else {
        request.head.clone()
    };
    let first = if compressed { 0xc1 } else { 0x81 };
    let length = u16::try_from(payload.len()).expect("heads are short");
    let mut frame = vec![first, 126];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&payload);
    vec![send(&head), Step::Send(frame), Step::Listen, Step::Close]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn percent_encoded(bytes: &[u8]) -> Vec<u8> {
    let encode = |byte: &u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => vec![*byte],
        other => format!("%{other:02X}").into_bytes(),
    };
    bytes.iter().flat_map(encode).collect()
}

fn ascii_json(text: &str) -> String {
    let json = Value::from(text).to_string();
    let escape = |character: char| match character {
        ascii if ascii.is_ascii() => ascii.to_string(),
        other => format!("\\u{:04x}", u32::from(other)),
    };
    json.chars().map(escape).collect()
}

fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let text = text.replace('>', "&gt;").replace('"', "&quot;");
    text.replace('\'', "&#x27;")
}
