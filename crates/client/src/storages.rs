//! Volumes and artifacts, which work alike (API 8).

use reqwest::Method;
use vm0_model::id::StorageId;
use vm0_model::storage::StorageKind;
use vm0_model::wire::page::Page;
use vm0_model::wire::storages::{
    CommitCreate, Storage, StorageCreate, StorageDetail, StorageVersion, UploadCreate,
    UploadSession,
};

use crate::client::Client;
use crate::error::ClientError;
use crate::objects::Download;
use crate::page::PageQuery;
use crate::retry::Retry;

/// The collection in paths.
const fn collection(kind: StorageKind) -> &'static str {
    match kind {
        StorageKind::Volume => "volumes",
        StorageKind::Artifact => "artifacts",
    }
}

impl Client {
    /// Creates a volume or artifact.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn storage_create(
        &self,
        kind: StorageKind,
        body: &StorageCreate,
    ) -> Result<StorageDetail, ClientError> {
        let call = self
            .http
            .call(Method::POST, &["v1", collection(kind)])
            .body_json(body)?;
        self.http.json(&call, Retry::Never).await
    }

    /// A page of volumes or artifacts; with `name`, of the one of that name.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn storage_list(
        &self,
        kind: StorageKind,
        name: Option<&str>,
        page: &PageQuery,
    ) -> Result<Page<Storage>, ClientError> {
        let call = self
            .http
            .call(Method::GET, &["v1", collection(kind)])
            .query("name", name);
        self.http.json(&page.on(call), Retry::WhenUnreachable).await
    }

    /// One volume or artifact.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn storage_view(
        &self,
        kind: StorageKind,
        id: StorageId,
    ) -> Result<StorageDetail, ClientError> {
        let call = self
            .http
            .call(Method::GET, &["v1", collection(kind), &id.to_string()]);
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Removes a volume or artifact with its versions. Not repeated: the second time it would be
    /// unknown.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn storage_delete(
        &self,
        kind: StorageKind,
        id: StorageId,
    ) -> Result<(), ClientError> {
        let call = self
            .http
            .call(Method::DELETE, &["v1", collection(kind), &id.to_string()]);
        self.http.bytes(&call, Retry::Never).await.map(drop)
    }

    /// A page of versions, newest first.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn storage_version_list(
        &self,
        kind: StorageKind,
        id: StorageId,
        page: &PageQuery,
    ) -> Result<Page<StorageVersion>, ClientError> {
        let path = ["v1", collection(kind), &id.to_string(), "versions"];
        let call = page.on(self.http.call(Method::GET, &path));
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Declares the files of a version to be uploaded.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn storage_upload(
        &self,
        kind: StorageKind,
        id: StorageId,
        body: &UploadCreate,
    ) -> Result<UploadSession, ClientError> {
        let path = ["v1", collection(kind), &id.to_string(), "upload"];
        let call = self.http.call(Method::POST, &path).body_json(body)?;
        self.http.json(&call, Retry::Never).await
    }

    /// Makes what was uploaded the head. Committing again is harmless, so it is repeated. The
    /// server reads the whole upload first, so it gets as much time as `size` bytes may need.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn storage_commit(
        &self,
        kind: StorageKind,
        id: StorageId,
        body: &CommitCreate,
        size: u64,
    ) -> Result<StorageVersion, ClientError> {
        let path = ["v1", collection(kind), &id.to_string(), "commit"];
        let longer = std::time::Duration::from_secs(size >> 22);
        let call = self
            .http
            .call(Method::POST, &path)
            .body_json(body)?
            .wait(longer);
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// The archive of a version, by reference, or of the head.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn storage_download(
        &self,
        kind: StorageKind,
        id: StorageId,
        version: Option<&str>,
    ) -> Result<Download, ClientError> {
        let path = ["v1", collection(kind), &id.to_string(), "download"];
        let call = self
            .http
            .call(Method::GET, &path)
            .query("version_id", version);
        let response = self.http.response(&call, Retry::WhenUnreachable).await?;
        Ok(Download::new(self.http.clone(), response))
    }
}
