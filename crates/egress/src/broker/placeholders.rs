//! Finding the placeholders of a run in text.

use std::borrow::Cow;

use aho_corasick::AhoCorasick;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode;
use secrecy::zeroize::Zeroizing;

/// Reads base64 as leniently as any server does.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The placeholders of a run, each known by its position.
#[derive(Debug)]
pub(super) struct Placeholders {
    finder: AhoCorasick,
    longest: usize,
}

impl Placeholders {
    /// Placeholders without their prefixes, of which none begins another. Any case counts.
    pub(super) fn new(cores: &[&str]) -> Self {
        let finder = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(cores)
            .expect("a few short patterns fit an automaton");
        Self {
            finder,
            longest: cores.iter().map(|core| core.len()).max().unwrap_or(0),
        }
    }

    /// Bytes of the longest one.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Those in `text` as it stands.
    pub(super) fn within(&self, text: &[u8]) -> impl Iterator<Item = usize> {
        self.finder
            .find_iter(text)
            .map(|found| found.pattern().as_usize())
    }

    /// Those in `text`, as it stands or percent-encoded.
    pub(super) fn encoded_within(&self, text: &[u8]) -> Vec<usize> {
        let mut found: Vec<usize> = self.within(text).collect();
        if let Cow::Owned(decoded) = Cow::from(percent_decode(text)) {
            found.extend(self.within(&decoded));
        }
        found
    }

    /// Those in the value of a header: as it stands, percent-encoded, or in Basic credentials.
    pub(super) fn within_header(&self, value: &[u8]) -> Vec<usize> {
        let mut found = self.encoded_within(value);
        if let Some(credentials) = basic_credentials(value) {
            found.extend(self.encoded_within(&credentials));
        }
        found
    }

    /// `text` with what `value` gives for each of them; none if there is nothing to replace.
    pub(super) fn replace<'v>(
        &self,
        text: &[u8],
        value: impl Fn(usize) -> Option<&'v str>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut replaced = Zeroizing::new(Vec::with_capacity(text.len()));
        let mut end = 0;
        for found in self.finder.find_iter(text) {
            let Some(value) = value(found.pattern().as_usize()) else {
                continue;
            };
            // Room first: growing would leave a copy behind that nobody zeroises.
            replaced.extend_from_slice(&text[end..found.start()]);
            grow(&mut replaced, value.len() + text.len() - found.start());
            replaced.extend_from_slice(value.as_bytes());
            end = found.end();
        }
        if end == 0 {
            return None;
        }
        replaced.extend_from_slice(&text[end..]);
        Some(replaced)
    }
}

/// Makes room for `more` bytes; what held the bytes before is zeroised.
fn grow(bytes: &mut Zeroizing<Vec<u8>>, more: usize) {
    if bytes.capacity() - bytes.len() < more {
        let mut roomy = Zeroizing::new(Vec::with_capacity(bytes.len() * 2 + more));
        roomy.extend_from_slice(bytes);
        *bytes = roomy;
    }
}

/// The user and password of a header value that is Basic credentials.
pub(super) fn basic_credentials(value: &[u8]) -> Option<Vec<u8>> {
    let value = value.trim_ascii();
    let (scheme, rest) = value.split_at_checked(5)?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let mut text: Vec<u8> = rest.to_vec();
    text.retain(|byte| !byte.is_ascii_whitespace());
    STANDARD
        .decode(&text)
        .or_else(|_| URL_SAFE.decode(&text))
        .ok()
}
