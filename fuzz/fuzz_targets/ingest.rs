//! An uploaded archive that may be anything, against a declaration.
//!
//! The first byte says how the rest becomes an archive: as it is, as a tar that is compressed, or
//! as a tar whose header checksums are made right, so that what is behind them is reached.

#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use vm0_blob::Manifest;
use vm0_model::path::validate_file_set;
use vm0_model::wire::storages::DeclaredFile;

const BLOCK: usize = 512;

fuzz_target!(|data: &[u8]| {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    let archive = match mode % 3 {
        0 => rest.to_vec(),
        1 => gzip(rest),
        _ => gzip(&with_checksums(rest)),
    };
    let declared = match mode & 0x80 {
        0 => seen(rest),
        _ => vec![file("a", 5), file("b/c", 0), link("l", "a")],
    };
    if let Ok(manifest) = vm0_blob::fuzzing::ingest(&declared, archive) {
        assert_eq!(manifest.entries().len(), declared.len());
        let (_, bytes) = manifest.encode().expect("it is small");
        assert_eq!(
            Manifest::decode(&bytes).expect("it was just encoded"),
            manifest
        );
    }
});

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::none());
    out.write_all(plain).expect("memory does not fail");
    out.finish().expect("memory does not fail")
}

/// What a reader that believes everything sees in the archive, as far as it can be declared.
fn seen(plain: &[u8]) -> Vec<DeclaredFile> {
    let fixed = with_checksums(plain);
    let mut declared = Vec::new();
    let mut archive = tar::Archive::new(fixed.as_slice());
    let entries = archive.entries().into_iter().flatten();
    for entry in entries.take(16).map_while(Result::ok) {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./").to_owned();
        match entry.link_name_bytes() {
            Some(target) if entry.header().entry_type().is_symlink() => {
                declared.push(link(&name, &String::from_utf8_lossy(&target)));
            }
            _ => declared.push(file(&name, entry.size())),
        }
        if validate_file_set(declared.iter().map(|file| file.path.as_str())).is_err() {
            declared.pop();
        }
    }
    declared
}

fn file(path: &str, size: u64) -> DeclaredFile {
    DeclaredFile {
        path: path.to_owned(),
        size,
        hash: None,
        executable: None,
        link_target: None,
        chunks: None,
    }
}

fn link(path: &str, target: &str) -> DeclaredFile {
    DeclaredFile {
        link_target: Some(target.to_owned()),
        ..file(path, 0)
    }
}

/// The same tar with the right checksum in every block that may be a header.
fn with_checksums(plain: &[u8]) -> Vec<u8> {
    let mut fixed = plain.to_vec();
    let mut at = 0;
    while let Some(block) = fixed.get_mut(at..at + BLOCK) {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        if block.iter().any(|&byte| byte != 0) {
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
        let size = header.entry_size().unwrap_or(0).min(plain.len() as u64);
        at += BLOCK + (size as usize).next_multiple_of(BLOCK);
    }
    fixed
}
