//! A further certificate authority that the programs inside trust: appended to the bundles of the
//! image, in the layer of the sandbox, and beside the guest agent for what takes a bundle by name.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, openat2, unlinkat};
use vm0_guest::AUTHORITIES_NAME;

use super::layout::Layout;
use crate::error::SandboxError;

/// Where distributions keep all authorities in one file: Debian and Alpine, Fedora, SUSE, others.
const BUNDLES: [(&str, &str); 4] = [
    ("etc/ssl/certs", "ca-certificates.crt"),
    ("etc/pki/tls/certs", "ca-bundle.crt"),
    ("etc/ssl", "ca-bundle.pem"),
    ("etc/ssl", "cert.pem"),
];
/// More than any distribution has.
const BUNDLE_MAX_BYTES: u64 = 4 << 20;

/// Makes what runs in the sandbox trust `certificate`, in PEM. The root must be mounted already
/// and nothing may run in it yet; `first_id` is the host's id of uid 0 inside.
pub(crate) fn trust(layout: &Layout, certificate: &str, first_id: u32) -> Result<(), SandboxError> {
    let root = layout.root();
    let mut all = None;
    for (directory, name) in BUNDLES {
        let path = root.join(directory).join(name);
        let extended = extend(&root, directory, name, certificate.as_bytes(), first_id);
        let bundle = extended.map_err(SandboxError::io("extend", &path))?;
        all = all.or(bundle);
    }
    let all = all.unwrap_or_else(|| certificate.as_bytes().to_vec());
    let path = layout.on_scratch("vm0").join(AUTHORITIES_NAME);
    std::fs::write(&path, all).map_err(SandboxError::io("write", &path))
}

/// Appends `certificate` to a bundle of the image, whose links must not lead out of it. None if
/// there is no such bundle.
fn extend(
    root: &Path,
    directory: &str,
    name: &str,
    certificate: &[u8],
    first_id: u32,
) -> io::Result<Option<Vec<u8>>> {
    let root = File::open(root)?;
    let Some(bundle) = open(
        &root,
        &format!("{directory}/{name}"),
        OFlags::RDONLY | OFlags::NONBLOCK,
    )?
    else {
        return Ok(None);
    };
    let Some(directory) = open(&root, directory, OFlags::PATH | OFlags::DIRECTORY)? else {
        return Ok(None);
    };
    let mut bundle = File::from(bundle);
    if !bundle.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    Read::take(&mut bundle, BUNDLE_MAX_BYTES).read_to_end(&mut bytes)?;
    if !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(certificate);
    // A new file in the place of the old one: that may be a link to somewhere else.
    unlinkat(&directory, name, AtFlags::empty())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o644);
    let file = openat2(&directory, name, flags, mode, ResolveFlags::BENEATH)?;
    let owner = (Uid::from_raw(first_id), Gid::from_raw(first_id));
    chownat(
        &directory,
        name,
        Some(owner.0),
        Some(owner.1),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    File::from(file).write_all(&bytes)?;
    Ok(Some(bytes))
}

fn open(root: &File, path: &str, flags: OFlags) -> io::Result<Option<OwnedFd>> {
    let flags = flags | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, path, flags, Mode::empty(), resolve) {
        Ok(file) => Ok(Some(file)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_bundle_is_extended_in_its_place_and_its_links_stay_inside() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (root, secret) = (root.path(), outside.path().join("secret"));
        fs::create_dir_all(root.join("etc/ssl/certs")).unwrap();
        fs::create_dir_all(root.join("usr/share/ca")).unwrap();
        fs::write(root.join("usr/share/ca/all.pem"), "first").unwrap();
        fs::write(&secret, "secret").unwrap();
        symlink(
            "/usr/share/ca/all.pem",
            root.join("etc/ssl/certs/ca-certificates.crt"),
        )
        .unwrap();
        symlink(&secret, root.join("etc/ssl/cert.pem")).unwrap();
        let extended = extend(root, "etc/ssl/certs", "ca-certificates.crt", b"mine", 0);
        assert_eq!(extended.unwrap().unwrap(), b"first\nmine");
        assert_eq!(
            fs::read(root.join("usr/share/ca/all.pem")).unwrap(),
            b"first"
        );
        let path = root.join("etc/ssl/certs/ca-certificates.crt");
        assert_eq!(fs::read(&path).unwrap(), b"first\nmine");
        assert!(!path.is_symlink());
        assert_eq!(
            extend(root, "etc/ssl", "cert.pem", b"mine", 0).unwrap(),
            None
        );
        assert_eq!(
            extend(root, "etc/ssl", "ca-bundle.pem", b"mine", 0).unwrap(),
            None
        );
        assert_eq!(fs::read(&secret).unwrap(), b"secret");
    }
}
