//! Images from archives: a root file system as tar, an OCI layout, or the output of `docker save`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::archive::{Hashed, decompressed, sha256_hex};
use super::error::ImageError;
use super::manifest::{Config, Described, Descriptor, MAX_INDEXES, hex_of, parse, verify};
use super::name::ImageName;
use super::store::{Image, ImageStore};
use super::unpack::{Counted, unpack};
use crate::ids::BASE;

/// A description inside an archive, in bytes.
const JSON_MAX_BYTES: u64 = 16 << 20;

impl ImageStore {
    /// Unpacks an archive (tar, tar.gz, tar.zst; a root file system, an OCI layout or the output of
    /// `docker save`) and stores it as `name`.
    ///
    /// # Errors
    /// A hostile or unreadable archive; nothing is stored then.
    pub fn import(&self, input: impl Read, name: &ImageName) -> Result<Image, ImageError> {
        let work = self.workspace()?;
        let outer = work.path().join("outer");
        let digest = unpack_into(input, &outer, &mut Counted::default())?;
        let (layers, env) = if outer.join("oci-layout").is_file() {
            self.oci(&outer, work.path())?
        } else if outer.join("manifest.json").is_file() && !outer.join("usr").exists() {
            self.docker(&outer, work.path())?
        } else if outer.join("bin").exists() || outer.join("usr").exists() {
            self.add_layer(&digest, &outer)?;
            (vec![digest], BTreeMap::new())
        } else {
            return Err(ImageError::Format(
                "it is no root file system (no /usr, no /bin), no OCI layout and no docker archive",
            ));
        };
        self.add(name, env, layers)
    }

    fn oci(&self, outer: &Path, work: &Path) -> Result<Parts, ImageError> {
        let mut text = read(outer, Path::new("index.json"))?;
        for _ in 0..MAX_INDEXES {
            match Described::parse(&text)? {
                Described::Elsewhere(descriptor) => text = described(outer, &descriptor)?,
                Described::Image(manifest) => {
                    let config = Config::parse(&described(outer, &manifest.config)?)?;
                    let mut files = Vec::new();
                    for layer in &manifest.layers {
                        let path = outer.join(blob(&layer.digest)?);
                        verify_file(&path, &layer.digest)?;
                        files.push(path);
                    }
                    return Ok((self.layers(&files, work, &mut |_| Ok(()))?, config.env()));
                }
            }
        }
        Err(ImageError::Format("its indexes lead to no image"))
    }

    fn docker(&self, outer: &Path, work: &Path) -> Result<Parts, ImageError> {
        let images: Vec<DockerImage> =
            parse("manifest.json", &read(outer, Path::new("manifest.json"))?)?;
        let image = images
            .first()
            .ok_or(ImageError::Format("its manifest is empty"))?;
        let config = Config::parse(&read(outer, &inside(&image.config)?)?)?;
        let files: Result<Vec<PathBuf>, ImageError> = image
            .layers
            .iter()
            .map(|layer| Ok(outer.join(inside(layer)?)))
            .collect();
        Ok((self.layers(&files?, work, &mut |_| Ok(()))?, config.env()))
    }

    /// Applies layers in order to one tree: whiteouts are resolved, so it can be shared as it is.
    /// Calls `watch` with the bytes of each piece.
    pub(super) fn layers(
        &self,
        files: &[PathBuf],
        work: &Path,
        watch: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> Result<Vec<String>, ImageError> {
        let tree = work.join("tree");
        let mut digests = String::new();
        let mut counted = Counted::default();
        for file in files {
            let input = File::open(file).map_err(ImageError::io("open", file))?;
            let input = Watched { input, watch };
            digests.push_str(&unpack_into(input, &tree, &mut counted)?);
        }
        let layer = layer_of(&digests);
        self.add_layer(&layer, &tree)?;
        Ok(vec![layer])
    }
}

/// The name of the one layer that layers with these digests become.
pub(super) fn layer_of(digests: &str) -> String {
    sha256_hex(digests.as_bytes())
}

type Parts = (Vec<String>, BTreeMap<String, String>);

#[derive(Deserialize)]
struct DockerImage {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

/// A file that is read under somebody's eyes.
struct Watched<'a> {
    input: File,
    watch: &'a mut dyn FnMut(u64) -> io::Result<()>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        (self.watch)(count as u64)?;
        Ok(count)
    }
}

/// Unpacks a possibly compressed tar over `root` and gives the digest of its bytes as they came.
pub(super) fn unpack_into(
    input: impl Read,
    root: &Path,
    counted: &mut Counted,
) -> Result<String, ImageError> {
    let archive = || Path::new("the archive");
    if !root.exists() {
        fs::create_dir(root).map_err(ImageError::io("create", root))?;
        lchown(root, Some(BASE), Some(BASE)).map_err(ImageError::io("give away", root))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(root, mode).map_err(ImageError::io("set mode of", root))?;
    }
    let mut input = Hashed::new(input);
    let plain = decompressed(&mut input).map_err(ImageError::io("read", archive()))?;
    unpack(plain, root, counted)?;
    input.finish().map_err(ImageError::io("read", archive()))
}

/// The bytes of a description; the file may be no link.
fn read(root: &Path, path: &Path) -> Result<Vec<u8>, ImageError> {
    let full = root.join(path);
    let meta = fs::symlink_metadata(&full).map_err(ImageError::io("find", path))?;
    if !meta.is_file() || meta.len() > JSON_MAX_BYTES {
        return Err(ImageError::Format(
            "a description in it is no file or too large",
        ));
    }
    fs::read(&full).map_err(ImageError::io("read", path))
}

/// The description that a digest names.
fn described(root: &Path, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
    let text = read(root, &blob(&descriptor.digest)?)?;
    verify(&text, &descriptor.digest)?;
    Ok(text)
}

/// Where an OCI layout keeps the content with this digest.
fn blob(digest: &str) -> Result<PathBuf, ImageError> {
    Ok(Path::new("blobs/sha256").join(hex_of(digest)?))
}

/// A path that a docker archive names, if it stays inside.
fn inside(path: &str) -> Result<PathBuf, ImageError> {
    let path = Path::new(path);
    let fine = path
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    fine.then(|| path.to_owned())
        .ok_or(ImageError::Format("a path in it leads out of it"))
}

fn verify_file(path: &Path, digest: &str) -> Result<(), ImageError> {
    let meta = fs::symlink_metadata(path).map_err(ImageError::io("find", path))?;
    let file = File::open(path).map_err(ImageError::io("open", path))?;
    let found = Hashed::new(file)
        .finish()
        .map_err(ImageError::io("read", path))?;
    if !meta.is_file() || digest.strip_prefix("sha256:") != Some(found.as_str()) {
        return Err(ImageError::Digest(digest.to_owned()));
    }
    Ok(())
}
