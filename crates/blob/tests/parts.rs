//! Uploads in parts: what is sent, what is believed of it, what becomes of it.
#![expect(
    clippy::unwrap_used,
    reason = "all functions here are the bodies of tests"
)]

mod support;

use std::collections::BTreeMap;
use std::io::Write;

use proptest::prelude::*;
use support::*;
use vm0_blob::{Blobs, Content, Manifest, PartBuilder, PartPlan, UploadObject, chunk_content};
use vm0_model::ContentHash;
use vm0_model::wire::storages::DeclaredFile;

type Contents = BTreeMap<String, Vec<u8>>;

/// Bytes that do not compress, the same for each seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(len.div_ceil(8)).flatten().take(len).collect()
}

/// A file as an upload in parts declares it.
fn whole(path: &str, content: &[u8]) -> DeclaredFile {
    let big = content.len() >= 4 << 20;
    DeclaredFile {
        executable: Some(false),
        chunks: big.then(|| chunk_content(content).unwrap().chunks),
        ..file(path, content)
    }
}

fn declare(contents: &Contents) -> Vec<DeclaredFile> {
    let files = contents.iter().map(|(path, content)| whole(path, content));
    files.collect()
}

/// Every chunk of these contents.
fn chunks_of(contents: &Contents) -> BTreeMap<ContentHash, &[u8]> {
    let mut all = BTreeMap::new();
    for content in contents.values() {
        if content.len() < 4 << 20 {
            all.insert(sha256(content).parse().unwrap(), content.as_slice());
            continue;
        }
        let mut rest = content.as_slice();
        for chunk in chunk_content(rest).unwrap().chunks {
            let (piece, after) = rest.split_at(chunk.size as usize);
            all.insert(chunk.hash, piece);
            rest = after;
        }
    }
    all
}

fn part(chunks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let mut part = PartBuilder::new().unwrap();
    for chunk in chunks {
        part.push(chunk.as_ref()).unwrap();
    }
    part.finish()
}

/// The parts that a client sends for a plan.
fn parts(plan: &PartPlan, contents: &Contents) -> Vec<Vec<u8>> {
    let chunks = chunks_of(contents);
    plan.parts()
        .map(|hashes| part(hashes.iter().map(|hash| chunks[hash])))
        .collect()
}

async fn put_parts(blobs: &Blobs, parts: &[Vec<u8>]) {
    for (number, part) in (0..).zip(parts) {
        put(blobs, UploadObject::Part(number), part.clone()).await;
    }
}

async fn commit_parts(blobs: &Blobs, plan: PartPlan) -> Result<Manifest, String> {
    let prepared = blobs.version_prepare_parts(storage(), plan, SESSION).await;
    let prepared = prepared.map_err(|error| error.to_string())?;
    let guard = blobs.keep().await.unwrap();
    let committed = blobs.version_publish(&guard, prepared).await.unwrap();
    blobs.upload_delete(SESSION).await.unwrap();
    Ok(blobs.manifest_get(committed.manifest_id).await.unwrap())
}

/// Sends `contents` on top of `base`; the version and the bytes that were sent.
async fn push(blobs: &Blobs, contents: &Contents, base: Option<&Manifest>) -> (Manifest, usize) {
    let plan = PartPlan::new(&declare(contents), base).unwrap();
    let parts = parts(&plan, contents);
    put_parts(blobs, &parts).await;
    let sent = parts.iter().map(Vec::len).sum();
    (commit_parts(blobs, plan).await.unwrap(), sent)
}

fn named(entries: &[(&str, Vec<u8>)]) -> Contents {
    let owned = entries.iter().cloned();
    owned
        .map(|(path, content)| (path.to_owned(), content))
        .collect()
}

async fn assert_archive(blobs: &Blobs, manifest: Manifest, contents: &Contents) {
    let packed = collect(blobs.archive(manifest)).await;
    let mut archive = tar::Archive::new(std::io::Cursor::new(gunzip(&packed)));
    let mut found = Contents::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        found.insert(path, content);
    }
    assert!(&found == contents, "other files than were sent");
}

#[tokio::test]
async fn a_changed_megabyte_of_a_big_file_is_all_that_is_sent() {
    let (_dir, blobs) = store();
    let mut contents = named(&[("big", noise(1, 40 << 20)), ("small", b"hello".to_vec())]);
    let (first, sent) = push(&blobs, &contents, None).await;
    assert!(sent > 40 << 20, "{sent}");
    let big = contents.get_mut("big").unwrap();
    big[20 << 20..21 << 20].copy_from_slice(&noise(2, 1 << 20));
    let (second, sent) = push(&blobs, &contents, Some(&first)).await;
    assert!((1 << 20..5 << 20).contains(&sent), "{sent}");
    assert!(second.packs().is_superset(&first.packs()));
    assert_archive(&blobs, second, &contents).await;
}

#[tokio::test]
async fn files_that_only_moved_send_nothing() {
    let (_dir, blobs) = store();
    let contents = named(&[
        ("a", noise(1, 5 << 20)),
        ("b", noise(2, 9)),
        ("c", Vec::new()),
    ]);
    let (first, _) = push(&blobs, &contents, None).await;
    let moved = named(&[
        ("d/a", contents["a"].clone()),
        ("e", contents["b"].clone()),
        ("f", contents["b"].clone()),
    ]);
    let (second, sent) = push(&blobs, &moved, Some(&first)).await;
    assert_eq!(sent, 0);
    assert_eq!(second.packs(), first.packs());
    assert_archive(&blobs, second, &moved).await;
}

#[tokio::test]
async fn what_is_no_part_of_the_base_must_be_sent() {
    let (_dir, blobs) = store();
    let theirs = named(&[("secret", b"a secret of somebody else".to_vec())]);
    push(&blobs, &theirs, None).await;
    let plan = PartPlan::new(&declare(&theirs), None).unwrap();
    assert_eq!(plan.parts().count(), 1);
    let error = commit_parts(&blobs, plan).await.unwrap_err();
    assert_eq!(error, "Part 0 not uploaded - upload failed or incomplete");
}

#[tokio::test]
async fn a_part_that_is_not_what_was_planned_is_refused_and_leaves_nothing() {
    let contents = named(&[("a", noise(1, 1000)), ("b", noise(2, 2000))]);
    let (a, b) = (&contents["a"], &contents["b"]);
    let good = part([a, b]);
    let other_size = part([&noise(1, 999), b]);
    let swapped = part([b, a]);
    let frame = |bytes: &[u8]| part([bytes])[16..].to_vec();
    let mut unsized_frame = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    for half in a.chunks(500) {
        unsized_frame.write_all(half).unwrap();
        unsized_frame.flush().unwrap();
    }
    let unsized_frame = unsized_frame.finish().unwrap();
    let with = |frames: &[&[u8]]| [&good[..16], &frames.concat()].concat();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("does not begin like a pack", Vec::new()),
        ("does not begin like a pack", good[..15].to_vec()),
        ("does not begin like a pack", frame(a)),
        ("a zstd frame for each", good[..16].to_vec()),
        ("a zstd frame for each", good[..good.len() - 1].to_vec()),
        ("a zstd frame for each", with(&[&frame(a)])),
        ("a zstd frame for each", with(&[b"no frame at all"])),
        ("another size", other_size),
        ("another size", swapped),
        ("another size", with(&[&unsized_frame, &frame(b)])),
        ("another size", with(&[&skippable, &frame(a), &frame(b)])),
        ("another hash", part([&noise(3, 1000), b])),
        ("another hash", flipped),
        ("goes on after", part([a, b, b])),
        ("goes on after", [&good[..], &[0]].concat()),
    ];
    for (expected, bytes) in cases {
        let (dir, blobs) = store();
        let plan = PartPlan::new(&declare(&contents), None).unwrap();
        put_parts(&blobs, &[bytes]).await;
        let error = commit_parts(&blobs, plan).await.unwrap_err();
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        for stored in ["packs", "manifests", "staging"] {
            assert_eq!(files_below(&dir.path().join(stored)), [""; 0], "{expected}");
        }
        // The session can still be used.
        put_parts(&blobs, std::slice::from_ref(&good)).await;
        let plan = PartPlan::new(&declare(&contents), None).unwrap();
        let manifest = commit_parts(&blobs, plan).await.unwrap();
        assert_archive(&blobs, manifest, &contents).await;
    }
}

#[tokio::test]
async fn a_bomb_goes_off_outside() {
    let (_dir, blobs) = store();
    let contents = named(&[("a", b"x".to_vec())]);
    let bomb = zstd::bulk::compress(&vec![0; 256 << 20], 1).unwrap();
    put_parts(&blobs, &[[&part([""; 0])[..], &bomb].concat()]).await;
    let plan = PartPlan::new(&declare(&contents), None).unwrap();
    let error = commit_parts(&blobs, plan).await.unwrap_err();
    assert!(error.contains("another size"), "{error}");
}

#[tokio::test]
async fn chunks_must_make_up_the_file_they_are_declared_for() {
    let (_dir, blobs) = store();
    let contents = named(&[("big", noise(1, 9 << 20))]);
    let (first, _) = push(&blobs, &contents, None).await;
    // The same chunks in another order, under the hash of the file they come from.
    let mut declared = declare(&contents);
    declared[0].chunks.as_mut().unwrap()[..2].reverse();
    for base in [None, Some(&first)] {
        let plan = PartPlan::new(&declared, base).unwrap();
        put_parts(&blobs, &parts(&plan, &contents)).await;
        let result = commit_parts(&blobs, plan).await;
        assert_eq!(result.unwrap_err(), "'big' has another hash than declared");
    }
}

#[tokio::test]
async fn a_part_that_is_replaced_during_the_commit_changes_nothing() {
    let (_dir, blobs) = store();
    let contents = named(&[("a", noise(1, 1000))]);
    let plan = PartPlan::new(&declare(&contents), None).unwrap();
    put_parts(&blobs, &parts(&plan, &contents)).await;
    let prepared = blobs.version_prepare_parts(storage(), plan, SESSION).await;
    put_parts(&blobs, &[b"something else".to_vec()]).await;
    let guard = blobs.keep().await.unwrap();
    let committed = blobs
        .version_publish(&guard, prepared.unwrap())
        .await
        .unwrap();
    let manifest = blobs.manifest_get(committed.manifest_id).await.unwrap();
    assert_archive(&blobs, manifest, &contents).await;
}

#[tokio::test]
async fn a_declaration_that_cannot_be_kept_names_the_field() {
    let big = noise(1, 5 << 20);
    let chunks = chunk_content(&big[..]).unwrap().chunks;
    let valid = whole("big", &big);
    let with = |change: fn(&mut DeclaredFile)| {
        let mut file = valid.clone();
        change(&mut file);
        file
    };
    assert!(chunks.len() > 1);
    let cases = [
        ("hash", with(|file| file.hash = None)),
        ("executable", with(|file| file.executable = None)),
        ("chunks", with(|file| file.chunks = None)),
        ("chunks", with(|file| file.chunks = Some(Vec::new()))),
        ("chunks", with(|file| file.size += 1)),
        (
            "chunks",
            with(|file| file.chunks.as_mut().unwrap().truncate(1)),
        ),
        (
            "chunks",
            with(|file| file.chunks.as_mut().unwrap()[0].size = 1),
        ),
        (
            "chunks",
            with(|file| file.chunks.as_mut().unwrap()[0].size = u32::MAX),
        ),
        (
            "hash",
            DeclaredFile {
                size: 0,
                ..whole("a", b"x")
            },
        ),
    ];
    for (field, file) in cases {
        let fault = PartPlan::new(&[whole("0", b"x"), file], None).unwrap_err();
        assert_eq!((fault.index, fault.field), (1, field), "{fault}");
    }
    let twice = [
        whole("a", b"x"),
        DeclaredFile {
            size: 2,
            ..whole("b", b"x")
        },
    ];
    assert_eq!(PartPlan::new(&twice, None).unwrap_err().field, "chunks");
    assert!(PartPlan::new(&[valid], None).is_ok());
}

/// Some small files; a few contents are shared by several.
fn small_files() -> impl Strategy<Value = BTreeMap<u8, u8>> {
    proptest::collection::btree_map(0..12_u8, 0..8_u8, 0..10)
}

fn small_contents(files: &BTreeMap<u8, u8>) -> Contents {
    let content = |seed: u8| noise(u64::from(seed), usize::from(seed) * 40_000);
    let named = |(path, seed): (&u8, &u8)| (format!("f{path}"), content(*seed));
    files.iter().map(named).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_version_on_any_base_is_what_was_declared(old in small_files(), new in small_files()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_dir, blobs) = store();
            let (old, new) = (small_contents(&old), small_contents(&new));
            let (base, _) = push(&blobs, &old, None).await;
            let plan = PartPlan::new(&declare(&new), Some(&base)).unwrap();
            let missing: Vec<_> = plan.parts().flatten().collect();
            let held: Vec<_> = chunks_of(&old).into_keys().collect();
            assert!(missing.iter().all(|hash| !held.contains(hash)));
            let (version, _) = push(&blobs, &new, Some(&base)).await;
            check(&blobs, &version).await.unwrap();
            for entry in version.entries() {
                let Content::File(file) = &entry.content else { panic!("{entry:?}") };
                assert_eq!(file.hash.to_string(), sha256(&new[&entry.path]));
            }
            assert_archive(&blobs, version, &new).await;
        });
    }
}
