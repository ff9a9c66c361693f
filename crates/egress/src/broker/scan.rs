//! Looking for placeholders in a body while it passes.

use std::sync::Arc;

use crate::broker::placeholders::Placeholders;

/// Sees a body piece by piece; keeps less of it than a placeholder is long.
#[derive(Debug, Clone)]
pub(crate) struct Scanner {
    placeholders: Arc<Placeholders>,
    /// By secret: whether it may be in this body.
    home: Vec<bool>,
    /// The end of what was seen, in which a placeholder may have begun.
    tail: Vec<u8>,
}

impl Scanner {
    pub(super) fn new(placeholders: Arc<Placeholders>, home: Vec<bool>) -> Self {
        Self {
            placeholders,
            home,
            tail: Vec::new(),
        }
    }

    /// Takes the next piece. Some: it ends or has in it a placeholder that may not be there, of
    /// the secret at this position; the piece must not go on.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Option<usize> {
        let keep = self.placeholders.longest().saturating_sub(1);
        let head = &piece[..piece.len().min(keep)];
        self.tail.extend_from_slice(head);
        let stray = |secret: &usize| !self.home[*secret];
        let across = self.placeholders.within(&self.tail).find(stray);
        let found = across.or_else(|| self.placeholders.within(piece).find(stray));
        if piece.len() > keep {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - keep..]);
        } else {
            let excess = self.tail.len().saturating_sub(keep);
            self.tail.drain(..excess);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: &str = "vm0_enc_00112233445566778899aabbccddeeff";
    const SECOND: &str = "vm0_enc_ffeeddccbbaa99887766554433221100";

    fn scanner(home: [bool; 2]) -> Scanner {
        let placeholders = Arc::new(Placeholders::new(&[FIRST, SECOND]));
        Scanner::new(placeholders, home.to_vec())
    }

    #[test]
    fn a_placeholder_at_home_does_not_hide_another() {
        let mut scanner = scanner([true, false]);
        assert_eq!(scanner.push(FIRST.as_bytes()), None);
        let both = format!("{FIRST} {SECOND}");
        assert_eq!(scanner.push(both.as_bytes()), Some(1));
    }

    proptest! {
        #[test]
        fn a_placeholder_is_found_however_the_body_is_cut(
            before in "[ -~]{0,100}",
            after in "[ -~]{0,100}",
            second: bool,
            upper: bool,
            cuts in prop::collection::vec(0usize..250, 0..12),
        ) {
            let stray = if second { SECOND } else { FIRST };
            let stray = if upper { stray.to_uppercase() } else { stray.to_owned() };
            let body = format!("{before}{stray}{after}");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let mut scanner = scanner([false, false]);
            let mut passed = 0;
            let mut found = None;
            for pair in cuts.windows(2) {
                found = scanner.push(&body.as_bytes()[pair[0]..pair[1]]);
                prop_assert!(scanner.tail.len() < FIRST.len());
                if found.is_some() {
                    break;
                }
                passed = pair[1];
            }
            prop_assert_eq!(found, Some(usize::from(second)));
            prop_assert!(passed < before.len() + stray.len(), "its end has not passed");
        }

        #[test]
        fn other_text_passes(pieces in prop::collection::vec("[vm0_enc0-9a-f]{0,30}", 0..20)) {
            let mut scanner = scanner([false, false]);
            for piece in pieces {
                prop_assert_eq!(scanner.push(piece.as_bytes()), None);
            }
        }
    }
}
