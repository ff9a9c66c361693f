//! The server name in the first flight of a TLS client. Everything here is bounded by what it is
//! given and reads untrusted bytes.

use vm0_model::limits;

/// The content type of a TLS handshake record, the first byte of every TLS connection.
pub(crate) const HANDSHAKE_RECORD: u8 = 0x16;

const CLIENT_HELLO: u8 = 1;
const RECORD_MAX_BYTES: usize = (1 << 14) + 256;
const SERVER_NAME_EXTENSION: u16 = 0;
const HOST_NAME: u8 = 0;

/// What the bytes so far say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hello {
    /// More bytes are needed.
    Incomplete,
    /// The whole hello is there; the name it asks for, if it asks for one.
    Complete(Option<String>),
}

/// Bytes that begin as a TLS handshake and are no client hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("read the TLS client hello")]
    Malformed,
    #[error("keep a TLS client hello of this size")]
    TooLong,
}

/// Reads the server name from the bytes a TLS client has sent so far.
pub(crate) fn server_name(bytes: &[u8]) -> Result<Hello, HelloError> {
    let mut handshake = Vec::new();
    let mut records = Cursor(bytes);
    loop {
        if let Some(body) = client_hello(&handshake)? {
            return Ok(Hello::Complete(extension_name(body)?));
        }
        if handshake.len() > limits::GATEWAY_HELLO_MAX_BYTES {
            return Err(HelloError::TooLong);
        }
        match record(&mut records)? {
            Some(payload) => handshake.extend_from_slice(payload),
            None if bytes.len() > limits::GATEWAY_HELLO_MAX_BYTES => {
                return Err(HelloError::TooLong);
            }
            None => return Ok(Hello::Incomplete),
        }
    }
}

/// The payload of the next handshake record, if it is there.
fn record<'a>(records: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, HelloError> {
    if records
        .0
        .first()
        .is_some_and(|&kind| kind != HANDSHAKE_RECORD)
        || records.0.get(1).is_some_and(|&major| major != 3)
    {
        return Err(HelloError::Malformed);
    }
    let Some(header) = records.take(5) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if length == 0 || length > RECORD_MAX_BYTES {
        return Err(HelloError::Malformed);
    }
    Ok(records.take(length))
}

/// The body of the client hello, once `handshake` has all of it.
fn client_hello(handshake: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    let mut cursor = Cursor(handshake);
    if handshake.first().is_some_and(|&kind| kind != CLIENT_HELLO) {
        return Err(HelloError::Malformed);
    }
    let Some(header) = cursor.take(4) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([0, header[1], header[2], header[3]]);
    match usize::try_from(length) {
        Ok(length) if length <= limits::GATEWAY_HELLO_MAX_BYTES => Ok(cursor.take(length)),
        _ => Err(HelloError::TooLong),
    }
}

fn extension_name(body: &[u8]) -> Result<Option<String>, HelloError> {
    extensions(body)
        .and_then(|extensions| named_in(Cursor(extensions)))
        .ok_or(HelloError::Malformed)
}

fn extensions(body: &[u8]) -> Option<&[u8]> {
    let mut body = Cursor(body);
    let (_version, _random) = (body.take(2)?, body.take(32)?);
    let _session = body.vector8()?;
    let _cipher_suites = body.vector16()?;
    let _compressions = body.vector8()?;
    if body.0.is_empty() {
        return Some(&[]);
    }
    let extensions = body.vector16()?;
    body.0.is_empty().then_some(extensions)
}

/// The name in the extensions, `Some(None)` if there is none. Two names are as wrong as half one.
fn named_in(mut extensions: Cursor<'_>) -> Option<Option<String>> {
    let mut name = None;
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let content = extensions.vector16()?;
        if kind != SERVER_NAME_EXTENSION {
            continue;
        }
        let mut content = Cursor(content);
        let mut list = Cursor(content.vector16()?);
        let kind = list.take(1)?[0];
        let host = std::str::from_utf8(list.vector16()?).ok()?;
        let whole = kind == HOST_NAME && list.0.is_empty() && content.0.is_empty();
        if !whole || name.replace(host.to_owned()).is_some() {
            return None;
        }
    }
    Some(name)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)
            .map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vector16(content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap();
        [&length.to_be_bytes(), content].concat()
    }

    fn server_name_extension(name: &str) -> Vec<u8> {
        let entry = [&[HOST_NAME][..], &vector16(name.as_bytes())].concat();
        [&[0, 0][..], &vector16(&vector16(&entry))].concat()
    }

    /// The hello of a client that asks for `names`, cut into records of `record_bytes`.
    pub(crate) fn client_hello_bytes(names: &[&str], record_bytes: usize) -> Vec<u8> {
        let mut extensions = vec![0, 43, 0, 3, 2, 3, 4];
        for name in names {
            extensions.extend(server_name_extension(name));
        }
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
        body.extend(vector16(&extensions));
        let mut handshake = vec![CLIENT_HELLO, 0];
        handshake.extend(vector16(&body));
        let record = |part: &[u8]| [&[HANDSHAKE_RECORD, 3, 1][..], &vector16(part)].concat();
        handshake.chunks(record_bytes).flat_map(record).collect()
    }

    #[test]
    fn the_server_name_is_found() {
        let bytes = client_hello_bytes(&["a.example"], 4096);
        assert_eq!(
            server_name(&bytes),
            Ok(Hello::Complete(Some("a.example".to_owned())))
        );
        let bytes = client_hello_bytes(&[], 4096);
        assert_eq!(server_name(&bytes), Ok(Hello::Complete(None)));
    }

    #[test]
    fn a_hello_over_several_records_is_put_together() {
        let bytes = client_hello_bytes(&["a.example"], 3);
        assert_eq!(
            server_name(&bytes),
            Ok(Hello::Complete(Some("a.example".to_owned())))
        );
    }

    #[test]
    fn every_prefix_is_incomplete() {
        let bytes = client_hello_bytes(&["a.example"], 20);
        for end in 0..bytes.len() {
            assert_eq!(server_name(&bytes[..end]), Ok(Hello::Incomplete), "{end}");
        }
    }

    #[test]
    fn two_server_names_are_refused() {
        let bytes = client_hello_bytes(&["a.example", "b.example"], 4096);
        assert_eq!(server_name(&bytes), Err(HelloError::Malformed));
    }

    #[test]
    fn endless_hellos_are_refused() {
        let huge = [HANDSHAKE_RECORD, 3, 1, 0, 4, CLIENT_HELLO, 0xff, 0xff, 0xff];
        assert_eq!(server_name(&huge), Err(HelloError::TooLong));
        assert_eq!(
            server_name(&[HANDSHAKE_RECORD, 3, 1, 0, 0]),
            Err(HelloError::Malformed)
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _any = server_name(&bytes);
        }

        #[test]
        fn damaged_hellos_never_panic(at in 0usize..90, value in any::<u8>(), size in 1usize..100) {
            let mut bytes = client_hello_bytes(&["a.example"], size);
            let at = at % bytes.len();
            bytes[at] = value;
            let _any = server_name(&bytes);
        }
    }
}
