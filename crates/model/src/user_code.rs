//! The code that a person types on the page `/device` (RFC 8628, 6.1).

use std::fmt;
use std::str::FromStr;

/// The letters of a code: consonants, so that no word comes out and none is taken for a digit.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a code: 20⁸ codes, over 34 bits.
const LETTERS: usize = 8;
/// Random bytes from this value on are left out, so that every letter is as likely.
const FAIR: u8 = 240;

/// The text is not a user code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a user code: it has {LETTERS} letters like BCDF-GHJK")]
pub struct UserCodeError;

/// A user code, `BCDF-GHJK` when it is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    /// The code made of these random bytes; `None` if too many of them are of no use, which is seldom.
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        let fair = bytes.into_iter().filter(|byte| *byte < FAIR);
        let letter = |byte: u8| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]);
        let letters: String = fair.map(letter).take(LETTERS).collect();
        (letters.len() == LETTERS).then_some(Self(letters))
    }

    /// The letters alone.
    pub fn letters(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = self.0.split_at(LETTERS / 2);
        write!(f, "{start}-{end}")
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(..)")
    }
}

/// As people type it: in any case, with or without hyphens and spaces.
impl FromStr for UserCode {
    type Err = UserCodeError;

    fn from_str(text: &str) -> Result<Self, UserCodeError> {
        let is_gap = |c: &char| *c == '-' || c.is_ascii_whitespace();
        let mut letters = String::with_capacity(LETTERS);
        for c in text.chars().filter(|c| !is_gap(c)) {
            let letter = c.to_ascii_uppercase();
            let known = u8::try_from(letter).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !known || letters.len() == LETTERS {
                return Err(UserCodeError);
            }
            letters.push(letter);
        }
        (letters.len() == LETTERS)
            .then_some(Self(letters))
            .ok_or(UserCodeError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code: UserCode = "BCDF-GHJK".parse().unwrap();
        for text in [
            "bcdfghjk",
            " bcdf ghjk ",
            "B-C-D-F-G-H-J-K",
            "BCDF—GHJK".replace('—', "-").as_str(),
        ] {
            assert_eq!(text.parse(), Ok(code.clone()), "{text}");
        }
        for text in [
            "",
            "BCDF-GHJ",
            "BCDF-GHJKL",
            "ACDF-GHJK",
            "BCDF-GHJ1",
            "ｂcdfghjk",
            "BCDF_GHJK",
        ] {
            assert_eq!(text.parse::<UserCode>(), Err(UserCodeError), "{text}");
        }
    }

    #[test]
    fn bytes_that_would_favour_a_letter_make_none() {
        assert_eq!(UserCode::from_bytes([FAIR; 32]), None);
        let mut bytes = [u8::MAX; 32];
        bytes[24..].copy_from_slice(&[0, 19, 20, 39, 1, 2, 3, 239]);
        let code = UserCode::from_bytes(bytes).unwrap();
        assert_eq!(code.to_string(), "BZBZ-CDFZ");
    }

    proptest! {
        #[test]
        fn a_code_reads_back_as_it_is_shown(bytes: [u8; 32]) {
            if let Some(code) = UserCode::from_bytes(bytes) {
                prop_assert_eq!(code.to_string().parse(), Ok(code.clone()));
                prop_assert_eq!(code.letters().parse(), Ok(code));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = text.parse::<UserCode>();
        }
    }
}
