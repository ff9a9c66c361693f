//! Kernel, CPU, memory, swap, disk, clock, open files.

use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::check::Check;
use crate::units;

const GROUP: &str = "host";
/// One run of the default size fits.
const MEMORY_MIN_MIB: u64 = 2048;
const DISK_MIN_BYTES: u64 = 10 << 30;
const OPEN_FILES_MIN: u64 = 4096;
/// 2024-01-01: a clock before it is not set.
const CLOCK_MIN_SECONDS: i64 = 1_704_067_200;

pub(super) fn checks(data_dir: &Path) -> Vec<Check> {
    vec![
        kernel(),
        cpu(),
        memory(),
        swap(),
        disk(data_dir),
        clock(),
        open_files(),
    ]
}

fn kernel() -> Check {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    let version = (
        numbers.next().and_then(Result::ok),
        numbers.next().and_then(Result::ok),
    );
    // Overlay mounts in user namespaces and idmapped mounts are as old as this.
    if version >= (Some(5), Some(12)) {
        Check::ok(GROUP, "kernel", format!("Linux {release}"))
    } else {
        Check::warn(
            GROUP,
            "kernel",
            format!("Linux {release}"),
            "Use Linux 5.12 or later",
        )
    }
}

fn cpu() -> Check {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    Check::ok(
        GROUP,
        "cpu",
        format!("{count} CPUs, as many runs at a time by default"),
    )
}

fn memory() -> Check {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |key: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or_default()
    };
    let (total, free) = (kib("MemTotal:") / 1024, kib("MemAvailable:") / 1024);
    let shown = format!(
        "{} free of {}",
        units::mebibytes(free as f64),
        units::mebibytes(total as f64)
    );
    if free >= MEMORY_MIN_MIB {
        Check::ok(GROUP, "memory", shown)
    } else {
        Check::warn(
            GROUP,
            "memory",
            shown,
            "A run may use 2 GB by default: free some, or lower resources.memory_mb",
        )
    }
}

fn swap() -> Check {
    let text = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    let plain: Vec<&str> = swap_places(&text)
        .filter(|place| !is_encrypted(place) && !place.starts_with("/dev/zram"))
        .collect();
    if plain.is_empty() {
        Check::ok(GROUP, "swap", "none that keeps memory in clear")
    } else {
        Check::warn(
            GROUP,
            "swap",
            format!("{} may keep secrets in clear", plain.join(", ")),
            "Set MemorySwapMax=0 for the server's unit, encrypt it, or: swapoff -a",
        )
    }
}

/// The files and devices of `/proc/swaps`.
fn swap_places(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
}

/// Whether a device is one of dm-crypt.
fn is_encrypted(device: &str) -> bool {
    let Ok(device) = Path::new(device).canonicalize() else {
        return false;
    };
    let name = device.file_name().unwrap_or_default();
    let uuid = Path::new("/sys/class/block").join(name).join("dm/uuid");
    std::fs::read_to_string(uuid).is_ok_and(|uuid| uuid.starts_with("CRYPT-"))
}

fn disk(data_dir: &Path) -> Check {
    let existing = data_dir
        .ancestors()
        .find(|dir| dir.exists())
        .unwrap_or(data_dir);
    let Ok(stat) = rustix::fs::statvfs(existing) else {
        let fix = "Check the file system of the data directory";
        return Check::fail(
            GROUP,
            "disk",
            format!("cannot look at {}", existing.display()),
            fix,
        );
    };
    let free = stat.f_bavail * stat.f_frsize;
    let shown = format!("{} free at {}", units::bytes(free), existing.display());
    if free >= DISK_MIN_BYTES {
        Check::ok(GROUP, "disk", shown)
    } else {
        Check::warn(
            GROUP,
            "disk",
            shown,
            "A run may write 10 GB by default: free some, or set --data-dir",
        )
    }
}

fn clock() -> Check {
    let now = units::now();
    if now.millis() / 1000 >= CLOCK_MIN_SECONDS {
        Check::ok(GROUP, "clock", now.to_string())
    } else {
        Check::fail(
            GROUP,
            "clock",
            now.to_string(),
            "Set the clock: timedatectl set-ntp true",
        )
    }
}

fn open_files() -> Check {
    let limit = getrlimit(Resource::Nofile).current;
    let shown = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("at most {limit}"));
    if limit.is_none_or(|limit| limit >= OPEN_FILES_MIN) {
        Check::ok(GROUP, "open files", shown)
    } else {
        Check::warn(
            GROUP,
            "open files",
            shown,
            format!("Raise it: ulimit -n {OPEN_FILES_MIN}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_read_from_the_kernels_table() {
        let text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
            /dev/sda2                               partition\t1048572\t\t0\t\t-2\n\
            /swap\\040file                            file\t\t524284\t\t0\t\t-3\n";
        let places: Vec<_> = swap_places(text).collect();
        assert_eq!(places, ["/dev/sda2", "/swap\\040file"]);
        assert_eq!(swap_places("").count(), 0);
        assert!(!is_encrypted("/dev/sda-that-is-not-there"));
    }
}
