//! Random secrets, one for each place and of each shape.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The secret that is exposed, so that it shows wherever a value can.
pub(super) const CONTROL: &str = "CONTROL";

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const RUN: usize = 16;
const LONG: usize = 4096;

/// The values of a campaign.
pub(super) struct Secrets {
    seed: u64,
    values: BTreeMap<&'static str, String>,
}

impl Secrets {
    /// All that are brokered.
    pub(super) const NAMES: [&str; 8] = [
        "ANTHROPIC_API_KEY",
        "BEARER",
        "HEADER",
        "LONG",
        "OPENAI_API_KEY",
        "PAIR",
        "QUERY",
        "WORD",
    ];

    /// New ones. Between runs of letters and digits stand the characters that encoders change.
    pub(super) fn random() -> Self {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("random bytes");
        let seed = u64::from_le_bytes(bytes);
        let mut state = seed | 1;
        let mut run = || random_run(&mut state);
        let mut shaped = |shape: &str| {
            let parts: Vec<&str> = shape.split('_').collect();
            let runs = parts.iter().map(|part| format!("{part}{}", run()));
            runs.collect::<String>()
        };
        let mut values = BTreeMap::from([
            (CONTROL, shaped("_")),
            ("ANTHROPIC_API_KEY", shaped("_\"ä_/")),
            ("BEARER", shaped("_/_+_=_~")),
            ("HEADER", format!("{} ", shaped("_\"_\\_ &_<'>"))),
            ("LONG", shaped("_/")),
            ("OPENAI_API_KEY", shaped("_-_%41_.")),
            ("PAIR", shaped("_:_&_%")),
            ("QUERY", shaped("_/_+_=_\"_\\_%_&_ä_ _#_?")),
            ("WORD", shaped("_ä_%_\"")),
        ]);
        while let Some(long) = values.get_mut("LONG").filter(|long| long.len() < LONG) {
            long.push_str(&run());
        }
        Self { seed, values }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Name and value of each, as a run is given them.
    pub(super) fn values(&self) -> &BTreeMap<&'static str, String> {
        &self.values
    }

    pub(super) fn value(&self, name: &str) -> &str {
        &self.values[name]
    }

    /// Name and text of all that may not be found: the values, and what requests carry in their
    /// stead.
    pub(super) fn brokered(&self) -> impl Iterator<Item = (&'static str, String)> {
        let values = Self::NAMES
            .into_iter()
            .map(|name| (name, self.value(name).to_owned()));
        let carried = [
            ("PAIR", STANDARD.encode(self.value("PAIR"))),
            // Everybody knows how they begin.
            ("WORD", self.word_credentials()[20..].to_owned()),
            ("QUERY", self.query_text()),
        ];
        values.chain(carried)
    }

    /// The credentials that WORD is put into.
    pub(super) fn word_credentials(&self) -> String {
        STANDARD.encode(format!("x-access-token:{}", self.value("WORD")))
    }

    /// QUERY as it stands in a URL.
    pub(super) fn query_text(&self) -> String {
        let encode = |byte: u8| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        };
        self.value("QUERY").bytes().map(encode).collect()
    }
}

fn random_run(state: &mut u64) -> String {
    let mut next = || {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        char::from(LETTERS[usize::try_from((*state >> 20) % 62).expect("small")])
    };
    (0..RUN).map(|_| next()).collect()
}
