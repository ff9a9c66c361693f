//! Unpacks one layer of a hostile archive into a directory, with shifted ids.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Entry, EntryType};

use super::error::ImageError;
use crate::ids::shifted;

/// Bytes of one image, unpacked.
pub(super) const MAX_BYTES: u64 = 32 << 30;
/// Entries of one image.
const MAX_ENTRIES: u64 = 2_000_000;

/// What the layers of one image had so far.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    bytes: u64,
    entries: u64,
}

impl Counted {
    fn add(&mut self, bytes: u64) -> Result<(), ImageError> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        let limits = [
            (self.bytes, MAX_BYTES, "bytes"),
            (self.entries, MAX_ENTRIES, "entries"),
        ];
        match limits.into_iter().find(|(count, limit, _)| count > limit) {
            Some((_, limit, unit)) => Err(ImageError::TooLarge { limit, unit }),
            None => Ok(()),
        }
    }
}

/// Unpacks the tar `input` over what is in `root`, applying whiteouts. Devices, FIFOs and sockets
/// are left out; extended attributes are not kept.
///
/// # Errors
/// An absolute or climbing path, a path through a link, a limit.
pub(crate) fn unpack(
    input: impl Read,
    root: &Path,
    counted: &mut Counted,
) -> Result<(), ImageError> {
    let mut archive = Archive::new(input);
    let read = |source| ImageError::Io {
        action: "read",
        path: "the archive".into(),
        source,
    };
    for entry in archive.entries().map_err(read)? {
        let mut entry = entry.map_err(read)?;
        counted.add(entry.header().entry_size().unwrap_or(u64::MAX))?;
        unpack_entry(&mut entry, root)?;
    }
    Ok(())
}

fn unpack_entry(entry: &mut Entry<'_, impl Read>, root: &Path) -> Result<(), ImageError> {
    let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let hostile = |reason| ImageError::Hostile {
        path: shown.clone(),
        reason,
    };
    let path = entry
        .path()
        .map_err(|_| hostile("its name is not a path"))?
        .into_owned();
    let relative = relative(&path).ok_or_else(|| hostile("it leads out of the image"))?;
    let Some(name) = relative.file_name().and_then(|name| name.to_str()) else {
        return Ok(());
    };
    let parent = relative.parent().unwrap_or(Path::new(""));
    let parent = directory(root, parent, &shown)?;
    if name == ".wh..wh..opq" {
        return clear(&parent);
    }
    if let Some(gone) = name.strip_prefix(".wh.") {
        return remove(&parent.join(gone));
    }
    let target = parent.join(name);
    let kind = entry.header().entry_type();
    match kind {
        EntryType::Directory => {
            if !fs::symlink_metadata(&target).is_ok_and(|meta| meta.is_dir()) {
                remove(&target)?;
                fs::create_dir(&target).map_err(ImageError::io("create", &target))?;
            }
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            remove(&target)?;
            let mut file =
                fs::File::create_new(&target).map_err(ImageError::io("create", &target))?;
            std::io::copy(entry, &mut file).map_err(ImageError::io("write", &target))?;
        }
        EntryType::Symlink => {
            let link = entry.link_name().ok().flatten();
            let link = link
                .ok_or_else(|| hostile("it is a link to nothing"))?
                .into_owned();
            remove(&target)?;
            std::os::unix::fs::symlink(link, &target).map_err(ImageError::io("create", &target))?;
        }
        EntryType::Link => {
            let link = entry.link_name().ok().flatten();
            let link = link
                .ok_or_else(|| hostile("it is a link to nothing"))?
                .into_owned();
            let link = self::relative(&link).ok_or_else(|| hostile("it links out of the image"))?;
            let from = link.parent().unwrap_or(Path::new(""));
            let source = directory(root, from, &shown)?.join(link.file_name().unwrap_or_default());
            remove(&target)?;
            fs::hard_link(&source, &target).map_err(ImageError::io("link", &target))?;
            return Ok(());
        }
        _ => return Ok(()),
    }
    own(entry, &target, kind)
}

/// Owner and mode of what was just unpacked.
fn own(entry: &Entry<'_, impl Read>, target: &Path, kind: EntryType) -> Result<(), ImageError> {
    let header = entry.header();
    let uid = shifted(header.uid().unwrap_or(0));
    let gid = shifted(header.gid().unwrap_or(0));
    lchown(target, Some(uid), Some(gid)).map_err(ImageError::io("give away", target))?;
    if kind != EntryType::Symlink {
        let mode = header.mode().unwrap_or(0o644) & 0o1777;
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(target, permissions).map_err(ImageError::io("set mode of", target))?;
    }
    Ok(())
}

/// The path without `.` components; `None` if it is absolute or climbs.
fn relative(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

/// The directory `relative` below `root`, made where it is missing. A link on the way is followed
/// only inside the root, as `lib -> usr/lib` is.
fn directory(root: &Path, relative: &Path, shown: &str) -> Result<PathBuf, ImageError> {
    let mut here = root.to_owned();
    for component in relative.components() {
        here.push(component);
        match fs::symlink_metadata(&here) {
            Ok(meta) if meta.is_dir() => {}
            Ok(meta) if meta.is_symlink() => {
                let real = here
                    .canonicalize()
                    .map_err(ImageError::io("follow", &here))?;
                if !real.starts_with(root) || !real.is_dir() {
                    let reason = "its directory is a link out of the image";
                    return Err(ImageError::Hostile {
                        path: shown.to_owned(),
                        reason,
                    });
                }
                here = real;
            }
            Ok(_) => {
                let reason = "its directory is a file";
                return Err(ImageError::Hostile {
                    path: shown.to_owned(),
                    reason,
                });
            }
            Err(_) => {
                fs::create_dir(&here).map_err(ImageError::io("create", &here))?;
                let owner = Some(shifted(0));
                lchown(&here, owner, owner).map_err(ImageError::io("give away", &here))?;
            }
        }
    }
    Ok(here)
}

fn remove(path: &Path) -> Result<(), ImageError> {
    let result = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    result.map_err(ImageError::io("remove", path))
}

fn clear(directory: &Path) -> Result<(), ImageError> {
    let entries = fs::read_dir(directory).map_err(ImageError::io("read", directory))?;
    for entry in entries {
        remove(&entry.map_err(ImageError::io("read", directory))?.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(members: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, data) in members {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            header.set_uid(0);
            header.set_gid(0);
            let content = if kind.is_file() { data.as_bytes() } else { b"" };
            if !kind.is_file() {
                let link = &mut header.as_gnu_mut().unwrap().linkname;
                link[..data.len()].copy_from_slice(data.as_bytes());
            }
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpacked(
        members: &[(&str, EntryType, &str)],
    ) -> (tempfile::TempDir, Result<(), ImageError>) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        let result = unpack(
            archive(members).as_slice(),
            &root.canonicalize().unwrap(),
            &mut Counted::default(),
        );
        (dir, result)
    }

    #[test]
    fn a_path_out_of_the_image_is_refused() {
        for members in [
            &[("../x", EntryType::Regular, "x")][..],
            &[("a/../../x", EntryType::Regular, "x")],
            &[
                ("l", EntryType::Symlink, "/tmp"),
                ("l/x", EntryType::Regular, "x"),
            ],
            &[
                ("l", EntryType::Symlink, ".."),
                ("l/x", EntryType::Regular, "x"),
            ],
            &[("h", EntryType::Link, "../../etc/passwd")],
        ] {
            let (dir, result) = unpacked(members);
            assert!(result.is_err(), "{members:?}");
            assert!(!dir.path().join("x").exists());
        }
    }

    #[test]
    fn the_limits_are_those_of_all_layers_together() {
        let dir = tempfile::tempdir().unwrap();
        let layer = archive(&[("a", EntryType::Regular, "12345")]);
        for (bytes, entries) in [(MAX_BYTES - 4, 0), (0, MAX_ENTRIES)] {
            let mut counted = Counted { bytes, entries };
            let result = unpack(layer.as_slice(), dir.path(), &mut counted);
            assert!(matches!(result, Err(ImageError::TooLarge { .. })));
            assert!(!dir.path().join("a").exists());
        }
    }

    #[test]
    fn links_inside_are_followed_and_whiteouts_applied() {
        let (dir, result) = unpacked(&[
            ("usr/lib/", EntryType::Directory, ""),
            ("lib", EntryType::Symlink, "usr/lib"),
            ("lib/a", EntryType::Regular, "a"),
            ("lib/b", EntryType::Regular, "b"),
            ("usr/lib/.wh.a", EntryType::Regular, ""),
            ("dev/null", EntryType::Char, ""),
        ]);
        result.unwrap();
        let root = dir.path().join("root");
        assert_eq!(fs::read(root.join("usr/lib/b")).unwrap(), b"b");
        assert!(!root.join("usr/lib/a").exists());
        assert!(!root.join("dev/null").exists());
        let meta = fs::metadata(root.join("usr/lib/b")).unwrap();
        assert_eq!(
            meta.permissions().mode() & 0o7777,
            0o755,
            "setuid is not kept"
        );
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&meta), shifted(0));
    }
}
