//! SOCKS5 (RFC 1928) without authentication, `CONNECT` only.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::host::{Host, Target};
use crate::stream::Client;

/// The version, the first byte of every SOCKS5 connection.
pub(crate) const VERSION: u8 = 5;

const NO_AUTHENTICATION: u8 = 0;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;

/// What the client is told about its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reply {
    Succeeded = 0,
    GeneralFailure = 1,
    NotAllowed = 2,
    HostUnreachable = 4,
    ConnectionRefused = 5,
    CommandNotSupported = 7,
    AddressNotSupported = 8,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SocksError {
    #[error("read the SOCKS greeting")]
    Greeting,
    #[error("agree on a SOCKS authentication method")]
    Method,
    #[error("accept the SOCKS request")]
    Request(Reply),
    #[error("talk to the SOCKS client")]
    Io(#[from] io::Error),
}

/// Reads the greeting and the request; a refused request is answered here. All of it must come
/// within `patience`.
pub(crate) async fn accept(client: &mut Client, patience: Duration) -> Result<Target, SocksError> {
    let accepted = tokio::time::timeout(patience, async {
        greet(client).await?;
        read_request(client).await
    });
    match accepted.await {
        Ok(Err(SocksError::Request(refused))) => {
            reply(client, refused).await?;
            Err(SocksError::Request(refused))
        }
        Ok(result) => result,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}

/// Answers the request. The bound address is ours to keep to ourselves.
pub(crate) async fn reply(client: &mut Client, reply: Reply) -> io::Result<()> {
    client
        .write_all(&[VERSION, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0])
        .await?;
    client.flush().await
}

async fn greet(client: &mut Client) -> Result<(), SocksError> {
    if client.read_u8().await? != VERSION {
        return Err(SocksError::Greeting);
    }
    let mut methods = vec![0; usize::from(client.read_u8().await?)];
    client.read_exact(&mut methods).await?;
    let agreed = methods.contains(&NO_AUTHENTICATION);
    let method = if agreed { NO_AUTHENTICATION } else { NO_METHOD };
    client.write_all(&[VERSION, method]).await?;
    client.flush().await?;
    if agreed {
        Ok(())
    } else {
        Err(SocksError::Method)
    }
}

/// Reads a request; its parts are at most 255 bytes long.
pub(crate) async fn read_request(
    bytes: &mut (impl AsyncRead + Unpin),
) -> Result<Target, SocksError> {
    let mut header = [0; 4];
    bytes.read_exact(&mut header).await?;
    let [version, command, _reserved, kind] = header;
    if version != VERSION {
        return Err(SocksError::Request(Reply::GeneralFailure));
    }
    let host = match kind {
        1 => Host::Address(Ipv4Addr::from(bytes.read_u32().await?).into()),
        4 => Host::Address(IpAddr::V6(Ipv6Addr::from(bytes.read_u128().await?)).to_canonical()),
        3 => {
            let mut name = vec![0; usize::from(bytes.read_u8().await?)];
            bytes.read_exact(&mut name).await?;
            std::str::from_utf8(&name)
                .ok()
                .and_then(|name| Host::parse(name).ok())
                .ok_or(SocksError::Request(Reply::GeneralFailure))?
        }
        _ => return Err(SocksError::Request(Reply::AddressNotSupported)),
    };
    let port = bytes.read_u16().await?;
    match (command, port) {
        (CONNECT, 1..) => Ok(Target { host, port }),
        (CONNECT, 0) => Err(SocksError::Request(Reply::GeneralFailure)),
        _ => Err(SocksError::Request(Reply::CommandNotSupported)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(mut bytes: &[u8]) -> Result<Target, SocksError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(read_request(&mut bytes))
    }

    #[test]
    fn requests_name_addresses_or_hosts() {
        let shown = |bytes: &[u8]| read(bytes).unwrap().to_string();
        assert_eq!(shown(b"\x05\x01\0\x01\x01\x02\x03\x04\0\x50"), "1.2.3.4:80");
        assert_eq!(
            shown(b"\x05\x01\0\x03\x09a.Example\x01\xbb"),
            "a.example:443"
        );
        let mapped = [
            b"\x05\x01\0\x04\0\0\0\0\0\0\0\0\0\0\xff\xff".as_slice(),
            &[127, 0, 0, 1, 0, 80],
        ];
        assert_eq!(shown(&mapped.concat()), "127.0.0.1:80");
    }

    #[test]
    fn other_commands_and_kinds_are_refused() {
        for (bytes, expected) in [
            (
                &b"\x05\x02\0\x01\x01\x02\x03\x04\0\x50"[..],
                Reply::CommandNotSupported,
            ),
            (b"\x05\x01\0\x02\x01", Reply::AddressNotSupported),
            (b"\x05\x01\0\x03\x03a b\0\x50", Reply::GeneralFailure),
            (b"\x05\x01\0\x01\x01\x02\x03\x04\0\0", Reply::GeneralFailure),
        ] {
            assert!(matches!(read(bytes), Err(SocksError::Request(reply)) if reply == expected));
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _any = read(&bytes);
            let _any = read(&[&[VERSION, CONNECT, 0, 3][..], &bytes].concat());
        }
    }
}
