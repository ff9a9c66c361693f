//! A gzip stream in which what does not compress is only copied.
//!
//! A copied part is a sequence of stored blocks (RFC 1951, 3.2.4) after a full flush, so that
//! nothing after it refers to what is before it. All is one member, because some decoders (that of
//! browsers, for one) take no second.

use std::io::{self, Write};

use flate2::{Compress, CompressError, Compression, Crc, FlushCompress, Status};

/// Magic, deflate, no flags, no time, no extra flags, unknown system (RFC 1952).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
const GROW_BYTES: usize = 64 << 10;
const STORED_MAX_BYTES: usize = u16::MAX as usize;

/// Compresses into memory, from where [`GzipWriter::take`] fetches it.
pub(crate) struct GzipWriter {
    deflate: Compress,
    copies: bool,
    checksum: Crc,
    out: Vec<u8>,
}

impl GzipWriter {
    pub(crate) fn new() -> Self {
        Self {
            deflate: Compress::new(Compression::fast(), false),
            copies: false,
            checksum: Crc::new(),
            out: HEADER.to_vec(),
        }
    }

    /// Whether what is written from now on is only copied.
    pub(crate) fn set_copies(&mut self, copies: bool) -> io::Result<()> {
        if copies && !self.copies {
            self.run(&[], FlushCompress::Full)?;
        }
        self.copies = copies;
        Ok(())
    }

    /// Bytes that can be taken.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// What was compressed since the last call.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Ends the stream.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.run(&[], FlushCompress::Finish)?;
        self.out.extend(self.checksum.sum().to_le_bytes());
        self.out.extend(self.checksum.amount().to_le_bytes());
        Ok(())
    }

    fn copy(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(STORED_MAX_BYTES) {
            let len = u16::try_from(block.len()).expect("a block is short");
            self.out.push(0);
            self.out.extend(len.to_le_bytes());
            self.out.extend((!len).to_le_bytes());
            self.out.extend_from_slice(block);
        }
    }

    fn run(&mut self, mut bytes: &[u8], flush: FlushCompress) -> Result<(), CompressError> {
        loop {
            self.out.reserve(GROW_BYTES);
            let before = self.deflate.total_in();
            let status = self.deflate.compress_vec(bytes, &mut self.out, flush)?;
            let taken = usize::try_from(self.deflate.total_in() - before).unwrap_or(bytes.len());
            bytes = &bytes[taken..];
            let room = self.out.len() < self.out.capacity();
            let done = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                _ => bytes.is_empty() && room,
            };
            if done {
                return Ok(());
            }
        }
    }
}

impl Write for GzipWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.checksum.update(bytes);
        if self.copies {
            self.copy(bytes);
        } else {
            self.run(bytes, FlushCompress::None)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_copied_and_compressed_in_turn_is_read_as_one_member(
            pieces in proptest::collection::vec((any::<bool>(), 0_usize..200_000, any::<u8>()), 0..12),
        ) {
            let mut gzip = GzipWriter::new();
            let (mut plain, mut packed) = (Vec::new(), Vec::new());
            for (copies, len, seed) in pieces {
                let bytes: Vec<u8> = (0..len).map(|n| (n * n / 7 + usize::from(seed)) as u8).collect();
                gzip.set_copies(copies).unwrap();
                gzip.write_all(&bytes).unwrap();
                packed.extend(gzip.take());
                plain.extend(bytes);
            }
            gzip.finish().unwrap();
            packed.extend(gzip.take());
            let mut reader = flate2::bufread::GzDecoder::new(&packed[..]);
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            prop_assert_eq!(read, plain);
            prop_assert!(reader.into_inner().is_empty());
        }
    }
}
