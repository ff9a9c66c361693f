//! Objects behind signed addresses, and answers that are streams of bytes.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, Response};
use tokio::io::AsyncWriteExt;

use crate::client::Client;
use crate::error::ClientError;
use crate::http::{Body, Http, file_error};
use crate::retry::Retry;

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

    /// Writes all bytes to a new file and calls `progress` with the length of each piece.
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
        while let Some(chunk) = self.chunk().await? {
            file.write_all(&chunk).await.map_err(error)?;
            progress(chunk.len() as u64);
        }
        file.flush().await.map_err(error)
    }

    /// The bytes as a stream; an error ends it.
    pub fn into_stream(self) -> impl futures::Stream<Item = Result<Bytes, ClientError>> + Send {
        futures::stream::try_unfold(self, async |mut download| {
            Ok(download.chunk().await?.map(|chunk| (chunk, download)))
        })
    }
}
