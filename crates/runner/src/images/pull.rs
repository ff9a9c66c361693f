//! Images from registries: what a registry gives becomes a draft of the image store.

use std::io;

use futures::stream::{self, StreamExt, TryStreamExt};
use vm0_client::registry::{Content, Digest, Puller, RegistryError};
use vm0_sandbox::image::{
    Brought, Described, Descriptor, Image, ImageDraft, ImageError, ImageName, ImageStore,
    MAX_INDEXES,
};

/// Layers that are fetched at a time.
const AT_A_TIME: usize = 3;

/// Why an image was not pulled; fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry does not give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It cannot be stored.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// An image that is here but not yet unpacked. Dropping it removes what was fetched.
#[derive(Debug)]
pub struct Pulled {
    draft: ImageDraft,
    brought: Brought,
}

/// Who is told how far a pull has come.
pub trait PullWatch: Sync {
    /// This many bytes of layers are to be fetched.
    fn total(&self, bytes: u64);
    /// This many more are here.
    fn fetched(&self, bytes: u64);
}

/// Fetches the image that `puller` is for, but for layers that the store has. Dropping the future
/// leaves nothing.
///
/// # Errors
/// Any of [`PullError`]; nothing is left then.
pub async fn pull(
    store: &ImageStore,
    puller: &Puller,
    watch: &impl PullWatch,
) -> Result<Pulled, PullError> {
    let (digest, mut text) = puller.manifest().await?;
    let mut indexes = 0;
    let manifest = loop {
        match Described::parse(&text)? {
            Described::Image(manifest) => break manifest,
            Described::Elsewhere(_) if indexes == MAX_INDEXES => {
                return Err(ImageError::Format("its indexes lead to no image").into());
            }
            Described::Elsewhere(descriptor) => {
                text = puller.manifest_of(&digest_of(&descriptor)?).await?;
                indexes += 1;
            }
        }
    };
    let config = puller.config(&digest_of(&manifest.config)?).await?;
    let draft = store.draft()?;
    let layers = draft.wanted(&manifest)?;
    watch.total(layers.iter().map(|layer| layer.size).sum());
    let fetch = async |layer: &Descriptor| -> Result<(), PullError> {
        let content = Content {
            digest: digest_of(layer)?,
            size: layer.size,
        };
        let path = draft.path_of(&layer.digest)?;
        let fetched = puller.layer(&content, &path, |bytes| watch.fetched(bytes));
        Ok(fetched.await?)
    };
    stream::iter(layers.into_iter().map(fetch))
        .buffer_unordered(AT_A_TIME)
        .try_collect::<()>()
        .await?;
    let brought = Brought {
        digest: digest.to_string(),
        manifest,
        config,
    };
    Ok(Pulled { draft, brought })
}

impl Pulled {
    /// Bytes of layers that [`Self::unpack`] reads.
    ///
    /// # Errors
    /// None that [`pull`] has not had.
    pub fn bytes(&self) -> Result<u64, ImageError> {
        let layers = self.draft.wanted(&self.brought.manifest)?;
        Ok(layers.iter().map(|layer| layer.size).sum())
    }

    /// Unpacks it and stores it as `name`. Calls `watch` with the bytes of each piece; an error of
    /// it stops the work. Blocks.
    ///
    /// # Errors
    /// A hostile or unreadable layer; nothing is stored then.
    pub fn unpack(
        self,
        name: &ImageName,
        watch: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> Result<Image, ImageError> {
        self.draft.finish(self.brought, name, watch)
    }
}

fn digest_of(descriptor: &Descriptor) -> Result<Digest, ImageError> {
    let digest = descriptor.digest.parse();
    digest.map_err(|_| ImageError::Format("a digest in it is not sha256"))
}
