//! Looking for values in whatever came out.
//!
//! Any twelve bytes of a value in a row count as the value, in any case of letters, plain or
//! reversed, in base64 at each alignment, in hexadecimal; so what an encoder changes between runs
//! of letters and digits hides nothing.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

const WINDOW: usize = 12;
/// Characters at the ends of base64 that neighbours have a share in.
const EDGE: usize = 4;
const HASH_BITS: u32 = 22;

/// Knows some secrets by their windows.
pub(super) struct Judge {
    windows: HashMap<[u8; WINDOW], &'static str>,
    /// By a hash of the first four bytes, whether any window begins so: most text is passed over
    /// quickly.
    begins: Vec<bool>,
}

impl Judge {
    /// One that looks for these secrets: name and value.
    pub(super) fn new<V: AsRef<str>>(secrets: impl IntoIterator<Item = (&'static str, V)>) -> Self {
        let mut judge = Self {
            windows: HashMap::new(),
            begins: vec![false; 1 << HASH_BITS],
        };
        for (name, value) in secrets {
            for form in forms(value.as_ref().trim().as_bytes()) {
                judge.learn(name, &form.to_ascii_lowercase());
            }
        }
        judge
    }

    fn learn(&mut self, name: &'static str, form: &[u8]) {
        for window in form.windows(WINDOW) {
            let window: [u8; WINDOW] = window.try_into().expect("its length");
            self.begins[start(&window)] = true;
            self.windows.insert(window, name);
        }
    }

    /// The names of the secrets of which something is in `bytes`.
    pub(super) fn find(&self, bytes: &[u8]) -> BTreeSet<&'static str> {
        let lower = bytes.to_ascii_lowercase();
        let mut found = BTreeSet::new();
        for window in lower.windows(WINDOW) {
            if self.begins[start(window)]
                && let Some(name) = self.windows.get(window)
            {
                found.insert(*name);
            }
        }
        found
    }
}

fn start(window: &[u8]) -> usize {
    let first = u32::from_le_bytes([window[0], window[1], window[2], window[3]]);
    usize::try_from(first.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)).expect("22 bits")
}

fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let reversed: Vec<u8> = value.iter().rev().copied().collect();
    let mut forms = Vec::new();
    for bytes in [value, &reversed] {
        forms.push(bytes.to_vec());
        forms.push(hex::encode(bytes).into_bytes());
        for before in 0..3 {
            let shifted = [&[0; 2][..before], bytes].concat();
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let text = engine.encode(&shifted).into_bytes();
                forms.push(text[EDGE..text.len() - EDGE].to_vec());
            }
        }
    }
    forms
}

#[test]
fn the_judge_finds_a_value_in_every_form_and_nothing_else() {
    let value = "AbCdEfGhIjKlMnOpQrSt/uVwXyZ0123456789";
    let judge = Judge::new([("KEY", value)]);
    let base64 = STANDARD_NO_PAD.encode(format!("head{value}tail"));
    let reversed: String = value.chars().rev().collect();
    for text in [
        value,
        &value.to_uppercase(),
        &value.replace('/', "%2F"),
        &base64,
        &reversed,
        &hex::encode(value),
        &hex::encode(&reversed),
        &value[..WINDOW],
    ] {
        let text = format!("before {text} after");
        assert_eq!(
            judge.find(text.as_bytes()),
            BTreeSet::from(["KEY"]),
            "{text}"
        );
    }
    assert_eq!(judge.find(&value.as_bytes()[..WINDOW - 1]), BTreeSet::new());
    assert_eq!(judge.find(b"nothing at all of that value"), BTreeSet::new());
}
