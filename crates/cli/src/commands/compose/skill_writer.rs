//! One skill on its way into a bundle. Where it comes from is hostile: paths, links, numbers and
//! sizes are checked here, once for every source.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use vm0_model::config::{SkillNeeds, skill_needs};
use vm0_model::limits::{SKILL_MAX_BYTES, SKILL_MAX_FILES};
use vm0_model::path::{FileSetFault, validate_file_path, validate_file_set};

use super::fault::SourceFault;

/// What makes a directory a skill.
const SKILL_FILE: &str = "SKILL.md";
const GIT_DIRECTORY: &str = ".git";

/// A new directory that becomes a copy of a skill.
#[derive(Debug)]
pub(super) struct SkillWriter {
    root: PathBuf,
    files: Vec<String>,
    links: Vec<(String, String)>,
    bytes: u64,
}

impl SkillWriter {
    /// Makes the directory.
    pub(super) fn create(root: PathBuf) -> Result<Self, SourceFault> {
        fs::create_dir_all(&root).map_err(SourceFault::io(&root))?;
        Ok(Self {
            root,
            files: Vec::new(),
            links: Vec::new(),
            bytes: 0,
        })
    }

    /// Adds a file.
    pub(super) fn file(
        &mut self,
        path: &str,
        executable: bool,
        content: impl Read,
    ) -> Result<(), SourceFault> {
        self.admit(path)?;
        let full = self.root.join(path);
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).map_err(|error| clash(path, &full, error))?;
        }
        let mode = if executable { 0o755 } else { 0o644 };
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(mode);
        let mut out = options
            .open(&full)
            .map_err(|error| clash(path, &full, error))?;
        let left = SKILL_MAX_BYTES - self.bytes;
        let copied = io::copy(&mut content.take(left + 1), &mut out);
        self.bytes += copied.map_err(SourceFault::io(&full))?;
        if self.bytes > SKILL_MAX_BYTES {
            return Err(SourceFault::TooLarge);
        }
        self.files.push(path.to_owned());
        Ok(())
    }

    /// Adds a link; it is made last, so that no file is ever written through one.
    pub(super) fn link(&mut self, path: &str, target: &str) -> Result<(), SourceFault> {
        self.admit(path)?;
        if !stays_inside(path, target) {
            return Err(SourceFault::LinkOut(path.to_owned()));
        }
        self.links.push((path.to_owned(), target.to_owned()));
        Ok(())
    }

    fn admit(&self, path: &str) -> Result<(), SourceFault> {
        validate_file_path(path).map_err(|source| SourceFault::Path {
            path: path.to_owned(),
            source,
        })?;
        if path.split('/').any(is_git_directory) {
            return Err(SourceFault::GitInternal(path.to_owned()));
        }
        if self.files.len() + self.links.len() >= SKILL_MAX_FILES {
            return Err(SourceFault::TooMany);
        }
        Ok(())
    }

    /// Makes the links, and reads what the skill needs.
    pub(super) fn finish(self) -> Result<SkillNeeds, SourceFault> {
        let links = self.links.iter().map(|(path, _)| path);
        let paths: Vec<&str> = self.files.iter().chain(links).map(String::as_str).collect();
        validate_file_set(paths.iter().copied()).map_err(|error| {
            let path = paths[error.index].to_owned();
            match error.fault {
                FileSetFault::Path(source) => SourceFault::Path { path, source },
                FileSetFault::Duplicate | FileSetFault::Below { .. } => SourceFault::Clash(path),
            }
        })?;
        if !self.files.iter().any(|path| path == SKILL_FILE) {
            return Err(SourceFault::NoSkillFile);
        }
        for (path, target) in &self.links {
            let full = self.root.join(path);
            let parent = full.parent().unwrap_or(&self.root);
            fs::create_dir_all(parent)
                .and_then(|()| symlink(target, &full))
                .map_err(|error| clash(path, &full, error))?;
        }
        read_needs(&self.root.join(SKILL_FILE))
    }
}

/// Copies a directory of this machine, without its `.git`.
pub(super) fn copy_directory(
    from: &Path,
    writer: &mut SkillWriter,
    prefix: &str,
) -> Result<(), SourceFault> {
    for entry in fs::read_dir(from).map_err(SourceFault::io(from))? {
        let entry = entry.map_err(SourceFault::io(from))?;
        let full = entry.path();
        let name = entry.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| SourceFault::Name(full.display().to_string()))?;
        if is_git_directory(name) {
            continue;
        }
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(SourceFault::io(&full))?;
        if kind.is_dir() {
            writer.admit(&path)?;
            copy_directory(&full, writer, &format!("{path}/"))?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&full).map_err(SourceFault::io(&full))?;
            let target = target
                .to_str()
                .ok_or_else(|| SourceFault::LinkOut(path.clone()))?;
            writer.link(&path, target)?;
        } else if kind.is_file() {
            let file = File::open(&full).map_err(SourceFault::io(&full))?;
            let metadata = file.metadata().map_err(SourceFault::io(&full))?;
            let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
            writer.file(&path, mode & 0o100 != 0, file)?;
        } else {
            return Err(SourceFault::Special(path));
        }
    }
    Ok(())
}

fn is_git_directory(name: &str) -> bool {
    name.eq_ignore_ascii_case(GIT_DIRECTORY)
}

/// Whether a relative link at `path` cannot leave the directory that `path` is in.
fn stays_inside(path: &str, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.contains('\0') {
        return false;
    }
    let mut depth = path.matches('/').count();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    true
}

fn clash(path: &str, full: &Path, error: io::Error) -> SourceFault {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            SourceFault::Clash(path.to_owned())
        }
        _ => SourceFault::io(full)(error),
    }
}

fn read_needs(path: &Path) -> Result<SkillNeeds, SourceFault> {
    let bytes = fs::read(path).map_err(SourceFault::io(path))?;
    let text = String::from_utf8_lossy(&bytes);
    skill_needs(&text).map_err(|problems| {
        let lines: Vec<_> = problems
            .iter()
            .map(|problem| problem.in_file(SKILL_FILE))
            .collect();
        SourceFault::SkillFile(lines.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> (tempfile::TempDir, SkillWriter) {
        let dir = tempfile::tempdir().unwrap();
        let writer = SkillWriter::create(dir.path().join("skill")).unwrap();
        (dir, writer)
    }

    #[test]
    fn a_link_may_lead_anywhere_inside() {
        for (path, target) in [
            ("a", "b"),
            ("a/b", "../c"),
            ("a/b/c", "../../d/./e"),
            ("a", "b/.."),
        ] {
            assert!(stays_inside(path, target), "{path} -> {target}");
        }
        for (path, target) in [
            ("a", "/etc/passwd"),
            ("a", ".."),
            ("a", "../b"),
            ("a/b", "../../c"),
            ("a", "b/../.."),
            ("a", ""),
        ] {
            assert!(!stays_inside(path, target), "{path} -> {target}");
        }
    }

    #[test]
    fn hostile_entries_are_refused() {
        let (dir, mut writer) = writer();
        writer.file("SKILL.md", false, &b"# x"[..]).unwrap();
        for path in ["../up", "/abs", "a//b", ".git/config", "a/.GIT/hooks/x", ""] {
            assert!(writer.file(path, false, &b""[..]).is_err(), "{path}");
        }
        let twice = writer.file("SKILL.md", false, &b""[..]);
        assert!(matches!(twice, Err(SourceFault::Clash(_))));
        let below = writer.file("SKILL.md/x", false, &b""[..]);
        assert!(matches!(below, Err(SourceFault::Clash(_))));
        let out = writer.link("a", "../../x");
        assert!(matches!(out, Err(SourceFault::LinkOut(_))));
        // A tree with a link and files below the link's name, as no honest git makes one.
        writer.link("dir", "sub").unwrap();
        writer.file("dir/x", false, &b""[..]).unwrap();
        assert!(matches!(writer.finish(), Err(SourceFault::Clash(_))));
        assert!(!dir.path().join("up").exists());
    }

    #[test]
    fn a_skill_is_bounded_in_files_and_bytes() {
        let (_dir, mut first) = writer();
        let most = SKILL_MAX_BYTES;
        first.file("a", false, io::repeat(0).take(most)).unwrap();
        let more = first.file("b", false, &b"x"[..]);
        assert!(matches!(more, Err(SourceFault::TooLarge)));
        let (_dir, mut second) = writer();
        for number in 0..SKILL_MAX_FILES {
            second.link(&format!("l{number}"), "x").unwrap();
        }
        assert!(matches!(
            second.link("more", "x"),
            Err(SourceFault::TooMany)
        ));
    }

    #[test]
    fn a_directory_without_a_skill_file_is_no_skill() {
        let (_dir, mut writer) = writer();
        writer.link("SKILL.md", "other.md").unwrap();
        writer.file("other.md", false, &b""[..]).unwrap();
        assert!(matches!(writer.finish(), Err(SourceFault::NoSkillFile)));
    }
}
