//! Versions as `.tar.gz`, streamed from packs (API 8.6).

use std::io::{self, Write};

use bytes::Bytes;
use futures::StreamExt;
use tar::{EntryType, Header};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::ReceiverStream;

use crate::blobs::{Blobs, ByteStream};
use crate::fetch::{Fetched, fetch, plan};
use crate::gzip::GzipWriter;
use crate::manifest::{Content, Entry, Manifest};
use crate::pack::chunk_read_into;

const BLOCK_BYTES: usize = 512;
const NAME_MAX_BYTES: usize = 100;
/// Bytes that leave at a time, and how many of those wait for a slow reader.
const PIECE_BYTES: usize = 256 << 10;
const PIECES_AHEAD: usize = 4;
/// A file of which zstd saves less than one such part does not compress.
const INCOMPRESSIBLE_SHARE: u64 = 32;
/// For a shorter file it is not worth while to change the level.
const COPIED_MIN_BYTES: u64 = 16 << 10;

impl Blobs {
    /// The entries of `manifest` as a gzip'd tar, in the order of their paths. The same manifest
    /// gives the same bytes. Memory is bounded whatever the size, and no thread waits for a slow
    /// reader; dropping the stream stops the work.
    ///
    /// An error in the stream means that a pack could not be read or is damaged: what was received
    /// until then is not an archive.
    pub fn archive(&self, manifest: Manifest) -> ByteStream {
        let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
        let blobs = self.clone();
        tokio::spawn(async move {
            if let Err(error) = send_archive(&blobs, manifest, &pieces).await {
                // Nobody listens any more if this fails.
                let _ = pieces.send(Err(error)).await;
            }
        });
        ReceiverStream::new(receiver).boxed()
    }
}

async fn send_archive(
    blobs: &Blobs,
    manifest: Manifest,
    pieces: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let requests = plan(manifest.chunks().copied());
    let mut answers = std::pin::pin!(fetch(blobs, requests));
    let mut writer = ArchiveWriter::new(manifest);
    loop {
        let step;
        (writer, step) = spawn_blocking(move || {
            let step = writer.step();
            (writer, step)
        })
        .await?;
        match step? {
            Step::Piece(bytes) => {
                if pieces.send(Ok(bytes)).await.is_err() {
                    return Ok(());
                }
            }
            Step::NeedsFrames => {
                let answer = answers.next().await.ok_or(io::ErrorKind::UnexpectedEof)?;
                writer.frames = Some(answer.map_err(io::Error::other)?);
            }
            Step::Done => return Ok(()),
        }
    }
}

/// An archive as far as it is written.
struct ArchiveWriter {
    manifest: Manifest,
    /// The entry that comes next, or of which `chunk` comes next once it has its header.
    entry: usize,
    has_header: bool,
    chunk: usize,
    frames: Option<Fetched>,
    /// A chunk, and how much of it is in `out`.
    content: Vec<u8>,
    written: usize,
    out: GzipWriter,
    finished: bool,
}

/// How far a step went.
enum Step {
    /// Bytes of the archive.
    Piece(Bytes),
    /// The next frames must be set before the next step.
    NeedsFrames,
    /// All bytes were given.
    Done,
}

impl ArchiveWriter {
    fn new(manifest: Manifest) -> Self {
        Self {
            manifest,
            entry: 0,
            has_header: false,
            chunk: 0,
            frames: None,
            content: Vec::new(),
            written: 0,
            out: GzipWriter::new(),
            finished: false,
        }
    }

    /// Writes until there is a piece to send or frames are needed.
    fn step(&mut self) -> io::Result<Step> {
        while !self.finished && self.out.len() < PIECE_BYTES {
            if self.written < self.content.len() {
                let rest = &self.content[self.written..];
                let part = &rest[..rest.len().min(PIECE_BYTES)];
                self.out.write_all(part)?;
                self.written += part.len();
                continue;
            }
            let Some(entry) = self.manifest.entries().get(self.entry) else {
                self.out.write_all(&[0; 2 * BLOCK_BYTES])?;
                self.out.finish()?;
                self.finished = true;
                break;
            };
            if !self.has_header {
                self.out.set_copies(false)?;
                write_header(&mut self.out, entry)?;
                self.out.set_copies(is_copied(entry))?;
                self.has_header = true;
            }
            if let Content::File(file) = &entry.content {
                if self.chunk < file.chunks.len() {
                    let Some((chunk, frame)) = self.frames.as_mut().and_then(Fetched::next) else {
                        return Ok(Step::NeedsFrames);
                    };
                    chunk_read_into(&chunk, &frame, &mut self.content).map_err(io::Error::other)?;
                    self.written = 0;
                    self.chunk += 1;
                    continue;
                }
                pad(&mut self.out, file.size)?;
            }
            self.entry += 1;
            self.has_header = false;
            self.chunk = 0;
        }
        let piece = self.out.take();
        if piece.is_empty() {
            return Ok(Step::Done);
        }
        Ok(Step::Piece(piece.into()))
    }
}

/// What zstd did not make smaller, gzip need not try.
fn is_copied(entry: &Entry) -> bool {
    let Content::File(file) = &entry.content else {
        return false;
    };
    let lengths = file.chunks.iter().map(|chunk| u64::from(chunk.stored_len));
    let stored: u64 = lengths.sum();
    let compresses = stored < file.size - file.size / INCOMPRESSIBLE_SHARE;
    !compresses && file.size >= COPIED_MIN_BYTES
}

fn write_header(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let mut header = Header::new_gnu();
    let (kind, mode, size) = match &entry.content {
        Content::File(file) if file.executable => (EntryType::Regular, 0o755, file.size),
        Content::File(file) => (EntryType::Regular, 0o644, file.size),
        Content::Symlink { .. } => (EntryType::Symlink, 0o777, 0),
    };
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    fill(&mut header);
    if let Content::Symlink { target } = &entry.content {
        let field = &mut header.as_old_mut().linkname;
        write_name(out, EntryType::GNULongLink, target.as_bytes(), field)?;
    }
    let field = &mut header.as_old_mut().name;
    write_name(out, EntryType::GNULongName, entry.path.as_bytes(), field)?;
    header.set_cksum();
    out.write_all(header.as_bytes())
}

/// Puts `name` into its field, and before that the whole of it into a member of its own if it is
/// longer than the field. (`Header::set_path` would normalise it.)
fn write_name(
    out: &mut impl Write,
    kind: EntryType,
    name: &[u8],
    field: &mut [u8; NAME_MAX_BYTES],
) -> io::Result<()> {
    let fitting = name.len().min(NAME_MAX_BYTES);
    field[..fitting].copy_from_slice(&name[..fitting]);
    if name.len() <= NAME_MAX_BYTES {
        return Ok(());
    }
    let mut header = Header::new_gnu();
    let long_link = b"././@LongLink";
    header.as_old_mut().name[..long_link.len()].copy_from_slice(long_link);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(name.len() as u64 + 1);
    fill(&mut header);
    header.set_cksum();
    out.write_all(header.as_bytes())?;
    out.write_all(name)?;
    out.write_all(&[0])?;
    pad(out, name.len() as u64 + 1)
}

/// The fields that do not depend on the member.
fn fill(header: &mut Header) {
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
}

fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let over = (size % BLOCK_BYTES as u64) as usize;
    let missing = if over == 0 { 0 } else { BLOCK_BYTES - over };
    out.write_all(&[0; BLOCK_BYTES][..missing])
}
