//! Images of this runner: the root file systems of sandboxes.

use std::collections::BTreeMap;

use vm0_sandbox::RootImage;

/// The image that needs no download: the host's own programs.
const HOST: &str = "host";

/// The images of this runner.
#[derive(Debug)]
pub(crate) struct Images {
    host_allowed: bool,
}

/// An image for one run.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) root: RootImage,
    /// Its own variables.
    pub(crate) env: BTreeMap<String, String>,
}

/// The image is not here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageMissing {
    /// Nobody brought it.
    #[error("image '{0}' is not on this runner; run: vm0 image pull {0}")]
    NotHere(String),
    /// The operator does not allow it.
    #[error("image 'host' is switched off on this runner; name another image")]
    HostSwitchedOff,
}

impl Images {
    /// The images of a runner that allows `host` or not.
    pub(crate) fn new(host_allowed: bool) -> Self {
        Self { host_allowed }
    }

    /// The image of this name, else the default of a framework.
    pub(crate) fn resolve(
        &self,
        name: Option<&str>,
        _framework: &str,
    ) -> Result<Image, ImageMissing> {
        match name {
            Some(name) if name != HOST => Err(ImageMissing::NotHere(name.to_owned())),
            _ if !self.host_allowed => Err(ImageMissing::HostSwitchedOff),
            _ => Ok(Image {
                name: HOST.to_owned(),
                root: RootImage::Host,
                env: BTreeMap::new(),
            }),
        }
    }
}
