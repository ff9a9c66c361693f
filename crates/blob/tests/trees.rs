//! Version trees and archives: what comes out is what was committed.
#![allow(
    clippy::unwrap_used,
    reason = "functions that tests share are test code too"
)]

mod support;

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use proptest::prelude::*;
use support::*;
use tempfile::TempDir;
use vm0_blob::{
    Blobs, Content, Entry, FileContent, Manifest, PackSource, PackSourceError, TreeCache, TreeError,
};
use vm0_model::{PackId, VersionId};

/// A file with its execute bit, or the target of a symlink.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File(bool, Vec<u8>),
    Link(String),
}

type Nodes = BTreeMap<String, Node>;

async fn commit_nodes(blobs: &Blobs, nodes: &Nodes) -> (VersionId, Manifest) {
    let mut tar = Tar::default();
    let mut declared = Vec::new();
    for (path, node) in nodes {
        match node {
            Node::File(executable, content) => {
                declared.push(file(path, content));
                tar = match executable {
                    true => tar.executable(path, content),
                    false => tar.file(path, content),
                };
            }
            Node::Link(target) => {
                declared.push(link(path, target));
                tar = tar.symlink(path, target);
            }
        }
    }
    let committed = commit(blobs, &declared, tar.gz()).await.unwrap();
    (
        committed.version_id,
        blobs.manifest_get(committed.manifest_id).await.unwrap(),
    )
}

fn untar(archive: &[u8]) -> Nodes {
    let plain = gunzip(archive);
    let mut tar = tar::Archive::new(plain.as_slice());
    let mut nodes = Nodes::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let node = match entry.link_name_bytes() {
            Some(target) => Node::Link(String::from_utf8(target.into_owned()).unwrap()),
            None => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                let mode = entry.header().mode().unwrap();
                assert!(mode == 0o755 || mode == 0o644);
                Node::File(mode == 0o755, content)
            }
        };
        assert_eq!(nodes.insert(path, node), None);
    }
    nodes
}

fn read_tree(root: &Path) -> Nodes {
    let read = |path: String| {
        let full = root.join(&path);
        let metadata = full.symlink_metadata().unwrap();
        let node = if metadata.is_symlink() {
            Node::Link(full.read_link().unwrap().to_string_lossy().into_owned())
        } else {
            Node::File(metadata.mode() & 0o100 != 0, std::fs::read(&full).unwrap())
        };
        (path, node)
    };
    files_below(root).into_iter().map(read).collect()
}

/// Counts the requests that it passes on.
struct Counting<'a> {
    blobs: &'a Blobs,
    requests: AtomicUsize,
}

impl<'a> Counting<'a> {
    fn new(blobs: &'a Blobs) -> Self {
        Self {
            blobs,
            requests: AtomicUsize::new(0),
        }
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl PackSource for Counting<'_> {
    async fn pack_range(&self, pack: PackId, range: Range<u64>) -> Result<Bytes, PackSourceError> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.blobs.pack_range(pack, range).await
    }
}

fn sample() -> Nodes {
    let big: Vec<u8> = (0..9_000_000u32)
        .map(|n| (n.wrapping_mul(n) >> 11) as u8)
        .collect();
    [
        ("bin/run", Node::File(true, b"#!/bin/sh\n".to_vec())),
        ("bin/same", Node::File(false, b"#!/bin/sh\n".to_vec())),
        ("big", Node::File(false, big)),
        ("empty", Node::File(false, Vec::new())),
        ("out", Node::Link("/etc/passwd".to_owned())),
        ("a-b", Node::File(false, b"1".to_vec())),
        ("a/b", Node::File(false, b"2".to_vec())),
    ]
    .map(|(path, node)| (path.to_owned(), node))
    .into()
}

#[tokio::test]
async fn a_tree_is_built_once_for_all_who_ask_and_pinned_while_held() {
    let (_dir, blobs) = store();
    let (version, manifest) = commit_nodes(&blobs, &sample()).await;
    let cache_dir = TempDir::new().unwrap();
    let cache = TreeCache::open(cache_dir.path(), Some((1000, 1001))).unwrap();
    let source = Counting::new(&blobs);
    let ensure = || cache.ensure(version, &manifest, &source);
    let (one, two, three) = tokio::join!(ensure(), ensure(), ensure());
    let (one, two, three) = (one.unwrap(), two.unwrap(), three.unwrap());
    let requests = source.count();
    assert!((1..=4).contains(&requests), "{requests} requests");
    assert_eq!(read_tree(one.path()), sample());
    let metadata = |path: &str| one.path().join(path).symlink_metadata().unwrap();
    for (path, mode) in [
        ("bin", 0o755),
        ("bin/run", 0o755),
        ("a/b", 0o644),
        (".", 0o755),
    ] {
        assert_eq!(metadata(path).permissions().mode() & 0o7777, mode, "{path}");
        assert_eq!(
            (metadata(path).uid(), metadata(path).gid()),
            (1000, 1001),
            "{path}"
        );
    }
    assert_eq!(metadata("out").uid(), 1000);
    drop((one, two));
    assert_eq!(
        cache.evict(0).await.unwrap(),
        0,
        "a tree in use is not evicted"
    );
    assert!(three.path().exists());
    let path = three.path().to_owned();
    drop(three);
    assert_eq!(cache.evict(0).await.unwrap(), 1);
    assert!(!path.exists());
    assert_eq!(
        files_below(&cache_dir.path().join("contents")),
        Vec::<String>::new()
    );
    let again = ensure().await.unwrap();
    assert_eq!(read_tree(again.path()), sample());
}

#[tokio::test]
async fn attaching_a_cached_tree_does_not_depend_on_its_size() {
    let (_dir, blobs) = store();
    let content = |n: u32| Node::File(false, n.to_le_bytes().to_vec());
    let nodes: Nodes = (0..5000)
        .map(|n| (format!("d{}/{n}", n % 50), content(n)))
        .collect();
    let (version, manifest) = commit_nodes(&blobs, &nodes).await;
    let cache_dir = TempDir::new().unwrap();
    let cache = TreeCache::open(cache_dir.path(), None).unwrap();
    drop(cache.ensure(version, &manifest, &blobs).await.unwrap());
    let start = std::time::Instant::now();
    for _ in 0..100 {
        drop(cache.ensure(version, &manifest, &blobs).await.unwrap());
    }
    let each = start.elapsed() / 100;
    assert!(each < std::time::Duration::from_millis(1), "{each:?}");
}

#[tokio::test]
async fn a_cache_outlives_its_process_but_not_the_boot_or_another_owner() {
    let (_dir, blobs) = store();
    let (version, manifest) = commit_nodes(&blobs, &sample()).await;
    let cache_dir = TempDir::new().unwrap();
    let cache = TreeCache::open(cache_dir.path(), None).unwrap();
    drop(cache.ensure(version, &manifest, &blobs).await.unwrap());
    assert!(matches!(
        TreeCache::open(cache_dir.path(), None),
        Err(TreeError::Busy)
    ));
    drop(cache);
    let half_built = cache_dir.path().join("building/half");
    std::fs::create_dir_all(half_built.join("deep")).unwrap();
    let cache = TreeCache::open(cache_dir.path(), None).unwrap();
    assert!(!half_built.exists(), "what was left half built is removed");
    let source = Counting::new(&blobs);
    drop(cache.ensure(version, &manifest, &source).await.unwrap());
    assert_eq!(source.count(), 0);
    drop(cache);
    let stamp = cache_dir.path().join("stamp");
    let text = std::fs::read_to_string(&stamp).unwrap();
    let (head, _boot) = text.trim_end().rsplit_once('\n').unwrap();
    std::fs::write(&stamp, format!("{head}\nanother boot\n")).unwrap();
    let cache = TreeCache::open(cache_dir.path(), None).unwrap();
    assert!(cache.get(version).is_none());
    drop(cache.ensure(version, &manifest, &source).await.unwrap());
    drop(cache);
    let cache = TreeCache::open(cache_dir.path(), Some((7, 7))).unwrap();
    assert!(cache.get(version).is_none());
}

#[tokio::test]
async fn a_content_may_have_more_names_than_a_file_may_have_links() {
    let (_dir, blobs) = store();
    let content = FileContent {
        executable: false,
        size: 0,
        hash: sha256("").parse().unwrap(),
        chunks: Vec::new(),
    };
    let entry = |n: u32| Entry {
        path: format!("d{}/{n}", n % 100),
        content: Content::File(content.clone()),
    };
    let manifest = Manifest::new((0..66_000).map(entry).collect()).unwrap();
    let cache_dir = TempDir::new().unwrap();
    let cache = TreeCache::open(cache_dir.path(), None).unwrap();
    let guard = cache
        .ensure(manifest.version_id(storage()), &manifest, &blobs)
        .await
        .unwrap();
    assert_eq!(files_below(guard.path()).len(), 66_000);
}

/// Gives zeros, whatever is asked for.
struct Damaged;

#[async_trait]
impl PackSource for Damaged {
    async fn pack_range(&self, _: PackId, range: Range<u64>) -> Result<Bytes, PackSourceError> {
        Ok(vec![0; (range.end - range.start) as usize].into())
    }
}

#[tokio::test]
async fn damaged_bytes_never_become_a_tree_and_the_next_call_tries_again() {
    let (_dir, blobs) = store();
    let (version, manifest) = commit_nodes(&blobs, &sample()).await;
    let cache_dir = TempDir::new().unwrap();
    let cache = TreeCache::open(cache_dir.path(), None).unwrap();
    let error = cache
        .ensure(version, &manifest, &Damaged)
        .await
        .unwrap_err();
    assert!(matches!(error, TreeError::Pack(_)), "{error:?}");
    assert_eq!(
        files_below(&cache_dir.path().join("building")),
        Vec::<String>::new()
    );
    assert!(cache.get(version).is_none());
    let guard = cache.ensure(version, &manifest, &blobs).await.unwrap();
    assert_eq!(read_tree(guard.path()), sample());
}

#[tokio::test]
async fn an_archive_is_the_same_every_time_and_fails_when_a_pack_is_damaged() {
    let (dir, blobs) = store();
    let (_, manifest) = commit_nodes(&blobs, &sample()).await;
    let one = collect(blobs.archive(manifest.clone())).await;
    assert_eq!(one, collect(blobs.archive(manifest.clone())).await);
    assert_eq!(untar(&one), sample());
    let packs = dir.path().join("packs");
    let pack = packs.join(&files_below(&packs)[0]);
    let mut bytes = std::fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let pieces: Vec<_> = futures::StreamExt::collect(blobs.archive(manifest)).await;
    assert!(pieces.last().unwrap().is_err());
}

fn nodes() -> impl Strategy<Value = Nodes> {
    let name = "[a-cé\n -]{1,3}|[ab]{90}";
    let path = prop::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"));
    let node = prop_oneof![
        4 => (any::<bool>(), prop::collection::vec(any::<u8>(), 0..600))
            .prop_map(|(executable, content)| Node::File(executable, content)),
        1 => "[a-z./]{1,99}".prop_map(Node::Link),
    ];
    prop::collection::btree_map(path, node, 0..12).prop_map(|nodes| {
        let nested = |path: &str| {
            path.match_indices('/')
                .any(|(end, _)| nodes.contains_key(&path[..end]))
        };
        let fits = |path: &str| path.len() <= 100 && !nested(path);
        nodes
            .clone()
            .into_iter()
            .filter(|(path, _)| fits(path))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_committed_comes_out_of_archives_and_trees(nodes in nodes()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        runtime.unwrap().block_on(async {
            let (_dir, blobs) = store();
            let (version, manifest) = commit_nodes(&blobs, &nodes).await;
            assert_eq!(untar(&collect(blobs.archive(manifest.clone())).await), nodes);
            let cache_dir = TempDir::new().unwrap();
            let cache = TreeCache::open(cache_dir.path(), None).unwrap();
            let guard = cache.ensure(version, &manifest, &blobs).await.unwrap();
            assert_eq!(read_tree(guard.path()), nodes);
        });
    }
}
