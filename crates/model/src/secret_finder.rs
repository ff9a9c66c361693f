//! Finding the values of secrets in text.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use aho_corasick::AhoCorasick;
use secrecy::zeroize::Zeroizing;

use crate::secret_form::secret_forms;

/// An automaton for whole forms takes a hundred times their size, and seconds to make for a value
/// of some kilobytes: it looks for this many bytes, and the rest is compared.
const PREFIX_BYTES: usize = 16;

/// Finds every form of some secrets.
pub struct SecretFinder {
    prefixes: AhoCorasick,
    /// By pattern of `prefixes`: the forms that begin so.
    begun: Vec<Range<usize>>,
    /// In ascending order, so that those with one beginning stand together.
    forms: Vec<Zeroizing<Vec<u8>>>,
    longest: usize,
}

impl SecretFinder {
    /// Looks for the forms of `values`.
    pub fn new<'v>(values: impl Iterator<Item = &'v str>) -> Self {
        let forms: BTreeSet<String> = values.flat_map(secret_forms).collect();
        let forms: Vec<_> = forms
            .into_iter()
            .map(|form| Zeroizing::new(form.into_bytes()))
            .collect();
        let mut begun: BTreeMap<&[u8], Range<usize>> = BTreeMap::new();
        for (index, form) in forms.iter().enumerate() {
            let prefix = &form[..form.len().min(PREFIX_BYTES)];
            begun.entry(prefix).or_insert(index..index).end = index + 1;
        }
        let prefixes = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(begun.keys())
            .expect("beginnings of forms of 128 KiB of secrets fit an automaton");
        Self {
            prefixes,
            begun: begun.into_values().collect(),
            longest: forms.iter().map(|form| form.len()).max().unwrap_or(0),
            forms,
        }
    }

    /// Every form, in ascending order.
    pub fn forms(&self) -> &[Zeroizing<Vec<u8>>] {
        &self.forms
    }

    /// Bytes of the longest form.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Where forms are in `bytes`: all of them, overlapping ones too, in no particular order.
    pub fn occurrences(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        self.places(bytes, |form, text| text.starts_with(form))
    }

    /// Whether `bytes` have a form in them, in upper or lower case.
    pub fn is_in_any_case(&self, bytes: &[u8]) -> bool {
        let same = |form: &[u8], text: &[u8]| {
            text.get(..form.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(form))
        };
        !self.places(bytes, same).is_empty()
    }

    fn places(&self, bytes: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        if self.forms.is_empty() {
            return places;
        }
        for prefix in self.prefixes.find_overlapping_iter(bytes) {
            let text = &bytes[prefix.start()..];
            for form in &self.forms[self.begun[prefix.pattern().as_usize()].clone()] {
                if same(form, text) {
                    places.push(prefix.start()..prefix.start() + form.len());
                }
            }
        }
        places
    }
}

impl std::fmt::Debug for SecretFinder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretFinder")
            .field("forms", &self.forms.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_of_the_largest_size_is_found_without_an_automaton_of_its_size() {
        let value: String = (0..65_536u32)
            .map(|n| char::from(b'!' + u8::try_from(n * 7919 % 90).unwrap()))
            .collect();
        let finder = SecretFinder::new([value.as_str()].into_iter());
        assert!(finder.prefixes.memory_usage() < 1 << 20);
        let text = format!("a {value} b");
        assert!(
            finder
                .occurrences(text.as_bytes())
                .contains(&(2..2 + value.len()))
        );
        assert!(finder.occurrences(&value.as_bytes()[..65_535]).is_empty());
    }

    #[test]
    fn names_in_another_case_are_found_if_asked_for() {
        let finder = SecretFinder::new(["Secret-Value-Of-Some-Length"].into_iter());
        assert!(
            finder
                .occurrences(b"x-secret-value-of-some-length")
                .is_empty()
        );
        assert!(finder.is_in_any_case(b"x-secret-value-of-some-length"));
        assert!(!finder.is_in_any_case(b"x-secret-value-of-some-lengtx"));
    }

    proptest! {
        #[test]
        fn it_finds_what_a_search_at_every_place_finds(
            values in prop::collection::vec("[ab/]{5,24}", 1..4),
            text in "[ab/%2F]{0,80}",
        ) {
            let finder = SecretFinder::new(values.iter().map(String::as_str));
            let bytes = text.as_bytes();
            let mut expected = Vec::new();
            for at in 0..bytes.len() {
                for form in finder.forms() {
                    if bytes[at..].starts_with(form) {
                        expected.push(at..at + form.len());
                    }
                }
            }
            let mut found = finder.occurrences(bytes);
            found.sort_by_key(|range| (range.start, range.end));
            expected.sort_by_key(|range| (range.start, range.end));
            prop_assert_eq!(found, expected);
        }
    }
}
