//! Commits: what an upload must be, and that a refused one leaves nothing.
#![allow(
    clippy::unwrap_used,
    reason = "functions that tests share are test code too"
)]

mod support;

use std::io::Write;

use support::*;
use tar::EntryType;
use vm0_blob::{CommitError, Content, UploadObject};
use vm0_model::wire::storages::DeclaredFile;

/// Commits `archive` against the declaration and gives the message of the refusal.
async fn refused(declared: &[DeclaredFile], archive: Vec<u8>) -> String {
    let (dir, blobs) = store();
    let error = commit(&blobs, declared, archive).await.unwrap_err();
    assert_eq!(
        files_below(dir.path()),
        [
            format!("uploads/{SESSION}/archive.tar.gz"),
            format!("uploads/{SESSION}/manifest.json")
        ],
        "a refused commit leaves only its session"
    );
    match error {
        CommitError::Invalid(fault) => fault.to_string(),
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn a_commit_has_the_version_id_of_the_specification() {
    let (_dir, blobs) = store();
    let declared = [file("a.txt", b"hello\n")];
    let committed = commit(
        &blobs,
        &declared,
        Tar::default().file("./a.txt", b"hello\n").gz(),
    );
    let committed = committed.await.unwrap();
    assert_eq!(
        committed.version_id.to_string(),
        "fecf3b842560e310bc59fdf947a715e750ec491ebc8fd2157764ff48520927e8"
    );
    assert_eq!((committed.size, committed.file_count), (6, 1));
    let manifest = blobs.manifest_get(committed.manifest_id).await.unwrap();
    check(&blobs, &manifest).await.unwrap();
    assert_eq!(manifest.version_id(storage()), committed.version_id);
}

#[tokio::test]
async fn the_archive_decides_what_is_not_declared() {
    let (_dir, blobs) = store();
    let mut script = file("run.sh", b"#!/bin/sh\necho hi\n");
    script.hash = None;
    let archive = Tar::default()
        .executable("run.sh", b"#!/bin/sh\necho hi\n")
        .gz();
    let committed = commit(&blobs, &[script], archive).await.unwrap();
    assert_eq!(
        committed.version_id.to_string(),
        "63503e06808569e33ff8d9f8d77e52b9fbd5a51b5795be059877d9bce41c76fd"
    );
}

#[tokio::test]
async fn the_uploaded_manifest_supplies_hashes() {
    let (_dir, blobs) = store();
    let mut undeclared = file("a", b"x");
    undeclared.hash = Some(String::new());
    put(
        &blobs,
        UploadObject::Archive,
        Tar::default().file("a", b"y").gz(),
    )
    .await;
    put(
        &blobs,
        UploadObject::Manifest,
        manifest_json(&[file("a", b"x")]),
    )
    .await;
    let error = commit_session(&blobs, &[undeclared], None)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "archive member 'a' has another hash than declared"
    );
}

#[tokio::test]
async fn missing_objects_have_the_messages_of_the_specification() {
    let (_dir, blobs) = store();
    let declared = [file("a", b"x")];
    let error = commit_session(&blobs, &declared, None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Manifest not uploaded - upload failed or incomplete"
    );
    put(&blobs, UploadObject::Manifest, manifest_json(&declared)).await;
    let error = commit_session(&blobs, &declared, None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Archive not uploaded - upload failed or incomplete"
    );
    assert!(matches!(
        error,
        CommitError::Incomplete(UploadObject::Archive)
    ));
}

#[tokio::test]
async fn an_empty_version_needs_no_archive_and_no_pack() {
    let (dir, blobs) = store();
    put(&blobs, UploadObject::Manifest, manifest_json(&[])).await;
    let committed = commit_session(&blobs, &[], None).await.unwrap();
    assert_eq!(
        committed.version_id.to_string(),
        "393644ae9a37e84acc2438115b9777ac35fc282f5f76485b4471f3aadd881939"
    );
    blobs.upload_delete(SESSION).await.unwrap();
    let left =
        ["manifests", "packs", "uploads"].map(|kind| files_below(&dir.path().join(kind)).len());
    assert_eq!(left, [1, 0, 0]);
}

#[tokio::test]
async fn links_long_names_and_directories_are_understood() {
    let (_dir, blobs) = store();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    let newline = "line\nfeed";
    let target = "t".repeat(300);
    let declared = [
        file("first", b"one"),
        file("second", b"one"),
        file(&long, b"long"),
        file(newline, b"nl"),
        link("away", "/etc/passwd"),
        link("far", &target),
    ];
    let archive = Tar::default()
        .member(EntryType::Directory, b"./", b"", b"")
        .member(EntryType::Directory, b"some/dir/", b"", b"")
        .file("first", b"one")
        .hard_link("./second", "./first")
        .member(
            EntryType::GNULongName,
            b"././@LongLink",
            b"",
            format!("{long}\0").as_bytes(),
        )
        .file("cut", b"long")
        .pax(&[("path", newline), ("mtime", "1.5")])
        .file("x", b"nl")
        .symlink("away", "/etc/passwd")
        .pax(&[("linkpath", &target)])
        .symlink("far", "cut")
        .gz();
    let committed = commit(&blobs, &declared, archive).await.unwrap();
    let manifest = blobs.manifest_get(committed.manifest_id).await.unwrap();
    assert_eq!(manifest.file_count(), 6);
    let content = &manifest.get("away").unwrap().content;
    assert_eq!(
        *content,
        Content::Symlink {
            target: "/etc/passwd".into()
        }
    );
    assert_eq!(
        manifest.get("first").unwrap().content,
        manifest.get("second").unwrap().content
    );
}

/// Refuses each archive, which ought to hold `declared`, with a message that has the text.
async fn refuses(declared: DeclaredFile, cases: impl IntoIterator<Item = (&str, Tar)>) {
    for (expected, tar) in cases {
        let message = refused(std::slice::from_ref(&declared), tar.gz()).await;
        assert!(
            message.contains(expected),
            "{expected:?} is not in {message:?}"
        );
    }
}

#[tokio::test]
async fn members_must_have_declared_names_that_stay_inside() {
    let tar = Tar::default;
    let directory = tar().member(EntryType::Directory, b"/d/", b"", b"");
    let not_utf8 = tar().member(EntryType::Regular, b"\xff", b"", b"x");
    let cases = [
        (
            "'b' was not declared",
            tar().file("a", b"x").file("b", b"x"),
        ),
        ("'a' is repeated", tar().file("a", b"x").file("a", b"x")),
        ("'/a' has an absolute name", tar().file("/a", b"x")),
        ("'../a' has '..' in its name", tar().file("../a", b"x")),
        ("'b/../a' has '..' in its name", tar().file("b/../a", b"x")),
        ("'/d/' has an absolute name", directory.file("a", b"x")),
        ("not UTF-8", not_utf8),
        ("'a' is declared but not in", tar()),
    ];
    refuses(file("a", b"x"), cases).await;
}

#[tokio::test]
async fn members_must_be_of_a_kind_that_a_version_can_hold() {
    let tar = Tar::default;
    let special = [
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::GNUSparse,
    ];
    let special = special.map(|kind| ("'a' is neither", tar().member(kind, b"a", b"", b"")));
    refuses(file("a", b"x"), special).await;
    let links = ["/etc/passwd", "../../etc/passwd", "b", "a", ""];
    let links = links.map(|to| ("'a' is a hard link to", tar().hard_link("a", to)));
    refuses(file("a", b"x"), links).await;
}

#[tokio::test]
async fn members_must_be_what_was_declared() {
    let tar = Tar::default;
    let cases = [
        ("'a' is of another kind", tar().symlink("a", "x")),
        ("'a' has another size", tar().file("a", b"xy")),
        ("'a' has another hash", tar().file("a", b"y")),
        (
            "extended header",
            tar().pax(&[("size", "2")]).file("a", b"x"),
        ),
        (
            "extended header",
            tar().pax(&[("GNU.sparse.major", "1")]).file("a", b"x"),
        ),
    ];
    refuses(file("a", b"x"), cases).await;
    let cases = [
        ("'l' is of another kind", tar().file("l", b"")),
        ("'l' has another link target", tar().symlink("l", "y")),
    ];
    refuses(link("l", "x"), cases).await;
}

#[tokio::test]
async fn what_is_no_archive_is_unreadable() {
    for archive in [b"no gzip".to_vec(), gzip(&[7; 2000]), Vec::new()] {
        let message = refused(&[file("a", b"x")], archive).await;
        assert!(message.contains("unreadable"), "{message}");
    }
}

#[tokio::test]
async fn a_declared_execute_bit_must_be_that_of_the_archive() {
    for declared_bit in [false, true] {
        let mut declared = file("a", b"x");
        declared.executable = Some(declared_bit);
        let tar = Tar::default();
        let archive = if declared_bit {
            tar.file("a", b"x")
        } else {
            tar.executable("a", b"x")
        };
        let message = refused(&[declared], archive.gz()).await;
        assert_eq!(
            message,
            "archive member 'a' has another execute bit than declared"
        );
    }
}

#[tokio::test]
async fn the_uploaded_manifest_must_list_the_declaration() {
    let declared = [file("a", b"x"), link("l", "a")];
    let archive = || Tar::default().file("a", b"x").symlink("l", "a").gz();
    let cases: Vec<(&str, Vec<DeclaredFile>)> = vec![
        ("does not list 'l'", vec![file("a", b"x")]),
        (
            "lists 'b'",
            vec![file("a", b"x"), file("b", b"x"), link("l", "a")],
        ),
        ("lists 'a' twice", vec![file("a", b"x"), file("a", b"x")]),
        ("the size of 'a'", vec![file("a", b"xy"), link("l", "a")]),
        ("the hash of 'a'", vec![file("a", b"y"), link("l", "a")]),
        (
            "the link_target of 'l'",
            vec![file("a", b"x"), link("l", "b")],
        ),
        (
            "the link_target of 'a'",
            vec![link("a", "x"), link("l", "a")],
        ),
    ];
    for (expected, listed) in cases {
        let (_dir, blobs) = store();
        put(&blobs, UploadObject::Archive, archive()).await;
        put(&blobs, UploadObject::Manifest, manifest_json(&listed)).await;
        let error = commit_session(&blobs, &declared, None).await.unwrap_err();
        assert!(
            error.to_string().contains(expected),
            "{expected:?} is not in {error}"
        );
    }
    let (_dir, blobs) = store();
    put(&blobs, UploadObject::Archive, archive()).await;
    put(&blobs, UploadObject::Manifest, b"{\"files\":[".to_vec()).await;
    let error = commit_session(&blobs, &declared, None).await.unwrap_err();
    assert!(
        error.to_string().starts_with("manifest.json is unreadable"),
        "{error}"
    );
}

#[tokio::test]
async fn a_truncated_archive_is_unreadable() {
    let content: Vec<u8> = (0..200_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let archive = Tar::default().file("a", &content).gz();
    let declared = [file("a", &content)];
    for cut in [10, archive.len() / 2, archive.len() - 1] {
        let message = refused(&declared, archive[..cut].to_vec()).await;
        assert!(message.contains("unreadable"), "{message}");
    }
}

/// `zeros` MiB of zeros after `head`, gzip'd without holding them.
fn bomb(head: Vec<u8>, zeros: usize) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(&head).unwrap();
    for _ in 0..zeros {
        out.write_all(&vec![0; 1 << 20]).unwrap();
    }
    out.finish().unwrap()
}

#[tokio::test]
async fn bombs_go_off_outside() {
    let mut too_large = Tar::default();
    too_large.header(EntryType::Regular, b"a", b"", 4 << 30, 0o644);
    let message = refused(&[file("a", b"x")], bomb(too_large.plain(), 200)).await;
    assert_eq!(message, "archive member 'a' has another size than declared");

    let mut long_name = Tar::default();
    long_name.header(
        EntryType::GNULongName,
        b"././@LongLink",
        b"",
        1 << 30,
        0o644,
    );
    let message = refused(&[file("a", b"x")], bomb(long_name.plain(), 200)).await;
    assert!(
        message.contains("extended header that is too long"),
        "{message}"
    );

    let mut directory = Tar::default();
    directory.header(EntryType::Directory, b"d/", b"", 1 << 40, 0o755);
    let message = refused(&[file("a", b"x")], bomb(directory.plain(), 200)).await;
    assert_eq!(message, "the archive is larger than its declared content");

    let padded = bomb(Tar::default().file("a", b"x").plain(), 200);
    let message = refused(&[file("a", b"x")], padded).await;
    assert_eq!(message, "the archive is larger than its declared content");
}

#[tokio::test]
async fn a_second_version_stores_only_what_is_new() {
    let (dir, blobs) = store();
    let (old, new) = (vec![1; 300_000], b"new".to_vec());
    let first = commit(
        &blobs,
        &[file("old", &old)],
        Tar::default().file("old", &old).gz(),
    )
    .await;
    let base = blobs
        .manifest_get(first.unwrap().manifest_id)
        .await
        .unwrap();
    let declared = [file("moved", &old), file("new", &new)];
    put(&blobs, UploadObject::Manifest, manifest_json(&declared)).await;
    let archive = Tar::default().file("moved", &old).file("new", &new).gz();
    put(&blobs, UploadObject::Archive, archive).await;
    let second = commit_session(&blobs, &declared, Some(base.clone()))
        .await
        .unwrap();
    let manifest = blobs.manifest_get(second.manifest_id).await.unwrap();
    assert_eq!(manifest.packs().len(), 2);
    assert!(manifest.packs().is_superset(&base.packs()));
    let packs = files_below(&dir.path().join("packs"));
    assert_eq!(packs.len(), 2, "{packs:?}");
}
