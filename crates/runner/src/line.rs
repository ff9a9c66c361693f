//! Output of the agent, cut into lines. What arrives is hostile: a line may be endless.

use std::pin::Pin;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use vm0_model::limits;

const READ_BYTES: usize = 64 << 10;

/// One line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// All of it.
    Whole(Vec<u8>),
    /// The beginning of a line that is too long to be parsed.
    Cut {
        /// Its beginning.
        head: Vec<u8>,
        /// Bytes of the whole line.
        len: u64,
    },
}

/// Reads lines from one stream.
pub(crate) struct Lines {
    input: Pin<Box<dyn AsyncRead + Send>>,
    buffer: BytesMut,
    /// Bytes of `buffer` that hold no line end.
    searched: usize,
    /// Bytes of an overlong line that were thrown away.
    dropped: u64,
    head_max: usize,
    ended: bool,
}

impl Lines {
    /// Lines of `input`; at most `head_max` bytes of an overlong one are kept.
    pub(crate) fn new(input: Pin<Box<dyn AsyncRead + Send>>, head_max: usize) -> Self {
        Self {
            input,
            buffer: BytesMut::new(),
            searched: 0,
            dropped: 0,
            head_max,
            ended: false,
        }
    }

    /// The next line, or `None` at the end. What is left without a line end is a line.
    ///
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.take_line() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            self.buffer.reserve(READ_BYTES);
            match self.input.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => self.ended = true,
                Ok(_) => {}
            }
        }
    }

    fn take_line(&mut self) -> Option<Line> {
        let end = self.buffer[self.searched..]
            .iter()
            .position(|&byte| byte == b'\n');
        if let Some(end) = end.map(|end| end + self.searched) {
            let mut line = self.buffer.split_to(end + 1);
            line.truncate(end);
            return Some(self.finish(&line));
        }
        if self.ended && !(self.buffer.is_empty() && self.dropped == 0) {
            let line = self.buffer.split();
            return Some(self.finish(&line));
        }
        if self.dropped > 0 || self.buffer.len() > limits::LINE_MAX_BYTES {
            let kept = self.buffer.len().min(self.head_max);
            self.dropped += (self.buffer.len() - kept) as u64;
            self.buffer.truncate(kept);
        }
        self.searched = self.buffer.len();
        None
    }

    fn finish(&mut self, line: &[u8]) -> Line {
        self.searched = 0;
        let len = line.len() as u64 + std::mem::take(&mut self.dropped);
        if len > limits::LINE_MAX_BYTES as u64 {
            let head = line[..line.len().min(self.head_max)].to_vec();
            return Line::Cut { head, len };
        }
        Line::Whole(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn lines(chunks: &[&[u8]], head_max: usize) -> Vec<Line> {
        let mut input = tokio_test_input(chunks);
        let mut lines = Lines::new(input.take().unwrap(), head_max);
        let mut read = Vec::new();
        while let Some(line) = lines.next().await {
            read.push(line);
        }
        read
    }

    fn tokio_test_input(chunks: &[&[u8]]) -> Option<Pin<Box<dyn AsyncRead + Send>>> {
        let chunks: Vec<std::io::Result<bytes::Bytes>> = chunks
            .iter()
            .map(|chunk| Ok(bytes::Bytes::copy_from_slice(chunk)))
            .collect();
        Some(Box::pin(tokio_util::io::StreamReader::new(
            futures::stream::iter(chunks),
        )))
    }

    #[tokio::test]
    async fn what_is_left_without_an_end_is_a_line() {
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(
            lines(&[b"a\nb", b"c\r\n", b"\nrest"], 10).await,
            [whole("a"), whole("bc"), whole(""), whole("rest")]
        );
        assert!(lines(&[], 10).await.is_empty());
    }

    #[tokio::test]
    async fn an_endless_line_takes_bounded_memory() {
        let chunk = vec![b'x'; 1 << 20];
        let mut chunks: Vec<&[u8]> = vec![&chunk; 40];
        chunks.push(b"y\nnext\n");
        let read = lines(&chunks, 100).await;
        let expected = [
            Line::Cut {
                head: vec![b'x'; 100],
                len: (40 << 20) + 1,
            },
            Line::Whole(b"next".into()),
        ];
        assert_eq!(read, expected);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_they_arrive(text in "[ab\n]{0,60}", size in 1usize..10) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let read = runtime.block_on(lines(&chunks, 10));
            let expected: Vec<Line> =
                text.lines().map(|line| Line::Whole(line.as_bytes().to_vec())).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
