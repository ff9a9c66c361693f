//! Asks the host for a connection, in SOCKS5 (RFC 1928): what its gateway understands from programs.

use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const SUCCEEDED: u8 = 0;
/// Version, result, reserved, kind of address, an IPv4 address, a port.
const REPLY: usize = 10;

/// Where a connection is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host<'a> {
    Name(&'a str),
    Address(Ipv4Addr),
}

/// Asks for a connection on a stream to the gateway, which carries the connection afterwards.
///
/// # Errors
/// If the gateway refuses it, or its destination does.
pub(crate) async fn connect<S>(stream: &mut S, host: Host<'_>, port: u16) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&request(host, port)?).await?;
    stream.flush().await?;
    let mut method = [0; 2];
    stream.read_exact(&mut method).await?;
    if method != [VERSION, NO_AUTHENTICATION] {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut reply = [0; REPLY];
    stream.read_exact(&mut reply).await?;
    match reply {
        [VERSION, SUCCEEDED, _, IPV4, ..] => Ok(()),
        _ => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

/// Greeting and request at once: there is nothing to agree on.
fn request(host: Host<'_>, port: u16) -> io::Result<Vec<u8>> {
    let mut bytes = vec![VERSION, 1, NO_AUTHENTICATION, VERSION, CONNECT, 0];
    match host {
        Host::Address(address) => {
            bytes.push(IPV4);
            bytes.extend_from_slice(&address.octets());
        }
        Host::Name(name) => {
            let length = u8::try_from(name.len()).map_err(io::Error::other)?;
            bytes.extend_from_slice(&[NAME, length]);
            bytes.extend_from_slice(name.as_bytes());
        }
    }
    bytes.extend_from_slice(&port.to_be_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a gateway that answers with `answer` was told, and how that ended.
    async fn ask(host: Host<'_>, answer: &[u8]) -> (Vec<u8>, io::Result<()>) {
        let (mut near, mut far) = tokio::io::duplex(1024);
        far.write_all(answer).await.unwrap();
        let result = connect(&mut near, host, 443).await;
        drop(near);
        let mut told = Vec::new();
        far.read_to_end(&mut told).await.unwrap();
        (told, result)
    }

    #[tokio::test]
    async fn names_and_addresses_are_asked_for() {
        let success = b"\x05\0\x05\0\0\x01\0\0\0\0\0\0";
        let (told, result) = ask(Host::Name("a.example"), success).await;
        assert_eq!(told, b"\x05\x01\0\x05\x01\0\x03\x09a.example\x01\xbb");
        result.unwrap();
        let (told, result) = ask(Host::Address(Ipv4Addr::new(1, 2, 3, 4)), success).await;
        assert_eq!(told, b"\x05\x01\0\x05\x01\0\x01\x01\x02\x03\x04\x01\xbb");
        result.unwrap();
    }

    #[tokio::test]
    async fn a_refusal_and_a_gateway_that_goes_away_are_errors() {
        let refused = b"\x05\0\x05\x02\0\x01\0\0\0\0\0\0";
        for answer in [&refused[..], &refused[..7], b"\x05\xff", b""] {
            let mut stream = tokio::io::join(answer, tokio::io::sink());
            connect(&mut stream, Host::Name("a"), 1).await.unwrap_err();
        }
    }
}
