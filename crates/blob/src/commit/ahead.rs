//! Reading ahead on a thread of its own: an archive is decompressed while what came before is
//! hashed and stored.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

const BLOCK_BYTES: usize = 256 << 10;
const BLOCKS_AHEAD: usize = 8;

/// What another thread reads, in order. That thread ends soon after this is dropped.
pub(super) struct ReadAhead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    current: Vec<u8>,
    used: usize,
    /// Why nothing more comes: the end, or what follows an error.
    over: Option<Over>,
}

#[derive(Clone, Copy)]
enum Over {
    End,
    Error,
}

impl ReadAhead {
    /// Begins to read.
    pub(super) fn start(reader: impl Read + Send + 'static) -> Self {
        let (sender, blocks) = sync_channel(BLOCKS_AHEAD);
        std::thread::spawn(move || read_all(reader, &sender));
        Self {
            blocks,
            current: Vec::new(),
            used: 0,
            over: None,
        }
    }
}

fn read_all(mut reader: impl Read, blocks: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let read = reader
            .by_ref()
            .take(BLOCK_BYTES as u64)
            .read_to_end(&mut block);
        let over = match read {
            Ok(count) => blocks.send(Ok(block)).is_err() || count == 0,
            Err(error) => {
                // What came before the error is still read.
                if !block.is_empty() {
                    let _ = blocks.send(Ok(block));
                }
                let _ = blocks.send(Err(error));
                true
            }
        };
        if over {
            return;
        }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.current.len() {
            match self.over {
                Some(Over::End) => return Ok(0),
                Some(Over::Error) => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => {}
            }
            // Until an empty block has come, silence is an error.
            self.over = Some(Over::Error);
            let gone = || Err(io::ErrorKind::UnexpectedEof.into());
            self.current = self.blocks.recv().unwrap_or_else(|_| gone())?;
            self.over = self.current.is_empty().then_some(Over::End);
            self.used = 0;
        }
        let count = buffer.len().min(self.current.len() - self.used);
        buffer[..count].copy_from_slice(&self.current[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    #[test]
    fn all_is_read_in_order() {
        let bytes: Vec<u8> = (0..3 * BLOCK_BYTES + 5).map(|n| (n / 7) as u8).collect();
        let mut read = Vec::new();
        let mut ahead = ReadAhead::start(io::Cursor::new(bytes.clone()));
        ahead.read_to_end(&mut read).unwrap();
        assert!(read == bytes);
        assert_eq!(ahead.read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn an_error_comes_after_what_was_read_before_it_and_stays() {
        let mut ahead = ReadAhead::start(io::Cursor::new(b"abc").chain(Broken));
        let mut read = Vec::new();
        let error = ahead.read_to_end(&mut read).unwrap_err();
        assert_eq!(
            (error.kind(), &read[..]),
            (io::ErrorKind::InvalidData, &b"abc"[..])
        );
        assert!(ahead.read(&mut [0; 8]).is_err());
    }

    #[test]
    fn an_endless_stream_is_given_up_with_its_reader() {
        let mut ahead = ReadAhead::start(io::repeat(1));
        assert_eq!(ahead.read(&mut [0; 8]).unwrap(), 8);
        drop(ahead);
    }
}
