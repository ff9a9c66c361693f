//! Objects behind signed addresses, and answers that are streams of bytes.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::ETAG;
use reqwest::{Method, Response, StatusCode};
use tokio::io::AsyncWriteExt;

use crate::client::Client;
use crate::error::ClientError;
use crate::http::{Body, Http, file_error};
use crate::retry::{Retry, Tries};

/// A download that stands still for this long has broken.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    /// Puts an object of `length` bytes to the signed address of an upload answer.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn object_put(
        &self,
        upload_url: &str,
        content_type: &'static str,
        body: Body,
        length: u64,
    ) -> Result<(), ClientError> {
        let call = self
            .http
            .call_signed(Method::PUT, upload_url)?
            .body(content_type, body, length);
        self.http
            .bytes(&call, Retry::WhenUnreachable)
            .await
            .map(drop)
    }
}

/// The rest of a download was asked for, and the server gives something else.
#[derive(Debug, thiserror::Error)]
#[error("the bytes are no longer those that the download began with")]
struct OtherBytes;

/// Bytes on their way from the server.
#[derive(Debug)]
pub struct Download {
    http: Http,
    response: Response,
}

impl Download {
    pub(crate) fn new(http: Http, response: Response) -> Self {
        Self { http, response }
    }

    /// Bytes to come, if the server said.
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next bytes, or `None` at the end.
    ///
    /// # Errors
    /// `Unreachable` or `Timeout` if the connection broke.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        match tokio::time::timeout(IDLE_TIMEOUT, self.response.chunk()).await {
            Ok(result) => result.map_err(|error| self.http.unreachable(error)),
            Err(_) => Err(self.http.timeout(IDLE_TIMEOUT)),
        }
    }

    /// All bytes in memory.
    ///
    /// # Errors
    /// As [`Self::chunk`].
    pub async fn bytes(mut self) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Writes all bytes to a new file and calls `progress` with the length of each piece. Where the
    /// connection breaks it goes on in a new one, if the server still has the same bytes.
    ///
    /// # Errors
    /// As [`Self::chunk`], and `File`.
    pub async fn save(
        mut self,
        path: &Path,
        mut progress: impl FnMut(u64),
    ) -> Result<(), ClientError> {
        let error = |source| file_error(path, source);
        let mut file = tokio::fs::File::create(path).await.map_err(error)?;
        let mut saved = 0;
        let mut tries = Retry::WhenUnreachable.tries();
        loop {
            match self.chunk().await {
                Ok(Some(chunk)) => {
                    file.write_all(&chunk).await.map_err(error)?;
                    saved += chunk.len() as u64;
                    progress(chunk.len() as u64);
                    tries = Retry::WhenUnreachable.tries();
                }
                Ok(None) => return file.flush().await.map_err(error),
                Err(broken) => self.resume(saved, broken, &mut tries).await?,
            }
        }
    }

    /// Asks for the bytes from `start` on.
    async fn resume(
        &mut self,
        start: u64,
        broken: ClientError,
        tries: &mut Tries,
    ) -> Result<(), ClientError> {
        let etag = self.response.headers().get(ETAG);
        let Some(etag) = etag.and_then(|etag| etag.to_str().ok()) else {
            return Err(broken);
        };
        let call = self
            .http
            .call_signed(Method::GET, self.response.url().as_str())?;
        let call = call
            .header("range", format!("bytes={start}-"))
            .header("if-range", etag);
        let mut broken = broken;
        loop {
            tries.wait_after(broken).await?;
            match self.http.response(&call, Retry::Never).await {
                Ok(rest) if rest.status() == StatusCode::PARTIAL_CONTENT => {
                    self.response = rest;
                    return Ok(());
                }
                Ok(_) => return Err(call.protocol(OtherBytes)),
                Err(error) => broken = error,
            }
        }
    }

    /// The bytes as a stream; an error ends it.
    pub fn into_stream(self) -> impl futures::Stream<Item = Result<Bytes, ClientError>> + Send {
        futures::stream::try_unfold(self, async |mut download| {
            Ok(download.chunk().await?.map(|chunk| (chunk, download)))
        })
    }
}
