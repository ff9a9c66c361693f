//! The contents of one image, each checked against its digest while it comes.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use reqwest::header::{ACCEPT, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::digest::Digest;
use super::error::RegistryError;
use super::login::Login;
use super::reference::Reference;
use super::session::Session;
use crate::retry::Retry;

/// A manifest, an index or a configuration: what the distribution specification wants of registries.
const DESCRIPTION_MAX_BYTES: u64 = 4 << 20;
const DIGEST_HEADER: &str = "docker-content-digest";
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
                         application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

/// Fetches the contents of one image.
#[derive(Debug)]
pub struct Puller {
    session: Session,
}

/// A content that is named by its digest.
#[derive(Debug, Clone)]
pub struct Content {
    /// Its name.
    pub digest: Digest,
    /// Its bytes, as the manifest says.
    pub size: u64,
}

impl Puller {
    /// For the image of `reference`; `login` is told only to its registry.
    ///
    /// # Errors
    /// `Setup`.
    pub fn new(reference: Reference, login: Option<Login>) -> Result<Self, RegistryError> {
        Ok(Self {
            session: Session::new(reference, login)?,
        })
    }

    /// The manifest or index that the reference names, and its digest.
    ///
    /// # Errors
    /// Any of [`RegistryError`].
    pub async fn manifest(&self) -> Result<(Digest, Vec<u8>), RegistryError> {
        let reference = self.session.reference();
        let what = reference.to_string();
        let (headers, text) = self.description(reference.version(), &what).await?;
        let digest = Digest::of(&text);
        let promised = headers.get(DIGEST_HEADER);
        let promised = promised.and_then(|value| value.to_str().ok()?.parse().ok());
        let wanted = reference.digest().cloned().or(promised);
        if wanted.is_some_and(|wanted| wanted != digest) {
            return Err(RegistryError::Digest { what });
        }
        Ok((digest, text))
    }

    /// The manifest or index with this digest.
    ///
    /// # Errors
    /// Any of [`RegistryError`].
    pub async fn manifest_of(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        let what = format!("the manifest {digest}");
        let (_, text) = self.description(digest.as_str(), &what).await?;
        verified(text, digest, what)
    }

    /// A configuration.
    ///
    /// # Errors
    /// Any of [`RegistryError`].
    pub async fn config(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        let what = format!("the configuration {digest}");
        let path = ("blobs", digest.as_str());
        let (none, retry) = (HeaderMap::new(), Retry::WhenUnreachable);
        let response = self.session.get(path, &none, &what, retry).await?;
        let text = self
            .session
            .limited(response, DESCRIPTION_MAX_BYTES, &what)
            .await?;
        verified(text, digest, what)
    }

    /// Writes a layer to a new file and calls `progress` with the bytes of each piece. Where the
    /// connection breaks it goes on in a new one.
    ///
    /// # Errors
    /// Any of [`RegistryError`]; the file is not to be used then.
    pub async fn layer(
        &self,
        content: &Content,
        path: &Path,
        progress: impl Fn(u64),
    ) -> Result<(), RegistryError> {
        let what = format!("the layer {}", content.digest);
        let mut layer = Layer {
            file: File::create(path).map_err(file_error(path))?,
            path,
            hash: Sha256::new(),
            saved: 0,
        };
        let mut tries = Retry::WhenUnreachable.tries();
        while layer.saved < content.size || content.size == 0 {
            let before = layer.saved;
            let Err(error) = self.part(content, &mut layer, &what, &progress).await else {
                break;
            };
            if layer.saved > before {
                tries = Retry::WhenUnreachable.tries();
            }
            tries.wait_if(error.is_unreachable(), error).await?;
        }
        if Digest::finish(layer.hash) == content.digest {
            Ok(())
        } else {
            Err(RegistryError::Digest { what })
        }
    }

    /// The bytes that are missing, or as many of them as come.
    async fn part(
        &self,
        content: &Content,
        layer: &mut Layer<'_>,
        what: &str,
        progress: &impl Fn(u64),
    ) -> Result<(), RegistryError> {
        let mut headers = HeaderMap::new();
        if layer.saved > 0 {
            let range = HeaderValue::try_from(format!("bytes={}-", layer.saved));
            headers.insert(RANGE, range.expect("digits are visible ASCII"));
        }
        let path = ("blobs", content.digest.as_str());
        let mut response = self.session.get(path, &headers, what, Retry::Never).await?;
        let mut known = self.known(&response, layer.saved)?;
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|it| self.session.broken(it))?
        {
            let skipped = known.min(chunk.len() as u64);
            known -= skipped;
            let new = &chunk[usize::try_from(skipped).expect("no more than the chunk has")..];
            if layer.saved + new.len() as u64 > content.size {
                return Err(RegistryError::TooLarge {
                    what: what.to_owned(),
                    limit: content.size,
                });
            }
            layer.add(new)?;
            progress(new.len() as u64);
        }
        if layer.saved < content.size {
            return Err(RegistryError::Unreachable {
                registry: self.session.registry(),
                source: "the answer ended too early".into(),
            });
        }
        Ok(())
    }

    /// The bytes of the answer that are there already: none if it is the part that was asked for.
    fn known(&self, response: &Response, saved: u64) -> Result<u64, RegistryError> {
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Ok(saved);
        }
        let range = response.headers().get(CONTENT_RANGE);
        let range = range.and_then(|range| range.to_str().ok());
        let begins = range.is_some_and(|range| range.starts_with(&format!("bytes {saved}-")));
        let wrong = || {
            self.session
                .protocol("it sent another part than was asked for")
        };
        begins.then_some(0).ok_or_else(wrong)
    }

    async fn description(
        &self,
        version: &str,
        what: &str,
    ) -> Result<(HeaderMap, Vec<u8>), RegistryError> {
        let accept = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(MANIFESTS))]);
        let path = ("manifests", version);
        let retry = Retry::WhenUnreachable;
        let mut response = self.session.get(path, &accept, what, retry).await?;
        let headers = std::mem::take(response.headers_mut());
        let text = self
            .session
            .limited(response, DESCRIPTION_MAX_BYTES, what)
            .await?;
        Ok((headers, text))
    }
}

/// A layer as far as it has come.
struct Layer<'a> {
    file: File,
    path: &'a Path,
    hash: Sha256,
    saved: u64,
}

impl Layer<'_> {
    /// Writes without handing the bytes to another thread, so that nothing is written any more once
    /// the download is dropped.
    fn add(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        self.file.write_all(bytes).map_err(file_error(self.path))?;
        self.hash.update(bytes);
        self.saved += bytes.len() as u64;
        Ok(())
    }
}

fn verified(text: Vec<u8>, digest: &Digest, what: String) -> Result<Vec<u8>, RegistryError> {
    if Digest::of(&text) == *digest {
        Ok(text)
    } else {
        Err(RegistryError::Digest { what })
    }
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::File { path, source }
}
