//! HTTP/1.1, read more leniently than any server should, so that what gets past a gateway shows.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::answers::{self, Step};
use super::request::MirroredRequest;
use super::{Seen, note};

const LINE_MAX: usize = 256 * 1024;

pub(super) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Seen) {
    let mut stream = BufReader::new(stream);
    // Clients break off at any point.
    while let Ok(Some(request)) = read(&mut stream).await {
        note(seen, request.clone());
        if !matches!(answer(&mut stream, &request, seen).await, Ok(true)) {
            break;
        }
    }
    let _ = stream.shutdown().await;
}

async fn read(
    stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>,
) -> io::Result<Option<MirroredRequest>> {
    let mut request = MirroredRequest::default();
    loop {
        let mut line = Vec::new();
        let count = stream.read_until(b'\n', &mut line).await?;
        if count == 0 || request.head.len() > LINE_MAX {
            return Ok(None);
        }
        if line.trim_ascii().is_empty() {
            break;
        }
        request.head.extend_from_slice(&line);
    }
    let number = |value: Vec<u8>| String::from_utf8(value).ok()?.trim().parse().ok();
    let chunked = request.header("transfer-encoding").is_some();
    if chunked {
        read_chunks(stream, &mut request.body).await?;
    } else if let Some(length) = request.header("content-length").and_then(number) {
        request.body.resize(length, 0);
        stream.read_exact(&mut request.body).await?;
    }
    Ok(Some(request))
}

async fn read_chunks(
    stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>,
    body: &mut Vec<u8>,
) -> io::Result<()> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..]).await?;
        line.clear();
        stream.read_line(&mut line).await?;
        if size == 0 {
            return Ok(());
        }
    }
}

/// Whether the connection goes on.
async fn answer(
    stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>,
    request: &MirroredRequest,
    seen: &Seen,
) -> io::Result<bool> {
    for step in answers::to(request) {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes).await?,
            Step::Flush => {
                stream.flush().await?;
                tokio::task::yield_now().await;
            }
            Step::Listen => {
                stream.flush().await?;
                let mut bytes = vec![0; 4096];
                let count = stream.read(&mut bytes).await?;
                bytes.truncate(count);
                let body = bytes;
                note(
                    seen,
                    MirroredRequest {
                        head: Vec::new(),
                        body,
                    },
                );
            }
            Step::Close => {
                stream.flush().await?;
                return Ok(false);
            }
        }
    }
    stream.flush().await?;
    let connection = request.header("connection").unwrap_or_default();
    Ok(!connection.eq_ignore_ascii_case(b"close"))
}
