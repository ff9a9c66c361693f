//! The files that every sandbox's root has, made once: empty mount points, accounts, and for the
//! image `host` the links and the `/etc` that its `/usr` needs.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use crate::error::SandboxError;
use crate::ids;

const DIRECTORIES: [(&str, u32); 11] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("vm0", 0o755),
];
const FILES: [(&str, &str); 6] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/bash\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    (
        "etc/group",
        "root:x:0:\ntty:x:5:\nuser:x:1000:\nnogroup:x:65534:\n",
    ),
    (
        "etc/hosts",
        "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n",
    ),
    ("etc/hostname", "sandbox\n"),
    (
        "etc/resolv.conf",
        "# There is no DNS inside; the proxy resolves names.\n",
    ),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    ),
];
/// What programs of the host's `/usr` expect of `/etc`: nothing that tells about the host's users.
const COPIED: [&str; 11] = [
    "alternatives",
    "ca-certificates.conf",
    "debian_version",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "magic",
    "mime.types",
    "protocols",
    "services",
    "ssl/openssl.cnf",
];
const LINKED: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32"];

/// The layers made once for all sandboxes of a backend.
#[derive(Debug, Clone)]
pub(crate) struct Skeleton {
    /// On top of every image.
    pub(crate) common: PathBuf,
    /// The whole root of the image `host`.
    pub(crate) host: PathBuf,
}

impl Skeleton {
    /// Makes the layers anew below `directory`.
    pub(crate) fn build(directory: &Path) -> Result<Self, SandboxError> {
        let skeleton = Self {
            common: directory.join("common"),
            host: directory.join("host"),
        };
        let build = || {
            make_common(&skeleton.common)?;
            make_common(&skeleton.host)?;
            make_host(&skeleton.host)?;
            own(&skeleton.common, ids::BASE)?;
            own(&skeleton.host, ids::BASE)?;
            for root in [&skeleton.common, &skeleton.host] {
                own(&root.join("home/user"), ids::USER)?;
            }
            Ok(())
        };
        build().map_err(SandboxError::io("build", directory))?;
        Ok(skeleton)
    }
}

fn make_common(root: &Path) -> io::Result<()> {
    make_directory(root, 0o755)?;
    for (name, mode) in DIRECTORIES {
        make_directory(&root.join(name), mode)?;
    }
    make_directory(&root.join("home/user"), 0o755)?;
    make_directory(&root.join("var/tmp"), 0o1777)?;
    for (name, text) in FILES {
        fs::write(root.join(name), text)?;
    }
    Ok(())
}

fn make_host(root: &Path) -> io::Result<()> {
    for name in LINKED {
        let path = Path::new("/").join(name);
        if path.is_dir() {
            symlink(format!("usr/{name}"), root.join(name))?;
        }
    }
    for name in COPIED {
        copy_tree(&Path::new("/etc").join(name), &root.join("etc").join(name))?;
    }
    copy_certificates(root)?;
    symlink("/usr/share/zoneinfo/UTC", root.join("etc/localtime"))?;
    symlink("../usr/lib/os-release", root.join("etc/os-release"))?;
    symlink("/proc/self/mounts", root.join("etc/mtab"))
}

/// The authorities' certificates as plain files: their links lead out of `/etc` and `/usr`.
fn copy_certificates(root: &Path) -> io::Result<()> {
    let target = root.join("etc/ssl/certs");
    fs::create_dir_all(&target)?;
    let Ok(entries) = fs::read_dir("/etc/ssl/certs") else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        if let Ok(bytes) = fs::read(entry.path()) {
            fs::write(target.join(entry.file_name()), bytes)?;
        }
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(from) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if metadata.is_symlink() {
        symlink(fs::read_link(from)?, to)
    } else if metadata.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
        Ok(())
    } else if metadata.permissions().mode() & 0o004 != 0 {
        fs::copy(from, to).map(|_| ())
    } else {
        Ok(())
    }
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Gives a tree to an id; links themselves, not what they lead to.
fn own(path: &Path, id: u32) -> io::Result<()> {
    lchown(path, Some(id), Some(id))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            own(&entry?.path(), id)?;
        }
    }
    Ok(())
}
