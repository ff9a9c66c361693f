//! What a run changed, on real overlay mounts. These tests need root.
#![allow(
    clippy::unwrap_used,
    reason = "functions that tests share are test code too"
)]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use support::*;
use tempfile::TempDir;
use vm0_blob::{
    Blobs, Changes, Content, LeftOut, Manifest, ScanError, ScanLimits, TreeCache, TreeGuard,
    pack_changes, scan,
};

/// A workspace: the tree of a version below, an upper directory, both mounted.
struct Workspace {
    dir: TempDir,
    blobs: Blobs,
    base: Manifest,
    _tree: TreeGuard,
}

impl Drop for Workspace {
    fn drop(&mut self) {
        run("umount", &[self.merged().as_os_str()]);
    }
}

fn run(program: &str, args: &[&OsStr]) {
    let status = Command::new(program).args(args).status().unwrap();
    assert!(status.success(), "{program} {args:?}");
}

impl Workspace {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let blobs = Blobs::local(&dir.path().join("blobs")).unwrap();
        let contents: [(&str, &[u8]); 6] = [
            ("keep", b"keep"),
            ("change", b"old"),
            ("gone", b"gone"),
            ("dir/one", b"1"),
            ("dir/two", b"2"),
            ("other/deep/file", b"deep"),
        ];
        let mut declared = contents.map(|(path, content)| file(path, content)).to_vec();
        declared.push(link("link", "keep"));
        let tar = contents
            .iter()
            .fold(Tar::default(), |tar, (path, bytes)| tar.file(path, bytes));
        let committed = commit(&blobs, &declared, tar.symlink("link", "keep").gz())
            .await
            .unwrap();
        let base = blobs.manifest_get(committed.manifest_id).await.unwrap();
        let cache = TreeCache::open(&dir.path().join("cache"), None).unwrap();
        let tree = cache
            .ensure(committed.version_id, &base, &blobs)
            .await
            .unwrap();
        for name in ["upper", "work", "merged"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let path = |name: &str| dir.path().join(name).display().to_string();
        let options = format!(
            "lowerdir={},upperdir={},workdir={},redirect_dir=off,metacopy=off,index=off",
            tree.path().display(),
            path("upper"),
            path("work"),
        );
        let merged = path("merged");
        let args = ["-t", "overlay", "overlay", "-o", &options, &merged].map(OsStr::new);
        run("mount", &args);
        Self {
            dir,
            blobs,
            base,
            _tree: tree,
        }
    }

    fn merged(&self) -> PathBuf {
        self.dir.path().join("merged")
    }

    fn upper(&self) -> PathBuf {
        self.dir.path().join("upper")
    }

    fn scan(&self) -> Changes {
        scan(&self.upper(), Some(&self.base), ScanLimits::default()).unwrap()
    }

    /// Scans, packs, stores and reads back: the workspace as path and content.
    async fn snapshot(&self) -> Vec<(String, String)> {
        let out = self.dir.path().join("pack");
        let packed = pack_changes(self.scan(), Some(&self.base), &out).unwrap();
        if let Some(pack) = packed.pack {
            let bytes = fs::read(&out).unwrap();
            assert_eq!(bytes.len() as u64, pack.len);
            self.blobs
                .pack_put(once(bytes), pack.id, pack.len)
                .await
                .unwrap();
        }
        check(&self.blobs, &packed.manifest).await.unwrap();
        let archive = gunzip(&collect(self.blobs.archive(packed.manifest.clone())).await);
        let mut tar = tar::Archive::new(archive.as_slice());
        let entries = tar.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let mut content = String::new();
            match entry.link_name_bytes() {
                Some(target) => content = format!("-> {}", String::from_utf8_lossy(&target)),
                None => drop(std::io::Read::read_to_string(&mut entry, &mut content).unwrap()),
            }
            (path, content)
        });
        entries.collect()
    }
}

fn texts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|&(path, content)| (path.to_owned(), content.to_owned()))
        .collect()
}

#[tokio::test]
async fn an_untouched_workspace_is_its_base() {
    let workspace = Workspace::new().await;
    fs::read(workspace.merged().join("keep")).unwrap();
    assert!(workspace.scan().is_empty());
    let out = workspace.dir.path().join("pack");
    let packed = pack_changes(workspace.scan(), Some(&workspace.base), &out).unwrap();
    assert_eq!(packed.pack, None);
    assert!(!out.exists());
    assert_eq!(packed.manifest, workspace.base);
}

#[tokio::test]
async fn a_file_touched_or_written_with_the_same_content_is_unchanged() {
    let workspace = Workspace::new().await;
    let merged = workspace.merged();
    fs::write(merged.join("keep"), "keep").unwrap();
    run("touch", &[merged.join("dir/one").as_os_str()]);
    fs::remove_dir_all(merged.join("other")).unwrap();
    fs::create_dir_all(merged.join("other/deep")).unwrap();
    fs::write(merged.join("other/deep/file"), "deep").unwrap();
    assert!(workspace.scan().is_empty(), "{:?}", workspace.scan());
}

#[tokio::test]
async fn the_upper_directory_is_the_difference() {
    let workspace = Workspace::new().await;
    let merged = workspace.merged();
    fs::write(merged.join("change"), "new").unwrap();
    fs::remove_file(merged.join("gone")).unwrap();
    fs::rename(merged.join("dir/one"), merged.join("moved")).unwrap();
    fs::remove_dir_all(merged.join("other")).unwrap();
    fs::create_dir(merged.join("other")).unwrap();
    fs::write(merged.join("other/fresh"), "fresh").unwrap();
    fs::remove_file(merged.join("link")).unwrap();
    symlink("/etc/passwd", merged.join("link")).unwrap();
    fs::create_dir(merged.join("empty")).unwrap();
    fs::create_dir(merged.join(".vm0")).unwrap();
    fs::write(merged.join(".vm0/private"), "private").unwrap();
    fs::write(merged.join("line\nfeed"), "nl").unwrap();
    let expected = texts(&[
        ("change", "new"),
        ("dir/two", "2"),
        ("keep", "keep"),
        ("line\nfeed", "nl"),
        ("link", "-> /etc/passwd"),
        ("moved", "1"),
        ("other/fresh", "fresh"),
    ]);
    assert_eq!(workspace.snapshot().await, expected);
}

#[tokio::test]
async fn files_and_directories_replace_each_other() {
    let workspace = Workspace::new().await;
    let merged = workspace.merged();
    fs::remove_dir_all(merged.join("dir")).unwrap();
    fs::write(merged.join("dir"), "file").unwrap();
    fs::remove_file(merged.join("gone")).unwrap();
    fs::create_dir(merged.join("gone")).unwrap();
    fs::write(merged.join("gone/inside"), "inside").unwrap();
    fs::remove_file(merged.join("change")).unwrap();
    fs::create_dir(merged.join("change")).unwrap();
    let expected = texts(&[
        ("dir", "file"),
        ("gone/inside", "inside"),
        ("keep", "keep"),
        ("link", "-> keep"),
        ("other/deep/file", "deep"),
    ]);
    assert_eq!(workspace.snapshot().await, expected);
}

#[tokio::test]
async fn what_no_version_can_hold_is_left_out_with_a_warning() {
    let workspace = Workspace::new().await;
    let merged = workspace.merged();
    let fifo = merged.join("fifo");
    run("mkfifo", &[fifo.as_os_str()]);
    fs::remove_file(merged.join("keep")).unwrap();
    run("mkfifo", &[merged.join("keep").as_os_str()]);
    let device = merged.join("null");
    run(
        "mknod",
        &[
            device.as_os_str(),
            OsStr::new("c"),
            OsStr::new("1"),
            OsStr::new("3"),
        ],
    );
    let _socket = std::os::unix::net::UnixListener::bind(merged.join("socket")).unwrap();
    fs::write(merged.join(OsStr::from_bytes(b"bad\xff")), "x").unwrap();
    fs::create_dir(merged.join(OsStr::from_bytes(b"dir\xff"))).unwrap();
    fs::write(merged.join(OsStr::from_bytes(b"dir\xff/in")), "x").unwrap();
    let imitation = format!("a:{}\nb", "0".repeat(64));
    fs::write(merged.join(&imitation), "x").unwrap();
    symlink(OsStr::from_bytes(b"to\xff"), merged.join("strange")).unwrap();
    let changes = workspace.scan();
    let mut warnings: Vec<_> = changes
        .warnings()
        .iter()
        .map(|warning| (warning.path.as_str(), warning.reason))
        .collect();
    warnings.sort_by_key(|&(path, _)| path);
    let expected = [
        (imitation.as_str(), LeftOut::Path),
        ("bad\u{fffd}", LeftOut::Name),
        ("dir\u{fffd}", LeftOut::Name),
        ("fifo", LeftOut::Special),
        ("keep", LeftOut::Special),
        ("null", LeftOut::Special),
        ("socket", LeftOut::Special),
        ("strange", LeftOut::Target),
    ];
    assert_eq!(warnings, expected);
    let paths: Vec<_> = workspace
        .snapshot()
        .await
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(
        paths,
        [
            "change",
            "dir/one",
            "dir/two",
            "gone",
            "link",
            "other/deep/file"
        ]
    );
}

#[tokio::test]
async fn a_sparse_giant_is_refused_before_it_is_read() {
    let workspace = Workspace::new().await;
    let giant = fs::File::create(workspace.merged().join("giant")).unwrap();
    giant.set_len(1 << 40).unwrap();
    let error = scan(
        &workspace.upper(),
        Some(&workspace.base),
        ScanLimits::default(),
    )
    .unwrap_err();
    assert!(matches!(error, ScanError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn too_many_files_are_refused() {
    let workspace = Workspace::new().await;
    for n in 0..5 {
        fs::write(workspace.merged().join(format!("new{n}")), "").unwrap();
    }
    let limits = ScanLimits {
        max_entries: 11,
        ..ScanLimits::default()
    };
    let error = scan(&workspace.upper(), Some(&workspace.base), limits).unwrap_err();
    assert!(
        matches!(error, ScanError::TooManyEntries { limit: 11 }),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_execute_bit_alone_is_a_change_that_stores_nothing() {
    let workspace = Workspace::new().await;
    let keep = workspace.merged().join("keep");
    fs::set_permissions(&keep, fs::Permissions::from_mode(0o700)).unwrap();
    let changes = workspace.scan();
    assert_eq!(changes.changed_paths().collect::<Vec<_>>(), ["keep"]);
    let out = workspace.dir.path().join("pack");
    let packed = pack_changes(changes, Some(&workspace.base), &out).unwrap();
    assert_eq!(packed.pack, None);
    let Content::File(file) = &packed.manifest.get("keep").unwrap().content else {
        panic!()
    };
    assert!(file.executable);
}

#[test]
fn links_put_between_scan_and_pack_are_not_followed() {
    let dir = TempDir::new().unwrap();
    let upper = dir.path().join("upper");
    fs::create_dir_all(upper.join("dir")).unwrap();
    fs::write(upper.join("dir/file"), "mine").unwrap();
    fs::write(upper.join("plain"), "mine").unwrap();
    fs::write(upper.join("pipe"), "mine").unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "secret").unwrap();
    let changes = scan(&upper, None, ScanLimits::default()).unwrap();
    fs::remove_dir_all(upper.join("dir")).unwrap();
    symlink(&outside, upper.join("dir")).unwrap();
    fs::remove_file(upper.join("plain")).unwrap();
    symlink(outside.join("file"), upper.join("plain")).unwrap();
    fs::remove_file(upper.join("pipe")).unwrap();
    run("mkfifo", &[upper.join("pipe").as_os_str()]);
    let packed = pack_changes(changes, None, &dir.path().join("pack")).unwrap();
    assert_eq!(packed.manifest, Manifest::default());
    assert_eq!(packed.pack, None);
    let reasons: Vec<_> = packed
        .warnings
        .iter()
        .map(|warning| warning.reason)
        .collect();
    assert_eq!(reasons, [LeftOut::Changed; 3]);
}

#[test]
fn a_mount_inside_the_workspace_is_left_out() {
    let dir = TempDir::new().unwrap();
    let upper = dir.path().join("upper");
    fs::create_dir_all(upper.join("mounted")).unwrap();
    let target: &Path = &upper.join("mounted");
    let args = [
        OsStr::new("-t"),
        OsStr::new("tmpfs"),
        OsStr::new("tmpfs"),
        target.as_os_str(),
    ];
    run("mount", &args);
    fs::write(target.join("file"), "elsewhere").unwrap();
    let changes = scan(&upper, None, ScanLimits::default());
    run("umount", &[target.as_os_str()]);
    let changes = changes.unwrap();
    assert!(changes.is_empty());
    assert_eq!(changes.warnings()[0].reason, LeftOut::OtherMount);
}
