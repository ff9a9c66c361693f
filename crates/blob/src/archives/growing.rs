//! Reading an archive while it is written.

use std::future::ready;
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use vm0_model::ManifestId;

use crate::blobs::{Blobs, ByteStream};

const READ_BYTES: usize = 256 << 10;

/// How far an archive is written. A sender that is gone before the end has given up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    /// Bytes that can be read.
    pub(super) written: u64,
    /// These are all.
    pub(super) finished: bool,
}

/// An archive that is being written, and how much of it was read.
pub(super) struct Growing {
    file: File,
    at: u64,
    progress: watch::Receiver<Progress>,
}

/// What comes next of a growing archive.
enum Next {
    Piece(Bytes),
    End,
    /// Its writer gave up.
    Abandoned,
}

impl Growing {
    pub(super) fn new(file: File, progress: watch::Receiver<Progress>) -> Self {
        Self {
            file,
            at: 0,
            progress,
        }
    }

    /// Returns when the archive is finished or its writer has given up.
    pub(super) async fn wait(mut self) {
        // An error means that the writer is gone, which is an end too.
        let _ = self.progress.wait_for(|progress| progress.finished).await;
    }

    /// All bytes of the archive. If its writer gives up, the rest is made anew.
    pub(super) fn into_stream(self, blobs: Blobs, manifest: ManifestId) -> ByteStream {
        let source = (Source::File(self), blobs, manifest);
        stream::try_unfold(source, async |(mut source, blobs, manifest)| {
            let piece = source.next(&blobs, manifest).await?;
            Ok(piece.map(|piece| (piece, (source, blobs, manifest))))
        })
        .boxed()
    }

    async fn next(&mut self) -> io::Result<Next> {
        loop {
            let Progress { written, finished } = *self.progress.borrow_and_update();
            if self.at < written {
                let left = usize::try_from(written - self.at).unwrap_or(READ_BYTES);
                let wanted = READ_BYTES.min(left);
                return self.read(wanted).await.map(Next::Piece);
            }
            if finished {
                return Ok(Next::End);
            }
            if self.progress.changed().await.is_err() {
                return Ok(Next::Abandoned);
            }
        }
    }

    async fn read(&mut self, wanted: usize) -> io::Result<Bytes> {
        // Without capacity a buffer takes 64 bytes at a time.
        let mut piece = BytesMut::with_capacity(wanted);
        let read = (&mut self.file)
            .take(wanted as u64)
            .read_buf(&mut piece)
            .await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        Ok(piece.freeze())
    }
}

enum Source {
    File(Growing),
    Rest(ByteStream),
}

impl Source {
    async fn next(&mut self, blobs: &Blobs, manifest: ManifestId) -> io::Result<Option<Bytes>> {
        if let Self::File(growing) = self {
            match growing.next().await? {
                Next::Piece(piece) => return Ok(Some(piece)),
                Next::End => return Ok(None),
                Next::Abandoned => *self = Self::Rest(rest(blobs, manifest, growing.at).await?),
            }
        }
        match self {
            Self::Rest(rest) => rest.next().await.transpose(),
            Self::File(_) => Ok(None),
        }
    }
}

/// The archive of `manifest` after its first bytes, which were read already.
async fn rest(blobs: &Blobs, manifest: ManifestId, skipped: u64) -> io::Result<ByteStream> {
    let manifest = blobs.manifest_get(manifest).await;
    let whole = blobs.archive(manifest.map_err(io::Error::other)?);
    let mut left = skipped;
    let rest = whole.try_filter_map(move |mut piece| {
        let cut = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        left -= cut as u64;
        piece.advance(cut);
        ready(Ok((!piece.is_empty()).then_some(piece)))
    });
    Ok(rest.boxed())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn an_archive_is_read_in_large_pieces() {
        let mut file = tempfile::tempfile().unwrap();
        let written = 4 * READ_BYTES as u64;
        file.write_all(&vec![7; 4 * READ_BYTES]).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let finished = true;
        let (_sender, progress) = watch::channel(Progress { written, finished });
        let mut growing = Growing::new(File::from_std(file), progress);
        let mut sizes = Vec::new();
        while let Next::Piece(piece) = growing.next().await.unwrap() {
            sizes.push(piece.len());
        }
        assert_eq!(sizes.iter().sum::<usize>() as u64, written);
        assert!(sizes.len() <= 8, "{sizes:?}");
    }
}
