//! Gzip that does not try what does not compress.
//!
//! A sample of each piece decides whether it is compressed or only framed. Where that changes, a
//! new gzip member begins (RFC 1952, 2.2).

use std::io::{self, Write};

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};

const PIECE_BYTES: usize = 1 << 20;
const SAMPLE_BYTES: usize = 16 << 10;
/// A sample that keeps more than this many hundredths of its size does not compress.
const INCOMPRESSIBLE_PERCENT: usize = 95;

/// Compresses what is written to `out`.
pub(super) struct Packer<W: Write> {
    encoder: Option<GzEncoder<W>>,
    level: Compression,
    piece: Vec<u8>,
    sample: Vec<u8>,
}

impl<W: Write> Packer<W> {
    pub(super) fn new(out: W) -> Self {
        let level = Compression::fast();
        Self {
            encoder: Some(GzEncoder::new(out, level)),
            level,
            piece: Vec::with_capacity(PIECE_BYTES),
            sample: Vec::with_capacity(SAMPLE_BYTES),
        }
    }

    /// Ends the last member.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.pack()?;
        self.take_encoder().finish()
    }

    fn pack(&mut self) -> io::Result<()> {
        let level = match self.compresses()? {
            true => Compression::fast(),
            false => Compression::none(),
        };
        if level != self.level {
            let out = self.take_encoder().finish()?;
            self.encoder = Some(GzEncoder::new(out, level));
            self.level = level;
        }
        let encoder = self.encoder.as_mut().expect("an encoder is always there");
        encoder.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }

    fn compresses(&mut self) -> io::Result<bool> {
        let start = self.piece.len().saturating_sub(SAMPLE_BYTES) / 2;
        let sample = &self.piece[start..self.piece.len().min(start + SAMPLE_BYTES)];
        self.sample.clear();
        let mut deflate = Compress::new(Compression::fast(), false);
        deflate.compress_vec(sample, &mut self.sample, FlushCompress::Finish)?;
        let limit = sample.len() * INCOMPRESSIBLE_PERCENT / 100;
        // What found no room in as many bytes is not smaller.
        Ok(sample.is_empty() || self.sample.len() < limit)
    }

    fn take_encoder(&mut self) -> GzEncoder<W> {
        self.encoder.take().expect("an encoder is always there")
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE_BYTES {
            self.pack()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::*;

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut packer = Packer::new(Vec::new());
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn text_becomes_smaller_noise_hardly_longer_and_both_are_read_back() {
        let text = b"All work and no play makes Jack a dull boy. ".repeat(100_000);
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .take(3 << 20)
        .collect();
        assert!(packed(&text).len() < text.len() / 10);
        assert!(packed(&noise).len() < noise.len() + noise.len() / 100);
        let mixed = [&text[..], &noise, &text].concat();
        let mut read = Vec::new();
        MultiGzDecoder::new(&packed(&mixed)[..])
            .read_to_end(&mut read)
            .unwrap();
        assert!(read == mixed);
    }

    #[test]
    fn nothing_is_an_empty_member() {
        let mut read = Vec::new();
        MultiGzDecoder::new(&packed(b"")[..])
            .read_to_end(&mut read)
            .unwrap();
        assert!(read.is_empty());
    }
}
