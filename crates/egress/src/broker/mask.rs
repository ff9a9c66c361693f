//! Taking the values of secrets out of what servers answer.
//!
//! Each byte of an occurrence becomes `*`, so that lengths stay right. Every occurrence counts,
//! overlapping ones too: what one secret leaves of another must not show.
//!
//! **What is held back tells nothing of the values.** If only an end that may begin a value waited
//! for more, who has its own text repeated could see whether it does, character by character. So all
//! of a line that has begun waits, up to the length of the longest form: no form has a line break
//! in it. If a value has several lines, no line break ends anything.

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
    /// Whether a line break is no part of any form.
    lines: bool,
}

/// Sees the body of an answer piece by piece.
pub(crate) struct Masker {
    forms: Arc<Forms>,
    /// The end of what was seen, as it was.
    held: Vec<u8>,
    /// How many of the bytes held belong to an occurrence that began before them.
    starred: usize,
    /// Whether what is held is only what may begin a form.
    settled: bool,
}

impl Forms {
    pub(super) fn new<'v>(values: impl Iterator<Item = &'v str>) -> Self {
        let finder = SecretFinder::new(values);
        let mut first = [false; 256];
        for form in finder.forms() {
            first[usize::from(form[0])] = true;
        }
        let lines = !finder.forms().iter().any(|form| form.contains(&b'\n'));
        Self {
            finder,
            first,
            lines,
        }
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

    /// Where the line begins that `bytes` end in, or what of it a form is not too short for.
    fn unfinished(&self, bytes: &[u8]) -> usize {
        let from = self.reach(bytes);
        let end = &bytes[from..];
        let line = end
            .iter()
            .rposition(|&byte| self.lines && byte == b'\n')
            .map_or(0, |at| at + 1);
        from + line
    }

    /// Where the earliest form could begin that `bytes` do not have the end of.
    fn reach(&self, bytes: &[u8]) -> usize {
        let longest = self.finder.longest().saturating_sub(1);
        bytes.len().saturating_sub(longest)
    }

    /// Where the longest end of `bytes` begins that is the beginning of a form, but no whole one
    /// alone: more could follow.
    fn undecided(&self, bytes: &[u8]) -> usize {
        let from = self.reach(bytes);
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
            settled: true,
        }
    }

    /// Bytes that were taken and not given yet.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether nothing changes while no more comes.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Takes the next piece and gives what is decided: all but the line that it ends in.
    pub(crate) fn push(&mut self, piece: Bytes) -> Bytes {
        let whole = self.with_held(piece);
        let keep_from = self.forms.unfinished(&whole);
        self.settled = keep_from == whole.len();
        self.decide(whole, keep_from)
    }

    /// Takes the last piece and gives all that is left.
    pub(crate) fn push_last(&mut self, piece: Bytes) -> Bytes {
        let whole = self.with_held(piece);
        let keep_from = whole.len();
        self.settled = true;
        self.decide(whole, keep_from)
    }

    /// Gives what can be given before more comes: all but an end in which a value may begin.
    pub(crate) fn settle(&mut self) -> Bytes {
        let whole = self.with_held(Bytes::new());
        let keep_from = self.forms.undecided(&whole);
        self.settled = true;
        self.decide(whole, keep_from)
    }

    fn with_held(&mut self, piece: Bytes) -> Bytes {
        if self.held.is_empty() {
            return piece;
        }
        let mut whole = std::mem::take(&mut self.held);
        whole.extend_from_slice(&piece);
        Bytes::from(whole)
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

    /// What comes out of a body that comes in these pieces; after which of them, in turn, there is
    /// silence.
    fn masked(forms: &Arc<Forms>, pieces: &[&[u8]], silences: &[bool]) -> Vec<u8> {
        let mut masker = Masker::new(Arc::clone(forms));
        let mut out = Vec::new();
        for (piece, silence) in pieces.iter().zip(silences.iter().cycle()) {
            out.extend_from_slice(&masker.push(Bytes::copy_from_slice(piece)));
            assert!(masker.held() < forms.finder.longest().max(1));
            if *silence {
                out.extend_from_slice(&masker.settle());
            }
        }
        out.extend_from_slice(&masker.push_last(Bytes::new()));
        out
    }

    fn cut<'b>(body: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        ends.extend([0, body.len()]);
        ends.sort_unstable();
        ends.windows(2)
            .map(|pair| &body[pair[0]..pair[1]])
            .collect()
    }

    fn text(forms: &Arc<Forms>, pieces: &[&str]) -> String {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        String::from_utf8(masked(forms, &pieces, &[false])).unwrap()
    }

    #[test]
    fn a_line_that_has_begun_waits_and_in_silence_only_what_may_become_a_value() {
        let mut masker = Masker::new(forms(&["secret-value"]));
        assert_eq!(masker.push(Bytes::from("data: x\n\n")), "data: x\n\n");
        assert!(masker.is_settled());
        assert_eq!(masker.push(Bytes::from("a\nmy sec")), "a\n");
        assert!(!masker.is_settled());
        assert_eq!(masker.settle(), "my ");
        assert!(masker.is_settled() && masker.held() == 3);
        assert_eq!(masker.push(Bytes::from("ond")), "");
        assert_eq!(masker.settle(), "second");
        assert_eq!(masker.push(Bytes::from("secret-valu")), "");
        assert_eq!(masker.settle(), "");
        assert_eq!(masker.push(Bytes::from("e.\n")), "************.\n");
        assert_eq!(masker.push(Bytes::from("se")), "");
        assert_eq!(masker.push_last(Bytes::new()), "se");
    }

    #[test]
    fn a_value_of_several_lines_is_hidden_across_them() {
        let forms = forms(&["first line of it\nlast"]);
        assert_eq!(
            text(&forms, &["a\nfirst line of it\n", "la", "st\n"]),
            "a\n*********************\n"
        );
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

    /// How much comes out with each piece, and at the end.
    fn sizes(forms: &Arc<Forms>, pieces: &[&[u8]]) -> Vec<usize> {
        let mut masker = Masker::new(Arc::clone(forms));
        let pushed = pieces
            .iter()
            .map(|piece| masker.push(Bytes::copy_from_slice(piece)).len());
        let mut sizes: Vec<usize> = pushed.collect();
        sizes.push(masker.push_last(Bytes::new()).len());
        sizes
    }

    proptest! {
        #[test]
        fn what_is_held_back_is_the_same_whatever_the_values_are(
            first in "[ab]{7}",
            second in "[ab]{7}",
            body in "[ab\n]{0,60}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let pieces = cut(body.as_bytes(), &cuts);
            prop_assert_eq!(
                sizes(&forms(&[&first]), &pieces),
                sizes(&forms(&[&second]), &pieces)
            );
        }

        #[test]
        fn no_value_passes_in_any_form_however_the_body_is_cut(
            secrets in prop::collection::vec("[a-c /+\"ä\n]{5,12}", 1..4),
            picks in prop::collection::vec((any::<prop::sample::Index>(), "[a-c \n]{0,6}"), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            silences: [bool; 4],
        ) {
            let values: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let forms = forms(&values);
            let mut body = Vec::new();
            for (pick, between) in &picks {
                let known = forms.finder.forms();
                body.extend_from_slice(&known[pick.index(known.len())]);
                body.extend_from_slice(between.as_bytes());
            }
            let out = masked(&forms, &cut(&body, &cuts), &silences);
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
