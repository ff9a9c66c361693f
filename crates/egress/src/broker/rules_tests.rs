use base64::Engine as _;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderValue};
use http::{Method, Request};
use proptest::prelude::*;
use vm0_model::broker::{Binding, Place};
use vm0_model::limits;

use super::*;
use crate::broker::SecretError;

const ONE: &str = "pre-vm0_enc_00112233445566778899aabbccddeeff";
const ONE_CORE: &str = "vm0_enc_00112233445566778899aabbccddeeff";
const TWO: &str = "vm0_enc_ffeeddccbbaa99887766554433221100";
const VALUE: &str = "real-value+1/=";
const OTHER: &str = "user:other value";

fn binding(host: &str, port: u16, transport: Transport, place: Place) -> Binding {
    Binding {
        host: host.to_owned(),
        port,
        transport,
        place,
    }
}

fn tls(host: &str, place: Place) -> Binding {
    binding(host, 443, Transport::Tls, place)
}

fn secret(name: &str, value: &str, placeholder: &str, bindings: Vec<Binding>) -> BrokeredSecret {
    BrokeredSecret::new(name.to_owned(), value.into(), placeholder, bindings).unwrap()
}

fn one(bindings: Vec<Binding>) -> Broker {
    Broker::new(vec![secret("ONE", VALUE, ONE, bindings)], Vec::new())
}

fn two(first: Place, second: Place) -> Broker {
    let secrets = vec![
        secret("ONE", VALUE, ONE, vec![tls("a.example", first)]),
        secret("TWO", OTHER, TWO, vec![tls("a.example", second)]),
    ];
    Broker::new(secrets, Vec::new())
}

fn target(text: &str) -> Target {
    Target::parse(text, Some(443)).unwrap()
}

fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// All values of a header.
fn values(head: &Parts, name: &str) -> Vec<String> {
    let values = head.headers.get_all(name).iter();
    values
        .map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
        .collect()
}

fn stray(broker: &Broker, to: &str, mut head: Parts) -> String {
    match broker.apply(&target(to), true, &mut head) {
        Err(ApplyError::Stray(stray)) => stray.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_place_of_a_lone_secret_is_set_once_whatever_the_sandbox_sent_there() {
    let broker = one(vec![tls("a.example", Place::Bearer)]);
    for sent in [
        &[][..],
        &[("authorization", "Bearer made-up")],
        &[("authorization", "Basic eDp5"), ("Authorization", ONE)],
    ] {
        let mut head = head("/x", sent);
        let injected = broker.apply(&target("a.example"), true, &mut head).unwrap();
        assert_eq!(injected.names, ["ONE"]);
        assert_eq!(values(&head, "authorization"), ["Bearer real-value+1/="]);
        assert!(head.headers[AUTHORIZATION].is_sensitive());
    }
}

#[test]
fn a_request_with_a_secret_asks_for_an_answer_that_can_be_read() {
    let broker = one(vec![tls("a.example", Place::Bearer)]);
    let sent = [
        ("accept-encoding", "gzip, br"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("range", "bytes=0-3"),
        ("x-kept", "1"),
    ];
    let mut bound = head("/", &sent);
    broker
        .apply(&target("a.example"), true, &mut bound)
        .unwrap();
    assert_eq!(bound.headers[ACCEPT_ENCODING], "identity");
    assert_eq!(bound.headers.len(), 3, "{bound:?}");
    let mut elsewhere = head("/", &sent);
    broker
        .apply(&target("b.example"), true, &mut elsewhere)
        .unwrap();
    assert_eq!(elsewhere.headers.len(), sent.len());
}

#[test]
fn basic_credentials_have_a_user() {
    for (value, plain) in [(VALUE, "x-access-token:real-value+1/="), (OTHER, OTHER)] {
        let bindings = vec![tls("a.example", Place::Basic)];
        let broker = Broker::new(vec![secret("ONE", value, ONE, bindings)], Vec::new());
        let mut head = head("/", &[]);
        broker.apply(&target("a.example"), true, &mut head).unwrap();
        let sent = values(&head, "authorization");
        let encoded = sent[0].strip_prefix("Basic ").unwrap();
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .unwrap();
        assert_eq!(decoded, plain.as_bytes());
    }
}

#[test]
fn a_query_has_the_secret_once_and_keeps_its_other_parameters() {
    let broker = one(vec![tls("a.example", Place::Query("k y".to_owned()))]);
    for (sent, out) in [
        ("/p", "/p?k+y=real-value%2B1%2F%3D"),
        (
            "/p?a=1&k%20y=x&b&k+y=z",
            "/p?a=1&b&k+y=real-value%2B1%2F%3D",
        ),
        (
            "http://a.example?",
            "http://a.example/?k+y=real-value%2B1%2F%3D",
        ),
    ] {
        let mut head = head(sent, &[]);
        broker.apply(&target("a.example"), true, &mut head).unwrap();
        assert_eq!(head.uri.to_string(), out);
    }
}

#[test]
fn of_several_secrets_only_those_are_put_in_whose_placeholder_is_there() {
    let broker = two(Place::Header("x-key".to_owned()), Place::Bearer);
    let to = target("a.example");
    let mut none = head("/", &[("authorization", "Bearer own"), ("x-key", "own")]);
    assert_eq!(
        broker.apply(&to, true, &mut none).unwrap(),
        Injected::default()
    );
    assert_eq!(values(&none, "authorization"), ["Bearer own"]);
    let mut second = head("/", &[("authorization", &format!("token {TWO}"))]);
    assert_eq!(broker.apply(&to, true, &mut second).unwrap().names, ["TWO"]);
    assert_eq!(
        values(&second, "authorization"),
        [format!("Bearer {OTHER}")]
    );
    let mut both = head(
        "/",
        &[("authorization", TWO), ("x-key", ONE), ("x-key", "y")],
    );
    assert_eq!(
        broker.apply(&to, true, &mut both).unwrap().names,
        ["ONE", "TWO"]
    );
    assert_eq!(values(&both, "x-key"), [VALUE]);
}

#[test]
fn two_secrets_at_one_place_are_told_apart_by_their_placeholder() {
    let broker = two(Place::Basic, Place::Basic);
    let credentials = base64::engine::general_purpose::STANDARD_NO_PAD.encode(format!("x:{TWO}"));
    let mut head = head("/", &[("authorization", &format!("bAsIc  {credentials}"))]);
    let injected = broker.apply(&target("a.example"), true, &mut head).unwrap();
    assert_eq!(injected.names, ["TWO"]);
    assert_eq!(values(&head, "authorization").len(), 1);
}

#[test]
fn a_placeholder_anywhere_else_is_refused() {
    let broker = one(vec![tls("a.example", Place::Bearer)]);
    let escaped = ONE.replace("vm0", "%76m%30").replace("enc", "%65%6ec");
    let basic = base64::engine::general_purpose::URL_SAFE.encode(format!("u:{ONE}\u{ff}\u{fe}"));
    let in_header = |value: &str| head("/", &[("x-other", value)]);
    let cases = [
        (head(&format!("/a/{ONE}"), &[]), "the path"),
        (head(&format!("/a/{escaped}"), &[]), "the path"),
        (
            head(&format!("/?q={}", ONE.to_uppercase()), &[]),
            "the query",
        ),
        (head(&format!("/?{escaped}"), &[]), "the query"),
        (in_header(&format!("<{ONE_CORE}>")), "the header 'x-other'"),
        (in_header(&escaped), "the header 'x-other'"),
        (in_header(&format!("Basic {basic}")), "the header 'x-other'"),
        (
            head("/", &[("cookie", &ONE.to_uppercase())]),
            "the header 'cookie'",
        ),
        (head("/", &[(ONE, "1")]), "the name of a header"),
    ];
    for (head, place) in cases {
        for host in ["a.example", "b.example"] {
            let found = stray(&broker, host, head.clone());
            assert_eq!(found, format!("placeholder of secret 'ONE' in {place}"));
        }
    }
    let mut strange = head("/", &[]);
    strange.method = Method::from_bytes(ONE_CORE.as_bytes()).unwrap();
    assert!(stray(&broker, "a.example", strange).ends_with("the method"));
    let host = format!("{}.evil.example", ONE_CORE);
    assert!(stray(&broker, &host, head("/", &[])).ends_with("the host"));
    let bearer = head("/", &[("authorization", &format!("Bearer {ONE}"))]);
    for host in ["b.example", "a.example:8443", "a.example.evil.example"] {
        assert!(
            stray(&broker, host, bearer.clone()).ends_with("'authorization'"),
            "{host}"
        );
    }
}

#[test]
fn the_placeholder_of_another_secret_is_refused_even_at_the_place_of_one() {
    let secrets = vec![
        secret("ONE", VALUE, ONE, vec![tls("a.example", Place::Bearer)]),
        secret("TWO", OTHER, TWO, vec![tls("b.example", Place::Bearer)]),
    ];
    let broker = Broker::new(secrets, Vec::new());
    let found = stray(&broker, "a.example", head("/", &[("authorization", TWO)]));
    assert!(found.contains("'TWO'"), "{found}");
}

#[test]
fn a_value_travels_in_clear_only_to_the_plain_base_url() {
    let broker = one(vec![
        tls("*.example", Place::Bearer),
        binding("a.example", 8080, Transport::Plain, Place::Bearer),
        binding("::1", 80, Transport::Plain, Place::Bearer),
    ]);
    for (to, encrypted, set) in [
        ("a.example:443", true, true),
        ("a.example:443", false, false),
        ("a.example:8080", false, true),
        ("a.example:8080", true, false),
        ("b.example:8080", false, false),
        ("a.example:80", false, false),
        ("[::1]:80", false, true),
        ("example:443", true, false),
    ] {
        let mut head = head("/", &[]);
        let injected = broker.apply(&target(to), encrypted, &mut head).unwrap();
        assert_eq!(!injected.names.is_empty(), set, "{to} {encrypted}");
        assert_eq!(head.headers.contains_key(AUTHORIZATION), set, "{to}");
    }
    assert!(broker.binds(&target("x.example")) && !broker.binds(&target("a.example:8080")));
}

#[test]
fn a_sealed_secret_replaces_its_placeholder_in_any_header() {
    let engine = base64::engine::general_purpose::STANDARD;
    let broker = Broker::new(
        vec![secret(
            "TWO",
            VALUE,
            TWO,
            vec![tls("a.example", Place::AnyHeader)],
        )],
        Vec::new(),
    );
    let basic = format!("Basic {}", engine.encode(format!("me:{TWO}")));
    let text = format!("k={TWO}; again={}.", TWO.to_uppercase());
    let sent = [
        ("authorization", basic.as_str()),
        ("x-any", &text),
        ("x-other", "1"),
    ];
    let mut with = head("/", &sent);
    assert_eq!(
        broker
            .apply(&target("a.example"), true, &mut with)
            .unwrap()
            .names,
        ["TWO"]
    );
    assert_eq!(
        values(&with, "x-any"),
        [format!("k={VALUE}; again={VALUE}.")]
    );
    let credentials = engine.encode(format!("me:{VALUE}"));
    assert_eq!(
        values(&with, "authorization"),
        [format!("Basic {credentials}")]
    );
    let mut without = head("/", &[("authorization", "Bearer own")]);
    let injected = broker
        .apply(&target("a.example"), true, &mut without)
        .unwrap();
    assert_eq!(injected, Injected::default(), "nothing is set unasked");
    assert!(stray(&broker, "a.example", head(&format!("/{TWO}"), &[])).ends_with("the path"));
    assert!(stray(&broker, "b.example", head("/", &sent)).contains("header"));
}

#[test]
fn values_and_places_that_no_request_can_hold_are_refused() {
    let make = |value: &str, place| {
        let bindings = vec![tls("a.example", place)];
        BrokeredSecret::new("ONE".to_owned(), value.into(), ONE, bindings).map(|_| ())
    };
    let name = || "ONE".to_owned();
    let characters = Err(SecretError::Characters { name: name() });
    assert_eq!(make("two\nlines", Place::Bearer), characters);
    assert_eq!(make("two\nlines", Place::AnyHeader), characters);
    assert_eq!(make("two\nlines", Place::Basic), Ok(()));
    assert_eq!(make("two\nlines", Place::Query("k".to_owned())), Ok(()));
    let long = "x".repeat(limits::GATEWAY_QUERY_SECRET_MAX_BYTES + 1);
    let length = Err(SecretError::Length { name: name() });
    assert_eq!(make(&long, Place::Query("k".to_owned())), length);
    let place = Place::Header("content-length".to_owned());
    assert!(matches!(make("1", place), Err(SecretError::Header { .. })));
}

#[test]
fn an_answer_that_hides_its_content_is_noticed() {
    let injected = Injected {
        names: vec!["ONE".to_owned()],
    };
    let answer = |name: &'static str, value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    };
    assert!(injected.hidden_by(&answer("content-encoding", "gzip")));
    assert!(injected.hidden_by(&answer("content-encoding", "identity, br")));
    assert!(injected.hidden_by(&answer("transfer-encoding", "gzip, chunked")));
    assert!(!injected.hidden_by(&answer("content-encoding", "Identity")));
    assert!(!injected.hidden_by(&answer("transfer-encoding", "chunked")));
    assert!(!Injected::default().hidden_by(&answer("content-encoding", "gzip")));
}

fn piece() -> impl Strategy<Value = String> {
    let fixed = [
        ONE, ONE_CORE, TWO, "Basic ", "Bearer ", "x", "%76m0", "=", "a",
    ];
    prop::collection::vec(prop::sample::select(fixed.to_vec()), 0..4).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn whatever_a_sandbox_sends_a_value_goes_only_to_its_place_at_its_host(
        headers in prop::collection::vec(
            (prop::sample::select(vec!["authorization", "x-key", "cookie", "x"]), piece()), 0..6),
        query in "[a-z=&%2b]{0,12}",
        to in prop::sample::select(vec!["a.example:443", "b.example:443", "a.example:80", "c.example:443"]),
        encrypted: bool,
    ) {
        let secrets = vec![
            secret("ONE", VALUE, ONE, vec![tls("a.example", Place::Header("x-key".to_owned()))]),
            secret("TWO", OTHER, TWO, vec![tls("b.example", Place::Bearer)]),
        ];
        let broker = Broker::new(secrets, Vec::new());
        let sent: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut head = head(&format!("/?{query}"), &sent);
        let outcome = broker.apply(&target(to), encrypted, &mut head);
        let home = match (to, encrypted) {
            ("a.example:443", true) => Some(("x-key", VALUE.to_owned())),
            ("b.example:443", true) => Some(("authorization", format!("Bearer {OTHER}"))),
            _ => None,
        };
        if outcome.is_ok() {
            let with_value = head.headers.iter().filter(|(_, value)| {
                let text = String::from_utf8_lossy(value.as_bytes());
                text.contains(VALUE) || text.contains(OTHER)
            });
            prop_assert_eq!(with_value.count(), usize::from(home.is_some()));
            if let Some((name, value)) = home {
                prop_assert_eq!(values(&head, name), [value]);
            }
            let shown = format!("{head:?}");
            prop_assert!(!shown.contains(ONE_CORE) && !shown.contains(TWO), "{shown}");
        }
        prop_assert!(!head.uri.to_string().contains(VALUE));
    }
}
