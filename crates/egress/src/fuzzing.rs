//! Ways in for the fuzz targets below `fuzz/`, built only with them.

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};

use crate::host::{Host, Target};
use crate::usage::UsageReader;
use crate::{hello, opening, path, socks};

/// What the first bytes of a tunnel are.
pub fn opening(bytes: &[u8]) {
    let _any = hello::server_name(bytes);
    let _any = opening::classify(bytes);
}

/// A SOCKS request.
pub fn socks(bytes: &[u8]) {
    let mut rest = bytes;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let read = runtime.map(|runtime| runtime.block_on(socks::read_request(&mut rest)));
    if let Ok(Ok(target)) = read {
        named(&target.to_string());
    }
}

/// The destination and the path that an HTTP request names.
pub fn named(text: &str) {
    if let Ok(target) = Target::parse(text, Some(80)) {
        let again = Target::parse(&target.to_string(), None);
        assert_eq!(
            again.ok(),
            Some(target),
            "a destination is shown as it is read"
        );
    }
    let _any = Host::parse(text).map(|host| host.matches("*.example.com"));
    let normal = path::normal(text);
    let _any = path::matches("/a/*", &normal);
}

/// The answer of a model, whole and cut in the middle.
pub fn usage(bytes: &[u8]) {
    for kind in ["application/json", "text/event-stream"] {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        let read = |pieces: &[&[u8]]| {
            let mut reader = UsageReader::for_answer(&headers)?;
            for piece in pieces {
                reader.feed(piece);
            }
            reader.usage()
        };
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        assert_eq!(
            read(&[bytes]),
            read(&[first, rest]),
            "where an answer is cut makes no difference"
        );
    }
}
