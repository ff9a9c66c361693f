//! Taking the values of secrets out of what servers answer.
//!
//! Each byte of an occurrence becomes `*`, so that lengths stay right. Every occurrence counts,
//! overlapping ones too: what one secret leaves of another must not show.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::zeroize::Zeroizing;
use vm0_model::secret_form::secret_forms;

const STAR: u8 = b'*';

/// Every form of the values of a run.
pub(crate) struct Forms {
    finder: AhoCorasick,
    /// Names of headers are in lower case, whatever the server said.
    any_case: AhoCorasick,
    sorted: Vec<Zeroizing<Vec<u8>>>,
    longest: usize,
    /// By byte: whether a form begins with it.
    first: [bool; 256],
}

/// Sees the body of an answer piece by piece.
pub(crate) struct Masker {
    forms: Arc<Forms>,
    /// The end of what was seen, as it was, if a form may have begun there.
    held: Vec<u8>,
    /// How many of the bytes held belong to an occurrence that began before them.
    starred: usize,
}

impl Forms {
    pub(super) fn new<'v>(values: impl Iterator<Item = &'v str>) -> Self {
        let forms: BTreeSet<String> = values.flat_map(secret_forms).collect();
        let sorted: Vec<_> = forms
            .into_iter()
            .map(|form| Zeroizing::new(form.into_bytes()))
            .collect();
        let build = |any_case| {
            AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .ascii_case_insensitive(any_case)
                .build(sorted.iter().map(|form| form.as_slice()))
                .expect("the forms of 128 KiB of secrets fit an automaton")
        };
        let mut first = [false; 256];
        for form in &sorted {
            first[usize::from(form[0])] = true;
        }
        Self {
            finder: build(false),
            any_case: build(true),
            longest: sorted.iter().map(|form| form.len()).max().unwrap_or(0),
            first,
            sorted,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Masks values of headers; a header with a value in its name is taken away.
    pub(super) fn mask_headers(&self, headers: &mut HeaderMap) {
        if self.is_empty() {
            return;
        }
        let named: Vec<HeaderName> = headers
            .keys()
            .filter(|name| self.any_case.is_match(name.as_str()))
            .cloned()
            .collect();
        for name in named {
            headers.remove(name);
        }
        for value in headers.values_mut() {
            let ranges = self.occurrences(value.as_bytes());
            if ranges.is_empty() {
                continue;
            }
            let mut bytes = value.as_bytes().to_vec();
            star(&mut bytes, &ranges);
            *value = HeaderValue::from_bytes(&bytes).expect("stars are fit for a header");
        }
    }

    fn occurrences(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let found = self.finder.find_overlapping_iter(bytes);
        found.map(|found| found.range()).collect()
    }

    /// Where the longest end of `bytes` begins that is the beginning of a form, but no whole one
    /// alone: more could follow.
    fn undecided(&self, bytes: &[u8]) -> usize {
        let from = bytes.len().saturating_sub(self.longest.saturating_sub(1));
        let begins = |at: &usize| {
            let end = &bytes[*at..];
            self.first[usize::from(end[0])] && self.continues(end)
        };
        (from..bytes.len()).find(begins).unwrap_or(bytes.len())
    }

    fn continues(&self, end: &[u8]) -> bool {
        let after = self.sorted.partition_point(|form| form.as_slice() <= end);
        self.sorted
            .get(after)
            .is_some_and(|form| form.starts_with(end))
    }
}

impl Masker {
    pub(super) fn new(forms: Arc<Forms>) -> Self {
        Self {
            forms,
            held: Vec::new(),
            starred: 0,
        }
    }

    /// Bytes that were taken and not given yet.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes the next piece and gives what is decided: all but an end in which a value may begin.
    pub(crate) fn push(&mut self, piece: Bytes) -> Bytes {
        let whole = if self.held.is_empty() {
            piece
        } else {
            let mut whole = std::mem::take(&mut self.held);
            whole.extend_from_slice(&piece);
            Bytes::from(whole)
        };
        let keep_from = self.forms.undecided(&whole);
        self.decide(whole, keep_from)
    }

    /// Gives what is left, at the end of the body.
    pub(crate) fn finish(&mut self) -> Bytes {
        let whole = Bytes::from(std::mem::take(&mut self.held));
        let all = whole.len();
        self.decide(whole, all)
    }

    fn decide(&mut self, whole: Bytes, keep_from: usize) -> Bytes {
        let mut ranges = self.forms.occurrences(&whole);
        self.held.extend_from_slice(&whole[keep_from..]);
        // Occurrences that begin in what is held are found again with it.
        let reaching = ranges.iter().filter(|range| range.start < keep_from);
        let reached = reaching
            .map(|range| range.end)
            .fold(self.starred, usize::max);
        if self.starred > 0 {
            ranges.push(0..self.starred);
        }
        self.starred = reached.saturating_sub(keep_from);
        if ranges.is_empty() {
            return whole.slice(..keep_from);
        }
        let mut decided = whole[..keep_from].to_vec();
        star(&mut decided, &ranges);
        Bytes::from(decided)
    }
}

/// Makes stars of the parts of `ranges` that are in `bytes`.
fn star(bytes: &mut [u8], ranges: &[Range<usize>]) {
    for range in ranges {
        let end = range.end.min(bytes.len());
        bytes[range.start.min(end)..end].fill(STAR);
    }
}
