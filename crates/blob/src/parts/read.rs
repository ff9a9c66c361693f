//! A part that was sent. It comes from anybody: nothing of it is believed.

use std::fmt;
use std::io::{self, Read};

use sha2::{Digest, Sha256};
use vm0_model::PackId;
use zstd::zstd_safe::{find_frame_compressed_size, get_frame_content_size};

use super::plan::Wanted;
use crate::pack::{FRAME_MAX_BYTES, HashingReader, PACK_HEADER};

/// What is wrong with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartFault {
    /// It does not begin like a pack.
    Header,
    /// It ends before its last chunk, or in it, or a chunk is no zstd frame of its own.
    Frame,
    /// A frame does not say that it holds as many bytes as the chunk has.
    Size,
    /// A frame does not decompress to the chunk.
    Content,
    /// Something follows the last chunk.
    Trailing,
}

impl fmt::Display for PartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "does not begin like a pack",
            Self::Frame => "does not hold a zstd frame for each of its chunks",
            Self::Size => "has a chunk of another size than declared",
            Self::Content => "has a chunk of another hash than declared",
            Self::Trailing => "goes on after its last chunk",
        })
    }
}

/// Why a part was not read to its end.
#[derive(Debug)]
pub(crate) enum ReadError {
    Fault(PartFault),
    Io(io::Error),
}

impl From<PartFault> for ReadError {
    fn from(fault: PartFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Where a chunk is in its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) stored_len: u32,
}

/// A part that holds what it should.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadPart {
    /// What it is called as a pack.
    pub(crate) id: PackId,
    /// The places of its chunks, in order.
    pub(crate) places: Vec<Place>,
}

/// Reads a part, which must hold exactly the chunks `wanted`. Those that are verified with their
/// file are not decompressed here; of all others every byte is.
pub(crate) fn read_part(part: impl Read, wanted: &[Wanted]) -> Result<ReadPart, ReadError> {
    let mut frames = Frames::new(part)?;
    let mut decompressor = zstd::bulk::Decompressor::new()?;
    let mut plain = Vec::new();
    let mut places = Vec::with_capacity(wanted.len());
    for chunk in wanted {
        let (place, frame) = frames.next()?.ok_or(PartFault::Frame)?;
        let said = get_frame_content_size(frame).ok().flatten();
        if said != Some(u64::from(chunk.len)) {
            return Err(PartFault::Size.into());
        }
        if !chunk.with_file {
            plain.clear();
            plain.reserve_exact(chunk.len as usize);
            let intact = decompressor.decompress_to_buffer(frame, &mut plain).is_ok()
                && plain.len() == chunk.len as usize
                && Sha256::digest(&plain)[..] == chunk.hash.digest()[..];
            intact.then_some(()).ok_or(PartFault::Content)?;
        }
        places.push(place);
    }
    let id = frames.finish()?;
    Ok(ReadPart { id, places })
}

/// The frames of a part, one after the other, in bounded memory.
struct Frames<R> {
    part: HashingReader<R>,
    buffer: Vec<u8>,
    start: usize,
    /// Bytes of the part before the buffer.
    before: u64,
    at_end: bool,
}

impl<R: Read> Frames<R> {
    fn new(part: R) -> Result<Self, ReadError> {
        let mut part = HashingReader::new(part);
        let mut header = Vec::new();
        (&mut part)
            .take(PACK_HEADER.len() as u64)
            .read_to_end(&mut header)?;
        if header != PACK_HEADER {
            return Err(PartFault::Header.into());
        }
        Ok(Self {
            part,
            buffer: Vec::with_capacity(FRAME_MAX_BYTES),
            start: 0,
            before: PACK_HEADER.len() as u64,
            at_end: false,
        })
    }

    /// The next frame; none at the end of the part.
    fn next(&mut self) -> Result<Option<(Place, &[u8])>, ReadError> {
        loop {
            let held = &self.buffer[self.start..];
            let len = find_frame_compressed_size(held).ok();
            if let Some(len) = len.filter(|len| (1..=held.len()).contains(len)) {
                let place = Place {
                    offset: self.before + self.start as u64,
                    stored_len: u32::try_from(len).map_err(|_| PartFault::Frame)?,
                };
                let frame = self.start..self.start + len;
                self.start = frame.end;
                return Ok(Some((place, &self.buffer[frame])));
            }
            if self.at_end && held.is_empty() {
                return Ok(None);
            }
            // A frame that is not whole although no more of it comes, or fits.
            if self.at_end || held.len() >= FRAME_MAX_BYTES {
                return Err(PartFault::Frame.into());
            }
            self.refill()?;
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.before += self.start as u64;
        self.buffer.drain(..self.start);
        self.start = 0;
        let room = (FRAME_MAX_BYTES - self.buffer.len()) as u64;
        let count = (&mut self.part).take(room).read_to_end(&mut self.buffer)?;
        self.at_end = count == 0;
        Ok(())
    }

    /// The id of the part, of which nothing may be left.
    fn finish(mut self) -> Result<PackId, ReadError> {
        if self.start < self.buffer.len() {
            return Err(PartFault::Trailing.into());
        }
        self.refill()?;
        if !self.at_end {
            return Err(PartFault::Trailing.into());
        }
        Ok(PackId::from_digest(self.part.finish()))
    }
}
