//! An image whose parts are brought one by one, as a registry gives them.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::error::ImageError;
use super::import::layer_of;
use super::manifest::{Config, Descriptor, Manifest, hex_of, verify};
use super::name::ImageName;
use super::store::{Image, ImageStore, Workspace};
use super::unpack::MAX_BYTES;

/// An image that is not one yet. What was brought for it is removed with this value.
#[derive(Debug)]
pub struct ImageDraft {
    store: ImageStore,
    work: Workspace,
}

/// What was brought.
#[derive(Debug)]
pub struct Brought {
    /// The digest that the image is known by.
    pub digest: String,
    /// What it consists of; its layers are where [`ImageDraft::path_of`] says.
    pub manifest: Manifest,
    /// Its configuration.
    pub config: Vec<u8>,
}

impl ImageStore {
    /// Begins an image.
    ///
    /// # Errors
    /// If there is no place for it.
    pub fn draft(&self) -> Result<ImageDraft, ImageError> {
        let work = self.workspace()?;
        let blobs = work.path().join("blobs");
        fs::create_dir(&blobs).map_err(ImageError::io("create", &blobs))?;
        Ok(ImageDraft {
            store: self.clone(),
            work,
        })
    }
}

impl ImageDraft {
    /// Where the content with this digest is to be put.
    ///
    /// # Errors
    /// If it is no digest.
    pub fn path_of(&self, digest: &str) -> Result<PathBuf, ImageError> {
        Ok(self.work.path().join("blobs").join(hex_of(digest)?))
    }

    /// The layers that are to be brought: none if the store has all of them, unpacked.
    ///
    /// # Errors
    /// Something that is no digest, or more bytes than an image may have.
    pub fn wanted<'a>(&self, manifest: &'a Manifest) -> Result<Vec<&'a Descriptor>, ImageError> {
        if self.store.has_layer(&unpacked(manifest)?) {
            return Ok(Vec::new());
        }
        let layers = manifest.distinct_layers();
        let sizes = layers.iter().map(|layer| layer.size);
        if sizes.fold(0, u64::saturating_add) > MAX_BYTES {
            return Err(ImageError::TooLarge {
                limit: MAX_BYTES,
                unit: "bytes",
            });
        }
        Ok(layers)
    }

    /// Unpacks the layers and stores the image as `name`. Calls `watch` with the bytes of each piece
    /// of a layer; an error of it stops the work.
    ///
    /// # Errors
    /// As [`ImageStore::import`]; nothing is stored then.
    pub fn finish(
        self,
        brought: Brought,
        name: &ImageName,
        watch: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> Result<Image, ImageError> {
        let Brought {
            digest,
            manifest,
            config,
        } = brought;
        verify(&config, &manifest.config.digest)?;
        let env = Config::parse(&config)?.env();
        let layer = unpacked(&manifest)?;
        let layers = if self.store.has_layer(&layer) {
            vec![layer]
        } else {
            let layers = manifest.layers.iter();
            let files = layers.map(|layer| self.path_of(&layer.digest));
            let files: Result<Vec<PathBuf>, ImageError> = files.collect();
            self.store.layers(&files?, self.work.path(), watch)?
        };
        self.store.add_as(name, digest, env, layers)
    }
}

/// The layer of the store that an image's layers become.
fn unpacked(manifest: &Manifest) -> Result<String, ImageError> {
    let layers = manifest.layers.iter();
    let digests: Result<Vec<&str>, ImageError> =
        layers.map(|layer| hex_of(&layer.digest)).collect();
    Ok(layer_of(&digests?.concat()))
}
