//! What several test files need: stores, uploads, archives.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a part of it is used by each test binary, and it is test code throughout"
)]

use std::io::{Read, Write};
use std::path::Path;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};
use tempfile::TempDir;
use vm0_blob::{BlobError, Blobs, ByteStream, CommitError, Committed, Manifest, UploadObject};
use vm0_model::StorageId;
use vm0_model::wire::storages::DeclaredFile;

pub(crate) const SESSION: &str = "019bc134-7840-7cba-a551-2100f80b56fc";

pub(crate) fn storage() -> StorageId {
    "11111111-2222-4333-8444-555555555555".parse().unwrap()
}

pub(crate) fn store() -> (TempDir, Blobs) {
    let dir = TempDir::new().unwrap();
    let blobs = Blobs::local(dir.path()).unwrap();
    (dir, blobs)
}

pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn once(
    bytes: impl Into<Bytes>,
) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send {
    stream::iter([Ok(bytes.into())])
}

pub(crate) async fn collect(mut stream: ByteStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes
}

/// A file declared in full.
pub(crate) fn file(path: &str, content: &[u8]) -> DeclaredFile {
    DeclaredFile {
        path: path.to_owned(),
        size: content.len() as u64,
        hash: Some(sha256(content)),
        executable: None,
        link_target: None,
        chunks: None,
    }
}

pub(crate) fn link(path: &str, target: &str) -> DeclaredFile {
    DeclaredFile {
        path: path.to_owned(),
        size: 0,
        hash: None,
        executable: None,
        link_target: Some(target.to_owned()),
        chunks: None,
    }
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

pub(crate) fn gunzip(packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(packed)
        .read_to_end(&mut plain)
        .unwrap();
    plain
}

/// A tar written byte by byte, so that it can be wrong.
#[derive(Default)]
pub(crate) struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    pub(crate) fn member(
        mut self,
        kind: EntryType,
        name: &[u8],
        link: &[u8],
        content: &[u8],
    ) -> Self {
        self.header(kind, name, link, content.len() as u64, 0o644);
        self.content(content);
        self
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        self.member(EntryType::Regular, name.as_bytes(), b"", content)
    }

    pub(crate) fn executable(mut self, name: &str, content: &[u8]) -> Self {
        self.header(
            EntryType::Regular,
            name.as_bytes(),
            b"",
            content.len() as u64,
            0o755,
        );
        self.content(content);
        self
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.member(EntryType::Symlink, name.as_bytes(), target.as_bytes(), b"")
    }

    pub(crate) fn hard_link(self, name: &str, to: &str) -> Self {
        self.member(EntryType::Link, name.as_bytes(), to.as_bytes(), b"")
    }

    pub(crate) fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (key, value) in records {
            let rest = format!(" {key}={value}\n");
            let mut len = rest.len() + 1;
            while len != rest.len() + len.to_string().len() {
                len = rest.len() + len.to_string().len();
            }
            body.push_str(&format!("{len}{rest}"));
        }
        self.member(EntryType::XHeader, b"PaxHeaders/x", b"", body.as_bytes())
    }

    pub(crate) fn header(
        &mut self,
        kind: EntryType,
        name: &[u8],
        link: &[u8],
        size: u64,
        mode: u32,
    ) {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.bytes.extend_from_slice(header.as_bytes());
    }

    fn content(&mut self, content: &[u8]) {
        self.bytes.extend_from_slice(content);
        let padded = self.bytes.len().next_multiple_of(512);
        self.bytes.resize(padded, 0);
    }

    pub(crate) fn plain(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }

    pub(crate) fn gz(self) -> Vec<u8> {
        gzip(&self.plain())
    }
}

pub(crate) fn manifest_json(files: &[DeclaredFile]) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({ "version": "V", "files": files })).unwrap()
}

pub(crate) async fn put(blobs: &Blobs, object: UploadObject, bytes: Vec<u8>) {
    blobs
        .upload_put(SESSION, object, once(bytes), u64::MAX)
        .await
        .unwrap();
}

/// Uploads both objects and commits them.
pub(crate) async fn commit(
    blobs: &Blobs,
    declared: &[DeclaredFile],
    archive: Vec<u8>,
) -> Result<Committed, CommitError> {
    put(blobs, UploadObject::Archive, archive).await;
    put(blobs, UploadObject::Manifest, manifest_json(declared)).await;
    commit_session(blobs, declared, None).await
}

/// Commits what is uploaded.
pub(crate) async fn commit_session(
    blobs: &Blobs,
    declared: &[DeclaredFile],
    base: Option<Manifest>,
) -> Result<Committed, CommitError> {
    let prepared = blobs
        .version_prepare(storage(), declared, SESSION, base)
        .await?;
    let guard = blobs.keep().await?;
    Ok(blobs.version_publish(&guard, prepared).await?)
}

/// Whether every byte that a manifest names is stored.
pub(crate) async fn check(blobs: &Blobs, manifest: &Manifest) -> Result<(), BlobError> {
    let guard = blobs.keep().await?;
    let (id, _) = manifest.encode()?;
    blobs.manifest_keep(&guard, id, manifest).await
}

/// Every file below `dir`, relative to it, sorted.
pub(crate) fn files_below(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(at) = pending.pop() {
        let Ok(listing) = std::fs::read_dir(&at) else {
            continue;
        };
        for entry in listing {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                pending.push(path);
            } else {
                found.push(
                    path.strip_prefix(dir)
                        .unwrap()
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
    }
    found.sort();
    found
}
