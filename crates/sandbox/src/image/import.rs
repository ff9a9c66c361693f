//! Images from archives: a root file system as tar, an OCI layout, or the output of `docker save`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::archive::{Hashed, decompressed};
use super::error::ImageError;
use super::name::ImageName;
use super::store::{Image, ImageStore};
use super::unpack::unpack;
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
        let digest = unpack_into(input, &outer)?;
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
        let index: Index = json(outer, Path::new("index.json"))?;
        let manifest = index
            .manifests
            .first()
            .ok_or(ImageError::Format("its index is empty"))?;
        let manifest: Manifest = json(outer, &blob(&manifest.digest)?)?;
        let config: Config = json(outer, &blob(&manifest.config.digest)?)?;
        let mut files = Vec::new();
        for layer in &manifest.layers {
            let path = outer.join(blob(&layer.digest)?);
            verify(&path, &layer.digest)?;
            files.push(path);
        }
        Ok((self.layers(&files, work)?, config.env()))
    }

    fn docker(&self, outer: &Path, work: &Path) -> Result<Parts, ImageError> {
        let images: Vec<DockerImage> = json(outer, Path::new("manifest.json"))?;
        let image = images
            .first()
            .ok_or(ImageError::Format("its manifest is empty"))?;
        let config: Config = json(outer, &inside(&image.config)?)?;
        let files: Result<Vec<PathBuf>, ImageError> = image
            .layers
            .iter()
            .map(|layer| Ok(outer.join(inside(layer)?)))
            .collect();
        Ok((self.layers(&files?, work)?, config.env()))
    }

    /// Applies layers in order to one tree: whiteouts are resolved, so it can be shared as it is.
    fn layers(&self, files: &[PathBuf], work: &Path) -> Result<Vec<String>, ImageError> {
        let tree = work.join("tree");
        let mut digests = String::new();
        for file in files {
            let input = File::open(file).map_err(ImageError::io("open", file))?;
            digests.push_str(&unpack_into(input, &tree)?);
        }
        let layer = super::archive::sha256_hex(digests.as_bytes());
        self.add_layer(&layer, &tree)?;
        Ok(vec![layer])
    }
}

type Parts = (Vec<String>, BTreeMap<String, String>);

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct DockerImage {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    config: Option<Settings>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(rename = "Env")]
    env: Option<Vec<String>>,
}

impl Config {
    fn env(self) -> BTreeMap<String, String> {
        let pairs = self
            .config
            .and_then(|settings| settings.env)
            .unwrap_or_default();
        let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Unpacks a possibly compressed tar over `root` and gives the digest of its bytes as they came.
pub(super) fn unpack_into(input: impl Read, root: &Path) -> Result<String, ImageError> {
    let archive = || Path::new("the archive");
    if !root.exists() {
        fs::create_dir(root).map_err(ImageError::io("create", root))?;
        lchown(root, Some(BASE), Some(BASE)).map_err(ImageError::io("give away", root))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(root, mode).map_err(ImageError::io("set mode of", root))?;
    }
    let mut input = Hashed::new(input);
    let plain = decompressed(&mut input).map_err(ImageError::io("read", archive()))?;
    unpack(plain, root)?;
    input.finish().map_err(ImageError::io("read", archive()))
}

/// Reads a description; the file may be no link.
fn json<T: DeserializeOwned>(root: &Path, path: &Path) -> Result<T, ImageError> {
    let full = root.join(path);
    let meta = fs::symlink_metadata(&full).map_err(ImageError::io("find", path))?;
    if !meta.is_file() || meta.len() > JSON_MAX_BYTES {
        return Err(ImageError::Format(
            "a description in it is no file or too large",
        ));
    }
    let text = fs::read(&full).map_err(ImageError::io("read", path))?;
    let file = path.display().to_string();
    serde_json::from_slice(&text).map_err(|source| ImageError::Json { file, source })
}

/// Where an OCI layout keeps the content with this digest.
fn blob(digest: &str) -> Result<PathBuf, ImageError> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ImageError::Format("a digest in it is not sha256"));
    }
    Ok(Path::new("blobs/sha256").join(hex))
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

fn verify(path: &Path, digest: &str) -> Result<(), ImageError> {
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
