//! The servers around the agent, and what each may get.
//!
//! A to E are bound over TLS, P in clear by a base URL; Y is allowed and decrypted, X is allowed,
//! passed through, and the agent's own.

use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use percent_encoding::percent_decode_str;
use vm0_testkit::https::Authority;
use vm0_testkit::{Mirror, MirroredRequest};

use super::judge::Judge;
use super::report::Report;
use super::secrets::Secrets;

const NAMES: [&str; 8] = ["A", "B", "C", "D", "E", "P", "X", "Y"];
const LOOT: &str = "/loot/";
const MARK: &[u8] = b"vm0_enc_";

pub(super) struct Sites {
    authority: Authority,
    mirrors: Vec<(&'static str, Mirror)>,
}

/// What a technique brought.
pub(super) struct Loot {
    pub(super) kind: String,
    pub(super) technique: String,
    pub(super) bytes: Vec<u8>,
}

/// Where a value belongs.
struct Place {
    site: &'static str,
    secret: &'static str,
    header: &'static str,
    value: String,
}

impl Sites {
    pub(super) async fn start() -> Self {
        let authority = Authority::new();
        let mut mirrors = Vec::new();
        for name in NAMES {
            let tls = (name != "P").then_some(&authority);
            mirrors.push((name, Mirror::start(tls).await));
        }
        Self { authority, mirrors }
    }

    pub(super) fn authority(&self) -> &Path {
        self.authority.path()
    }

    pub(super) fn ports(&self) -> impl Iterator<Item = (&'static str, u16)> {
        self.mirrors
            .iter()
            .map(|(name, mirror)| (*name, mirror.port()))
    }

    pub(super) fn host(&self, name: &str) -> String {
        self.mirror(name).host()
    }

    fn mirror(&self, name: &str) -> &Mirror {
        let found = self.mirrors.iter().find(|(known, _)| *known == name);
        &found.expect("a known name").1
    }

    /// What the agent brought to X, decoded.
    pub(super) fn loot(&self) -> Vec<Loot> {
        let requests = self.mirror("X").seen();
        requests.iter().filter_map(loot_of).collect()
    }

    /// Each site got the values that are bound to it, in their places, and nothing else anywhere.
    pub(super) fn check(&self, secrets: &Secrets, judge: &Judge, report: &mut Report) {
        let places = places(secrets);
        let query = format!("key={}", secrets.query_text());
        for (site, mirror) in &self.mirrors {
            let mut arrived = vec![0; places.len()];
            let mut queries = 0;
            for request in mirror.seen() {
                let mut rest = request.path().into_bytes();
                if *site == "A" && request.path().contains(&query) {
                    rest = request.path().replacen(&query, "", 1).into_bytes();
                    queries += 1;
                }
                for (name, value) in request.headers() {
                    let value = value.trim_ascii_end();
                    let place = places.iter().position(|place| {
                        place.site == *site
                            && name.eq_ignore_ascii_case(place.header)
                            && value == place.value.trim_end().as_bytes()
                    });
                    match place {
                        Some(place) => arrived[place] += 1,
                        None => rest.extend([name.as_bytes(), b": ", value, b"\n"].concat()),
                    }
                }
                rest.extend(&request.body);
                let what = format!("what {site} received at {}", request.path());
                report.scan(&what, &rest, judge);
                let mark = has_placeholder(&rest);
                // What is passed through to X nobody reads; bodies to the secret's own host and to
                // the model, what a WebSocket says, and guesses may have one, which is worth nothing.
                let websocket = request.head.is_empty();
                let transcript = matches!(*site, "A" | "D" | "P") && !request.body.is_empty();
                let guess = request.path() == "/guess";
                let passed = *site == "X" || transcript || websocket || guess;
                report.expect(
                    !mark || passed,
                    &format!("no placeholder leaves the sandbox: {what}"),
                );
            }
            for (place, count) in places.iter().zip(arrived) {
                let bound = place.site == *site;
                report.expect(
                    !bound || count > 0,
                    &format!("{} comes to {site}", place.secret),
                );
            }
            report.expect(*site != "A" || queries > 0, "QUERY comes to A");
        }
    }
}

fn loot_of(request: &MirroredRequest) -> Option<Loot> {
    let path = request.path();
    let (kind, technique) = path.strip_prefix(LOOT)?.split_once('/')?;
    let packed: Vec<u8> = request.body.iter().rev().copied().collect();
    let mut bytes = Vec::new();
    ZlibDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .expect("loot arrives whole");
    Some(Loot {
        kind: kind.to_owned(),
        technique: percent_decode_str(technique)
            .decode_utf8_lossy()
            .into_owned(),
        bytes,
    })
}

fn places(secrets: &Secrets) -> Vec<Place> {
    let place = |site, secret, header, value: String| Place {
        site,
        secret,
        header,
        value,
    };
    let value = |name: &str| secrets.value(name).to_owned();
    let pair = format!("Basic {}", STANDARD.encode(value("PAIR")));
    let bearer = |name: &str| format!("Bearer {}", secrets.value(name));
    let word = format!("Basic {}", secrets.word_credentials());
    vec![
        place("A", "BEARER", "authorization", bearer("BEARER")),
        place("A", "HEADER", "x-canary", value("HEADER")),
        place("B", "LONG", "x-long", value("LONG")),
        place("C", "PAIR", "authorization", pair),
        place(
            "D",
            "OPENAI_API_KEY",
            "authorization",
            bearer("OPENAI_API_KEY"),
        ),
        place("E", "WORD", "authorization", word),
        place(
            "P",
            "ANTHROPIC_API_KEY",
            "x-api-key",
            value("ANTHROPIC_API_KEY"),
        ),
    ]
}

/// Whether a whole placeholder is in `bytes`.
fn has_placeholder(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len() + 32).any(|window| {
        let (mark, digits) = window.split_at(MARK.len());
        mark.eq_ignore_ascii_case(MARK) && digits.iter().all(u8::is_ascii_hexdigit)
    })
}
