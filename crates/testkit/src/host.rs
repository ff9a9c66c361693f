//! What a run leaves on the host: nothing, once it has ended.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Waits until `probe` has a value.
///
/// # Panics
/// After `limit`.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    mut probe: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(
            start.elapsed() < limit,
            "it has not happened within {limit:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until processes, mounts, loop devices, cgroups and directories of a run are gone.
///
/// # Panics
/// After `limit`, naming what is left.
pub async fn assert_nothing_left(data_dir: &Path, run: &str, limit: Duration) {
    let start = Instant::now();
    loop {
        let left = leftovers(data_dir, run);
        if left.is_empty() {
            return;
        }
        assert!(start.elapsed() < limit, "left over: {left:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Everything on this host that belongs to the run, as text.
pub fn leftovers(data_dir: &Path, run: &str) -> Vec<String> {
    let data_dir = data_dir.to_string_lossy();
    let mut left = processes_with(run);
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("Linux");
    let ours = mounts
        .lines()
        .filter(|line| line.contains(&*data_dir) && line.contains(run));
    left.extend(ours.map(|line| format!("mount {line}")));
    left.extend(
        named(Path::new("/sys/fs/cgroup"), run, 6)
            .into_iter()
            .map(|p| format!("cgroup {p:?}")),
    );
    let runs = Path::new(&*data_dir).join("runner/runs");
    left.extend(
        named(&runs, run, 1)
            .into_iter()
            .map(|path| format!("directory {path:?}")),
    );
    let loops = fs::read_dir("/sys/block")
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    for device in loops {
        let backing = fs::read_to_string(device.path().join("loop/backing_file"));
        if backing.is_ok_and(|file| file.contains(&*data_dir) && file.contains(run)) {
            left.push(format!("loop device {:?}", device.file_name()));
        }
    }
    left
}

/// Processes, other than this one, whose command line mentions `text`.
pub fn processes_with(text: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
    processes
        .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
        .filter(|entry| entry.file_name().to_string_lossy() != std::process::id().to_string())
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
        .filter(|line| line.contains(text))
        .map(|line| format!("process {line}"))
        .collect()
}

/// Directories below `root` whose name contains `text`, at most `depth` levels down.
fn named(root: &Path, text: &str, depth: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        if entry.file_name().to_string_lossy().contains(text) {
            found.push(entry.path());
        } else if depth > 1 {
            found.extend(named(&entry.path(), text, depth - 1));
        }
    }
    found
}
