//! Output kept within a bound: all of it, or its beginning and its end.

use std::collections::VecDeque;

const HALF: usize = 256 * 1024;

/// Collected output.
#[derive(Debug, Default)]
pub(super) struct Output {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: usize,
}

impl Output {
    /// Adds bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(HALF - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(HALF);
        self.tail.drain(..excess);
        self.left_out += excess;
    }

    /// All as text, with a line in the middle for what was left out.
    pub(super) fn text(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.left_out == 0 {
            return String::from_utf8_lossy(&[self.head.as_slice(), &tail].concat()).into_owned();
        }
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("[... {} bytes left out ...]\n", self.left_out));
        text.push_str(&String::from_utf8_lossy(&tail));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_within_the_bound_is_kept_whole() {
        let mut output = Output::default();
        output.push(&vec![b'a'; HALF]);
        output.push(&vec![b'b'; HALF]);
        assert_eq!(output.text().len(), 2 * HALF);
    }

    #[test]
    fn output_beyond_the_bound_keeps_both_ends() {
        let mut output = Output::default();
        for _ in 0..3 * HALF / 1024 {
            output.push(&[b'x'; 1024]);
        }
        output.push(b"end");
        let text = output.text();
        assert!(text.contains(&format!("[... {} bytes left out ...]\n", HALF + 3)));
        assert!(text.ends_with("xend"));
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        let mut output = Output::default();
        output.push(b"a\xffb");
        assert_eq!(output.text(), "a\u{fffd}b");
    }
}
