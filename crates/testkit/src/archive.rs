//! Archives as clients make and read them, with the system's `tar`-independent code of the `tar`
//! crate.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Regular files by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Lowercase hex SHA-256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A gzip'd tar of regular files.
pub fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, path, *bytes)
            .expect("memory takes every file");
    }
    gzip(&builder.into_inner().expect("memory takes the end"))
}

/// A gzip'd tar of one executable file.
pub fn tar_gz_program(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o755);
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_data(&mut header, path, bytes)
        .expect("memory takes every file");
    gzip(&builder.into_inner().expect("memory takes the end"))
}

/// A gzip'd tar with one member whose header is exactly as given, checks and all left out.
pub fn tar_gz_raw(path: &str, kind: tar::EntryType, link: Option<&str>, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    let name = &mut header.as_gnu_mut().expect("a GNU header").name;
    name[..path.len()].copy_from_slice(path.as_bytes());
    if let Some(link) = link {
        let target = &mut header.as_gnu_mut().expect("a GNU header").linkname;
        target[..link.len()].copy_from_slice(link.as_bytes());
    }
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append(&header, bytes)
        .expect("memory takes every member");
    gzip(&builder.into_inner().expect("memory takes the end"))
}

/// Compresses bytes.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes every byte");
    encoder.finish().expect("memory takes the end")
}

/// The regular files of a gzip'd tar.
pub fn untar_gz(bytes: &[u8]) -> Files {
    let mut files = Files::new();
    let mut archive = tar::Archive::new(GzDecoder::new(bytes));
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("a member");
        if entry.header().entry_type().is_file() {
            let path = entry.path().expect("a path").to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("the content");
            files.insert(path, content);
        }
    }
    files
}
