//! `agent put` and `agent get`: files between the host and the user inside, by `guest::files`.
//!
//! No component of any path is followed if it is a symbolic link: what is written stays below the
//! base and what is read was there.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use vm0_guest::files::{
    Bounds, matches, may_match_below, read_record, write_end, write_record_start,
};

const MAX_DEPTH: usize = 64;
/// The host bounds what it sends; these only keep a broken stream from running forever.
const UNBOUNDED: Bounds = Bounds {
    files: usize::MAX,
    bytes: u64::MAX,
};

/// Writes the files on standard input below `base`, replacing what is there.
pub(crate) fn put(base: &str) -> io::Result<()> {
    let base = walk(root()?.as_fd(), base, true)?;
    let mut input = BufReader::new(io::stdin().lock());
    let mut left = UNBOUNDED;
    while let Some(file) = read_record(&mut input, &mut left).map_err(io::Error::other)? {
        put_file(base.as_fd(), &file.path, &file.bytes)
            .map_err(|error| io::Error::other(format!("write {}: {error}", file.path)))?;
    }
    Ok(())
}

fn put_file(base: BorrowedFd<'_>, path: &str, bytes: &[u8]) -> io::Result<()> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let directory = walk(base, directory, true)?;
    match unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let file = openat(&directory, name, flags, Mode::from_bits_truncate(0o644))?;
    fchmod(&file, Mode::from_bits_truncate(0o644))?;
    File::from(file).write_all(bytes)
}

/// Writes the regular files below `base` that match a pattern to standard output.
pub(crate) fn get(base: &str, patterns: &[&str]) -> io::Result<()> {
    let mut output = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    match walk(root()?.as_fd(), base, false) {
        Ok(base) => get_below(base, "", patterns, 0, &mut output)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    write_end(&mut output)
}

fn get_below(
    directory: OwnedFd,
    prefix: &str,
    patterns: &[&str],
    depth: usize,
    output: &mut impl Write,
) -> io::Result<()> {
    let mut entries = Dir::from_fd(directory)?;
    let mut names = Vec::new();
    for entry in entries.iter() {
        if let Ok(name) = entry?.file_name().to_str() {
            names.push(name.to_owned());
        }
    }
    names.retain(|name| name != "." && name != "..");
    names.sort();
    for name in names {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}/{name}")
        };
        let wanted = patterns.iter().any(|pattern| matches(pattern, &path));
        let below = depth < MAX_DEPTH && patterns.iter().any(|p| may_match_below(p, &path));
        if !wanted && !below {
            continue;
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let Ok(file) = openat(&entries, name.as_str(), flags, Mode::empty()) else {
            continue;
        };
        let stat = fstat(&file)?;
        let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
        if kind == SFlag::S_IFREG && wanted {
            let size = u64::try_from(stat.st_size).unwrap_or_default();
            write_record_start(output, &path, size)?;
            copy_exactly(File::from(file), size, output)?;
        } else if kind == SFlag::S_IFDIR && below {
            get_below(file, &path, patterns, depth + 1, output)?;
        }
    }
    Ok(())
}

/// Copies `size` bytes; a file that has become shorter is filled with zeros.
fn copy_exactly(file: File, size: u64, output: &mut impl Write) -> io::Result<()> {
    let copied = io::copy(&mut file.take(size), output)?;
    io::copy(&mut io::repeat(0).take(size - copied), output)?;
    Ok(())
}

fn root() -> io::Result<OwnedFd> {
    Ok(nix::fcntl::open("/", directory_flags(), Mode::empty())?)
}

fn directory_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

/// Opens the directory at `path` below `from`, component by component.
fn walk(from: BorrowedFd<'_>, path: &str, create: bool) -> io::Result<OwnedFd> {
    let mut at = from.try_clone_to_owned()?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        if matches!(name, "." | "..") {
            return Err(Errno::EINVAL.into());
        }
        at = match openat(&at, name, directory_flags(), Mode::empty()) {
            Err(Errno::ENOENT) if create => {
                mkdirat(&at, name, Mode::from_bits_truncate(0o755))?;
                openat(&at, name, directory_flags(), Mode::empty())?
            }
            opened => opened?,
        };
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        let fd = walk(root().unwrap().as_fd(), path.to_str().unwrap(), false).unwrap();
        (dir, fd)
    }

    #[test]
    fn a_file_replaces_a_link_and_never_writes_through_one() {
        let (dir, fd) = base();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "old").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/tmp", dir.path().join("dir")).unwrap();
        put_file(fd.as_fd(), "link", b"new").unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"old");
        assert_eq!(std::fs::read(dir.path().join("link")).unwrap(), b"new");
        assert!(put_file(fd.as_fd(), "dir/x", b"new").is_err());
    }

    #[test]
    fn only_matching_regular_files_come_out() {
        let (dir, fd) = base();
        put_file(fd.as_fd(), "a/b/one.jsonl", b"1").unwrap();
        put_file(fd.as_fd(), "a/two.txt", b"2").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("a/x.jsonl")).unwrap();
        let mut output = Vec::new();
        get_below(fd, "", &["a/**/*.jsonl"], 0, &mut output).unwrap();
        write_end(&mut output).unwrap();
        let read = vm0_guest::files::read_all(&mut output.as_slice(), UNBOUNDED).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].path, "a/b/one.jsonl");
    }
}
