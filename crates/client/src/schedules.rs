//! Schedules.

use reqwest::Method;
use vm0_model::ScheduleId;
use vm0_model::wire::page::Page;
use vm0_model::wire::schedules::{Schedule, ScheduleCreate};

use crate::client::Client;
use crate::error::ClientError;
use crate::page::PageQuery;
use crate::retry::Retry;

impl Client {
    /// Makes a schedule. Not repeated: there would be two.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn schedule_create(&self, body: &ScheduleCreate) -> Result<Schedule, ClientError> {
        let call = self
            .http
            .call(Method::POST, &["v1", "schedules"])
            .body_json(body)?;
        self.http.json(&call, Retry::Never).await
    }

    /// A page of schedules, newest first.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn schedule_list(&self, page: &PageQuery) -> Result<Page<Schedule>, ClientError> {
        let call = page.on(self.http.call(Method::GET, &["v1", "schedules"]));
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Switches a schedule on or off.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn schedule_switch(&self, id: ScheduleId, on: bool) -> Result<Schedule, ClientError> {
        let action = if on { "enable" } else { "disable" };
        let path = ["v1", "schedules", &id.to_string(), action];
        let call = self.http.call(Method::POST, &path);
        self.http.json(&call, Retry::WhenUnreachable).await
    }

    /// Deletes a schedule. Not repeated: the second time it would be unknown.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub async fn schedule_delete(&self, id: ScheduleId) -> Result<(), ClientError> {
        let path = ["v1", "schedules", &id.to_string()];
        let call = self.http.call(Method::DELETE, &path);
        self.http.bytes(&call, Retry::Never).await.map(drop)
    }
}
