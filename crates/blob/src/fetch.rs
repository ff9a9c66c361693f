//! Reading chunks from packs: few requests, a bounded number of bytes at a time.

use std::collections::VecDeque;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use vm0_model::PackId;

use crate::manifest::Chunk;

/// Chunks closer than this are fetched together with what lies between them.
const GAP_MAX_BYTES: u64 = 64 << 10;
/// One request for several chunks is no longer than this.
const REQUEST_MAX_BYTES: u64 = 2 << 20;
/// Requests under way, or answered and not yet used.
const REQUESTS_AHEAD: usize = 2;

/// A pack could not be read.
#[derive(Debug, thiserror::Error)]
#[error("read pack {pack}")]
pub struct PackSourceError {
    /// The pack.
    pub pack: PackId,
    /// Why.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Where a runner gets the bytes of packs from.
#[async_trait]
pub trait PackSource: Send + Sync {
    /// The bytes of `pack` in `range`: all of them, or an error. What they hold is verified by the
    /// caller. Ranges are at most 2 MiB, or one frame.
    ///
    /// Dropping the future abandons the request.
    ///
    /// # Errors
    ///
    /// When the pack does not exist or ends before the range does, or the source cannot be reached.
    async fn pack_range(&self, pack: PackId, range: Range<u64>) -> Result<Bytes, PackSourceError>;
}

/// One request and the chunks that its answer holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pack: PackId,
    range: Range<u64>,
    chunks: Vec<Chunk>,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Fetched {
    start: u64,
    bytes: Bytes,
    chunks: VecDeque<Chunk>,
}

impl Fetched {
    /// The next chunk and its frame.
    pub(crate) fn next(&mut self) -> Option<(Chunk, Bytes)> {
        let chunk = self.chunks.pop_front()?;
        let start = usize::try_from(chunk.offset - self.start).expect("a request is a few MiB");
        Some((
            chunk,
            self.bytes.slice(start..start + chunk.stored_len as usize),
        ))
    }
}

/// The requests for `chunks`, which keep their order.
pub(crate) fn plan(chunks: impl IntoIterator<Item = Chunk>) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    for chunk in chunks {
        let end = chunk.offset + u64::from(chunk.stored_len);
        if let Some(last) = requests.last_mut() {
            let near = chunk.offset >= last.range.start
                && chunk.offset <= last.range.end + GAP_MAX_BYTES
                && end.max(last.range.end) - last.range.start <= REQUEST_MAX_BYTES;
            if last.pack == chunk.pack && near {
                last.range.end = last.range.end.max(end);
                last.chunks.push(chunk);
                continue;
            }
        }
        requests.push(Request {
            pack: chunk.pack,
            range: chunk.offset..end,
            chunks: vec![chunk],
        });
    }
    requests
}

/// The answers to `requests` in their order, fetched a little ahead.
pub(crate) fn fetch(
    source: &dyn PackSource,
    requests: Vec<Request>,
) -> impl Stream<Item = Result<Fetched, PackSourceError>> + Send {
    let answers = stream::iter(requests).map(move |request| async move {
        let start = request.range.start;
        let wanted = request.range.end - start;
        let bytes = source.pack_range(request.pack, request.range).await?;
        if bytes.len() as u64 != wanted {
            let source = std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into();
            return Err(PackSourceError {
                pack: request.pack,
                source,
            });
        }
        Ok(Fetched {
            start,
            bytes,
            chunks: request.chunks.into(),
        })
    });
    answers.buffered(REQUESTS_AHEAD)
}

#[cfg(test)]
mod tests {
    use vm0_model::ContentHash;

    use super::*;

    fn chunk(pack: u8, offset: u64, stored_len: u32) -> Chunk {
        let hash = ContentHash::from_digest([0; 32]);
        Chunk {
            pack: PackId::from_digest([pack; 32]),
            offset,
            stored_len,
            len: 1,
            hash,
        }
    }

    #[test]
    fn near_chunks_of_one_pack_share_a_request_of_bounded_size() {
        let far = 100 + GAP_MAX_BYTES + 1;
        let big = u32::try_from(REQUEST_MAX_BYTES).unwrap();
        let chunks = [
            chunk(1, 16, 10),
            chunk(1, 90, 10),
            chunk(1, 16, 10),
            chunk(1, far, 10),
            chunk(1, far + 10, big),
            chunk(2, far + 10, 10),
            chunk(2, 16, 10),
        ];
        let requests = plan(chunks);
        let ranges: Vec<_> = requests
            .iter()
            .map(|request| request.range.clone())
            .collect();
        let after = far + 10;
        let expected = [
            16..100,
            far..after,
            after..after + REQUEST_MAX_BYTES,
            after..after + 10,
            16..26,
        ];
        assert_eq!(ranges, expected);
        let again: Vec<_> = requests
            .into_iter()
            .flat_map(|request| request.chunks)
            .collect();
        assert_eq!(again, chunks);
    }
}
