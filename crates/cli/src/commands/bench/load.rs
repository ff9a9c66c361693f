//! Requests over keep-alive connections, as fast as they are answered.

use std::io;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::private_server::PrivateServer;
use crate::error::Failure;
use crate::exit::Exit;

const HEAD_MAX_BYTES: usize = 64 << 10;

/// A request as it is sent.
pub(super) type Request = Vec<u8>;

/// How requests went.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Answers a second.
    pub(super) per_second: f64,
    /// From sending to the whole answer, in milliseconds.
    pub(super) times_ms: Vec<f64>,
}

/// When to end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// After this time.
    Elapsed(Duration),
    /// After so many answers.
    Answers(usize),
}

/// Sends `request` over `connections` connections; each answer must have the status `status`.
pub(super) async fn drive(
    server: &PrivateServer,
    request: &Request,
    status: u16,
    connections: usize,
    until: Until,
) -> Result<Pace, Failure> {
    let started = Instant::now();
    let each = (0..connections).map(|_| {
        let (address, request) = (server.address().to_owned(), request.clone());
        let driven = tokio::spawn(drive_one(address, request, status, connections, until));
        async move { driven.await.expect("a connection does not panic") }
    });
    let times_ms = try_join_all(each).await?.concat();
    let seconds = started.elapsed().as_secs_f64();
    Ok(Pace {
        per_second: times_ms.len() as f64 / seconds,
        times_ms,
    })
}

async fn drive_one(
    address: String,
    request: Request,
    status: u16,
    connections: usize,
    until: Until,
) -> Result<Vec<f64>, Failure> {
    let mut connection = Connection::open(&address).await?;
    let started = Instant::now();
    let mut times = Vec::new();
    loop {
        let over = match until {
            Until::Elapsed(span) => started.elapsed() >= span,
            Until::Answers(count) => times.len() >= count.div_ceil(connections),
        };
        if over {
            return Ok(times);
        }
        let sent = Instant::now();
        let (answered, body) = connection.exchange(&request).await?;
        if answered != status {
            let text = String::from_utf8_lossy(&body);
            let message = format!("The server answered {answered}, not {status}: {text}");
            return Err(Failure::new(Exit::Failed, "bench_answer", message));
        }
        times.push(sent.elapsed().as_secs_f64() * 1e3);
    }
}

/// A connection of HTTP/1.1 that is kept.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects to `host:port`.
    pub(super) async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let received = Vec::with_capacity(HEAD_MAX_BYTES);
        Ok(Self { stream, received })
    }

    /// Sends a request and reads its answer, which must have a `Content-Length`.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let end = loop {
            if let Some(at) = find(&self.received, b"\r\n\r\n") {
                break at + 4;
            }
            if self.received.len() > HEAD_MAX_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.receive().await?;
        };
        let head = std::str::from_utf8(&self.received[..end]).map_err(io::Error::other)?;
        let (status, length) = parse_head(head).ok_or(io::ErrorKind::InvalidData)?;
        while self.received.len() < end + length {
            self.receive().await?;
        }
        Ok((status, self.received[end..end + length].to_vec()))
    }

    async fn receive(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn parse_head(head: &str) -> Option<(u16, usize)> {
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok())?
    })?;
    Some((status, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_measured_by_its_head() {
        let head =
            "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\nContent-Length: 17\r\n\r\n";
        assert_eq!(parse_head(head), Some((202, 17)));
        assert_eq!(parse_head("HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
