//! The image of a run: its root file system (agents 4.1).

use std::collections::BTreeMap;

use vm0_sandbox::RootImage;
use vm0_sandbox::image::{ImageError, ImageLease, ImageName, ImageStore};

/// The image that needs no download: the host's own programs.
const HOST: &str = "host";

/// The images of this runner.
#[derive(Debug)]
pub(crate) struct Images {
    store: ImageStore,
    host_allowed: bool,
}

/// An image for one run. It stays while this value lives.
#[derive(Debug)]
pub(crate) struct RunImage {
    pub(crate) name: String,
    pub(crate) root: RootImage,
    /// Its own variables.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) lease: Option<ImageLease>,
}

/// The image cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageMissing {
    /// Nobody brought it.
    #[error("image '{0}' is not on this runner; run: vm0 image pull {0}")]
    NotHere(String),
    /// The operator does not allow it.
    #[error("image 'host' is switched off on this runner; name another image")]
    HostSwitchedOff,
    /// The store is broken.
    #[error("{}", crate::chain::chain(.0))]
    Store(#[from] ImageError),
}

impl Images {
    /// The images in `store`, and `host` if that is allowed.
    pub(crate) fn new(store: ImageStore, host_allowed: bool) -> Self {
        Self {
            store,
            host_allowed,
        }
    }

    /// The image of this name; without one, that of the framework if it is here, else `host`.
    pub(crate) fn resolve(
        &self,
        name: Option<&str>,
        framework: &str,
    ) -> Result<RunImage, ImageMissing> {
        match name {
            Some(HOST) => self.host(),
            Some(name) => {
                let known = name.parse::<ImageName>().ok();
                let lease = known
                    .map(|name| self.store.take(&name))
                    .transpose()?
                    .flatten();
                lease
                    .map(stored)
                    .ok_or_else(|| ImageMissing::NotHere(name.to_owned()))
            }
            None => {
                let name = ImageName::of_framework(framework)?;
                self.store
                    .take(&name)?
                    .map_or_else(|| self.host(), |lease| Ok(stored(lease)))
            }
        }
    }

    fn host(&self) -> Result<RunImage, ImageMissing> {
        if !self.host_allowed {
            return Err(ImageMissing::HostSwitchedOff);
        }
        let (name, root, env) = (HOST.to_owned(), RootImage::Host, BTreeMap::new());
        Ok(RunImage {
            name,
            root,
            env,
            lease: None,
        })
    }
}

fn stored(lease: ImageLease) -> RunImage {
    let name = lease.image.name.clone();
    RunImage {
        name,
        root: lease.root.clone(),
        env: lease.image.env.clone(),
        lease: Some(lease),
    }
}
