//! Versions as `.tar.gz`, streamed from packs (API 8.6).

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;
use tar::{EntryType, Header};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::blobs::{Blobs, ByteStream};
use crate::fetch::{Fetched, fetch, plan};
use crate::manifest::{Content, Entry, Manifest};
use crate::pack::chunk_read;

const BLOCK_BYTES: usize = 512;
const NAME_MAX_BYTES: usize = 100;
/// Bytes that leave at a time, and how many of those wait for a slow reader.
const PIECE_BYTES: usize = 256 << 10;
const PIECES_AHEAD: usize = 4;

impl Blobs {
    /// The entries of `manifest` as a gzip'd tar, in the order of their paths. The same manifest
    /// gives the same bytes. Memory is bounded whatever the size; dropping the stream stops the
    /// work.
    ///
    /// An error in the stream means that a pack could not be read or is damaged: what was received
    /// until then is not an archive.
    pub fn archive(&self, manifest: Manifest) -> ByteStream {
        let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
        let (fetched_sender, fetched) = mpsc::channel(1);
        let requests = plan(manifest.chunks().copied());
        let blobs = self.clone();
        tokio::spawn(async move {
            let mut answers = std::pin::pin!(fetch(&blobs, requests));
            while let Some(answer) = answers.next().await {
                let last = answer.is_err();
                if fetched_sender
                    .send(answer.map_err(io::Error::other))
                    .await
                    .is_err()
                    || last
                {
                    return;
                }
            }
        });
        tokio::task::spawn_blocking(move || {
            let frames = Frames {
                fetched,
                current: None,
            };
            let failed = pieces.clone();
            if let Err(error) = write_archive(&manifest, frames, Pieces::new(pieces)) {
                // Nobody listens any more if this fails.
                let _ = failed.blocking_send(Err(error));
            }
        });
        ReceiverStream::new(receiver).boxed()
    }
}

/// The frames of a manifest's chunks, in the order of its entries.
struct Frames {
    fetched: mpsc::Receiver<io::Result<Fetched>>,
    current: Option<Fetched>,
}

impl Frames {
    /// The bytes of the next chunk.
    fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some((chunk, frame)) = self.current.as_mut().and_then(Fetched::next) {
                return chunk_read(&chunk, &frame).map_err(io::Error::other);
            }
            let answer = self.fetched.blocking_recv();
            self.current = Some(answer.ok_or(io::ErrorKind::UnexpectedEof)??);
        }
    }
}

fn write_archive(manifest: &Manifest, mut frames: Frames, out: Pieces) -> io::Result<()> {
    let mut out = GzEncoder::new(out, Compression::fast());
    for entry in manifest.entries() {
        write_header(&mut out, entry)?;
        if let Content::File(file) = &entry.content {
            for _ in &file.chunks {
                out.write_all(&frames.next()?)?;
            }
            pad(&mut out, file.size)?;
        }
    }
    out.write_all(&[0; 2 * BLOCK_BYTES])?;
    out.finish()?.flush()
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

/// Cuts what is written into pieces and hands them to the stream.
struct Pieces {
    buffer: Vec<u8>,
    sender: mpsc::Sender<io::Result<Bytes>>,
}

impl Pieces {
    fn new(sender: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self {
            buffer: Vec::with_capacity(PIECE_BYTES),
            sender,
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        let sent = self.sender.blocking_send(Ok(piece.into()));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
