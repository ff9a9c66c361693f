//! Taking the values of secrets out of what servers answer.
//!
//! Each byte of an occurrence becomes `*`, so that lengths stay right. Every occurrence counts,
//! overlapping ones too: what one secret leaves of another must not show.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use vm0_model::secret_finder::SecretFinder;

const STAR: u8 = b'*';

/// Every form of the values of a run.
pub(crate) struct Forms {
    finder: SecretFinder,
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
        let finder = SecretFinder::new(values);
        let mut first = [false; 256];
        for form in finder.forms() {
            first[usize::from(form[0])] = true;
        }
        Self { finder, first }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.finder.forms().is_empty()
    }

    /// Masks values of headers; a header with a value in its name is taken away.
    pub(super) fn mask_headers(&self, headers: &mut HeaderMap) {
        if self.is_empty() {
            return;
        }
        let named: Vec<HeaderName> = headers
            .keys()
            .filter(|name| self.finder.is_in_any_case(name.as_str().as_bytes()))
            .cloned()
            .collect();
        for name in named {
            headers.remove(name);
        }
        for value in headers.values_mut() {
            let ranges = self.finder.occurrences(value.as_bytes());
            if ranges.is_empty() {
                continue;
            }
            let mut bytes = value.as_bytes().to_vec();
            star(&mut bytes, &ranges);
            *value = HeaderValue::from_bytes(&bytes).expect("stars are fit for a header");
        }
    }

    /// Where the longest end of `bytes` begins that is the beginning of a form, but no whole one
    /// alone: more could follow.
    fn undecided(&self, bytes: &[u8]) -> usize {
        let from = bytes
            .len()
            .saturating_sub(self.finder.longest().saturating_sub(1));
        let begins = |at: &usize| {
            let end = &bytes[*at..];
            self.first[usize::from(end[0])] && self.continues(end)
        };
        (from..bytes.len()).find(begins).unwrap_or(bytes.len())
    }

    fn continues(&self, end: &[u8]) -> bool {
        let forms = self.finder.forms();
        let after = forms.partition_point(|form| form.as_slice() <= end);
        forms.get(after).is_some_and(|form| form.starts_with(end))
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
        let mut ranges = self.forms.finder.occurrences(&whole);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn forms(values: &[&str]) -> Arc<Forms> {
        Arc::new(Forms::new(values.iter().copied()))
    }

    /// What comes out of a body that comes in these pieces.
    fn masked(forms: &Arc<Forms>, pieces: &[&[u8]]) -> Vec<u8> {
        let mut masker = Masker::new(Arc::clone(forms));
        let mut out = Vec::new();
        for piece in pieces {
            out.extend_from_slice(&masker.push(Bytes::copy_from_slice(piece)));
            assert!(masker.held() < forms.finder.longest().max(1));
        }
        out.extend_from_slice(&masker.finish());
        out
    }

    fn text(forms: &Arc<Forms>, pieces: &[&str]) -> String {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        String::from_utf8(masked(forms, &pieces)).unwrap()
    }

    #[test]
    fn only_what_may_become_a_value_is_held_back() {
        let mut masker = Masker::new(forms(&["secret-value"]));
        assert_eq!(masker.push(Bytes::from("data: x\n\n")), "data: x\n\n");
        assert_eq!(masker.push(Bytes::from("my sec")), "my ");
        assert_eq!(masker.push(Bytes::from("ond")), "second");
        assert_eq!(masker.push(Bytes::from("secret-valu")), "");
        assert_eq!(masker.push(Bytes::from("e.")), "************.");
        assert_eq!(masker.push(Bytes::from("se")), "");
        assert_eq!(masker.finish(), "se");
    }

    #[test]
    fn overlapping_values_leave_nothing_of_each_other() {
        let forms = forms(&["abcdefgh", "ghijkl", "defgh"]);
        assert_eq!(text(&forms, &["xabcdefghijklx"]), "x************x");
        assert_eq!(text(&forms, &["xabcdefg", "hij", "klx"]), "x************x");
        assert_eq!(text(&forms, &["xabcdefgh", "ij"]), "x********ij");
        assert_eq!(
            text(&forms, &["xabcdefg", "h", "i", "j", "k", "m"]),
            "x********ijkm"
        );
        let repeated = super::tests::forms(&["ababa"]);
        assert_eq!(text(&repeated, &["abab", "aba", "b"]), "*******b");
    }

    #[test]
    fn headers_are_masked_and_none_is_named_by_a_value() {
        let mut headers = HeaderMap::new();
        headers.insert("x-echo", HeaderValue::from_static("Bearer Secret-Value!"));
        headers.insert("x-secret-value", HeaderValue::from_static("1"));
        headers.insert("x-kept", HeaderValue::from_static("2"));
        forms(&["Secret-Value"]).mask_headers(&mut headers);
        assert_eq!(headers["x-echo"], "Bearer ************!");
        assert_eq!(headers.len(), 2, "{headers:?}");
    }

    proptest! {
        #[test]
        fn no_value_passes_in_any_form_however_the_body_is_cut(
            secrets in prop::collection::vec("[a-c /+\"ä]{5,12}", 1..4),
            picks in prop::collection::vec((any::<prop::sample::Index>(), "[a-c ]{0,6}"), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let values: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let forms = forms(&values);
            let mut body = Vec::new();
            for (pick, between) in &picks {
                let known = forms.finder.forms();
                body.extend_from_slice(&known[pick.index(known.len())]);
                body.extend_from_slice(between.as_bytes());
            }
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            ends.extend([0, body.len()]);
            ends.sort_unstable();
            let pieces: Vec<&[u8]> = ends.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
            let out = masked(&forms, &pieces);
            prop_assert_eq!(out.len(), body.len());
            let mut expected = body.clone();
            for form in forms.finder.forms() {
                for at in 0..=body.len().saturating_sub(form.len()) {
                    if body[at..].starts_with(form) {
                        expected[at..at + form.len()].fill(STAR);
                    }
                }
            }
            prop_assert_eq!(out, expected);
        }
    }
}
