//! What the operating system says about this process.

use std::fs;

/// Memory in use, in bytes; 0 if it cannot be told.
pub(super) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    kibibytes(&status).unwrap_or(0) << 10
}

/// Open file descriptors; 0 if they cannot be told.
pub(super) fn open_fds() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

fn kibibytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_its_line() {
        assert_eq!(kibibytes("Name:\tvm0\nVmRSS:\t   39124 kB\n"), Some(39_124));
        assert_eq!(kibibytes("Name:\tvm0\n"), None);
    }

    #[test]
    fn a_process_has_memory_and_open_files() {
        assert!(resident_bytes() > 1 << 20);
        assert!(open_fds() >= 3);
    }
}
