//! Ways in for the fuzz targets below `fuzz/`, built only with them.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Request};
use vm0_model::broker::{Binding, Place, Transport};

use crate::broker::{Broker, BrokeredSecret, Frames, Scanner};
use crate::host::{Host, Target};
use crate::usage::UsageReader;
use crate::{hello, opening, path, socks};

const PLACEHOLDER: &str = "vm0_enc_00112233445566778899aabbccddeeff";
const VALUE: &str = "real/value+0123";

/// One with a secret that goes into `x-key` of requests to a.example.
static BROKER: LazyLock<Broker> = LazyLock::new(|| {
    let binding = Binding {
        host: "a.example".to_owned(),
        port: 443,
        transport: Transport::Tls,
        place: Place::Header("x-key".to_owned()),
    };
    let secret = BrokeredSecret::new("KEY".to_owned(), VALUE.into(), PLACEHOLDER, [binding])
        .expect("a value that fits a header");
    Broker::new(vec![secret], Vec::new())
});

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

/// A request's head, as lines: method and path, then headers. It goes to the host of the secret and
/// to another one.
pub fn request(text: &str) {
    for (host, bound) in [("a.example", true), ("b.example", false)] {
        let Some(mut head) = head_of(text) else {
            return;
        };
        let target = Target::parse(host, Some(443)).expect("a host");
        let Ok(injected) = BROKER.apply(&target, true, &mut head) else {
            continue;
        };
        assert_eq!(injected.names.len(), usize::from(bound));
        head.headers.remove("x-key");
        let shown = format!("{} {} {:?}", head.method, head.uri, head.headers).to_lowercase();
        assert!(!shown.contains(PLACEHOLDER), "a placeholder goes nowhere");
        if !text.to_lowercase().contains(VALUE) {
            assert!(!shown.contains(VALUE), "a value goes to its place only");
        }
    }
}

fn head_of(text: &str) -> Option<Parts> {
    let mut lines = text.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    // Whatever a request names as its destination is not part of what goes out.
    if !path.starts_with('/') {
        return None;
    }
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        request = request.header(name, value.trim());
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// The body of an answer: masked alike whole and in pieces, whose sizes `cuts` gives.
pub fn masking(cuts: &[u8], body: &[u8]) {
    let masker = || BROKER.masker().expect("there is a secret");
    let whole = masker().push_last(Bytes::copy_from_slice(body));
    let mut pieces = masker();
    let mut masked = Vec::new();
    let mut rest = body;
    for &cut in cuts {
        let (piece, after) = rest.split_at(usize::from(cut & 0x7f).min(rest.len()));
        rest = after;
        masked.extend_from_slice(&pieces.push(Bytes::copy_from_slice(piece)));
        if cut & 0x80 != 0 {
            masked.extend_from_slice(&pieces.settle());
        }
    }
    masked.extend_from_slice(&pieces.push_last(Bytes::copy_from_slice(rest)));
    assert_eq!(masked, whole, "where an answer is cut makes no difference");
    let found = whole.windows(VALUE.len());
    assert!(!found.into_iter().any(|part| part == VALUE.as_bytes()));
}

/// What a client says through a WebSocket, whole and byte by byte.
pub fn frames(bytes: &[u8]) {
    let target = Target::parse("b.example", Some(443)).expect("a host");
    let scanner: Scanner = BROKER.scanner(&target, true).expect("there is a secret");
    let mut whole = Frames::new(scanner.clone());
    let mut cut = Frames::new(scanner);
    let in_pieces = bytes.iter().try_for_each(|byte| cut.push(&[*byte]));
    assert_eq!(whole.push(bytes), in_pieces);
}
