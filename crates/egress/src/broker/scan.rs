//! Looking for placeholders in a body while it passes.

use std::sync::Arc;

use crate::broker::placeholders::Placeholders;

/// Sees a body piece by piece; keeps less of it than a placeholder is long.
#[derive(Debug)]
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
