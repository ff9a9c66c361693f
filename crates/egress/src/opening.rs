//! The first bytes of a tunnel, which show what is spoken in it. They are read before anything
//! is passed on, and whoever speaks first is let through: a server that greets must not wait
//! for a client that waits for the greeting.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use vm0_model::limits;

use crate::hello::{self, HANDSHAKE_RECORD, Hello, HelloError};
use crate::stream::Client;
use crate::wire::Wire;

const METHOD_MAX_BYTES: usize = 24;
const GREETING_MAX_BYTES: usize = 4096;

/// What a tunnel carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// TLS; the server name if the client sent one.
    Tls(Option<String>),
    /// HTTP/1 in the clear.
    Http,
    /// Anything else.
    Opaque,
}

/// What was read to learn it.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) protocol: Protocol,
    pub(crate) from_client: Bytes,
    pub(crate) from_server: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum OpeningError {
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error("read the first bytes of a connection")]
    Io(#[from] io::Error),
}

/// Reads until the protocol is known. Once the client has begun, the rest of what is needed must
/// follow within `patience`.
pub(crate) async fn read(
    client: &mut Client,
    server: Option<&mut Wire>,
    patience: Duration,
) -> Result<Opening, OpeningError> {
    let mut bytes = BytesMut::with_capacity(GREETING_MAX_BYTES);
    if let Some(server) = server {
        let mut greeting = BytesMut::with_capacity(GREETING_MAX_BYTES);
        tokio::select! {
            biased;
            count = client.read_buf(&mut bytes) => { count?; }
            count = server.read_buf(&mut greeting) => {
                count?;
                let (from_client, from_server) = (Bytes::new(), greeting.freeze());
                return Ok(Opening { protocol: Protocol::Opaque, from_client, from_server });
            }
        }
    } else {
        client.read_buf(&mut bytes).await?;
    }
    let protocol = tokio::time::timeout(patience, settle(client, &mut bytes))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(Opening {
        protocol,
        from_client: bytes.freeze(),
        from_server: Bytes::new(),
    })
}

async fn settle(client: &mut Client, bytes: &mut BytesMut) -> Result<Protocol, OpeningError> {
    loop {
        if let Some(protocol) = classify(bytes)? {
            return Ok(protocol);
        }
        if bytes.is_empty() || client.read_buf(bytes).await? == 0 {
            return Ok(Protocol::Opaque);
        }
    }
}

/// What `bytes`, the first that a client sent, begin; nothing if they do not tell yet.
pub(crate) fn classify(bytes: &[u8]) -> Result<Option<Protocol>, HelloError> {
    match bytes {
        [] | [HANDSHAKE_RECORD] => Ok(None),
        [HANDSHAKE_RECORD, 3, ..] => Ok(match hello::server_name(bytes)? {
            Hello::Incomplete => None,
            Hello::Complete(name) => Some(Protocol::Tls(name)),
        }),
        _ => Ok(classify_text(bytes)),
    }
}

/// HTTP/1 begins with a method in capitals and a path or an `http` URL.
fn classify_text(bytes: &[u8]) -> Option<Protocol> {
    let is_method = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    let method = bytes.iter().take_while(|byte| is_method(byte)).count();
    let rest = &bytes[method..];
    if method == 0 || method > METHOD_MAX_BYTES {
        return Some(Protocol::Opaque);
    }
    for target in [&b" /"[..], b" http://"] {
        if rest.starts_with(target) {
            return Some(Protocol::Http);
        }
        if target.starts_with(rest) && bytes.len() < limits::GATEWAY_HEAD_MAX_BYTES {
            return None;
        }
    }
    Some(Protocol::Opaque)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn http_is_known_by_its_request_line() {
        for (bytes, expected) in [
            ("G", None),
            ("GET", None),
            ("GET ", None),
            ("GET htt", None),
            ("GET /", Some(Protocol::Http)),
            ("GET http://a/", Some(Protocol::Http)),
            ("PRI * HTTP/2.0", Some(Protocol::Opaque)),
            ("NICK someone", Some(Protocol::Opaque)),
            ("SSH-2.0-x", Some(Protocol::Opaque)),
            ("get /", Some(Protocol::Opaque)),
        ] {
            assert_eq!(classify(bytes.as_bytes()), Ok(expected), "{bytes}");
        }
    }

    #[test]
    fn tls_is_known_by_its_hello() {
        let bytes = hello::tests::client_hello_bytes(&["a.example"], 4096);
        assert_eq!(
            classify(&bytes),
            Ok(Some(Protocol::Tls(Some("a.example".to_owned()))))
        );
        assert_eq!(classify(&bytes[..1]), Ok(None));
        assert_eq!(classify(&[HANDSHAKE_RECORD, 9]), Ok(Some(Protocol::Opaque)));
    }

    proptest! {
        #[test]
        fn long_openings_are_always_decided(bytes in proptest::collection::vec(0x20u8..0x7f, 40..80)) {
            prop_assert!(classify(&bytes).unwrap().is_some());
        }
    }
}
