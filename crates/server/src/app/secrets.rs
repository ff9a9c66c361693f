//! Stored secrets (API 11).

use secrecy::{ExposeSecret, SecretString};
use vm0_model::ApiError;
use vm0_model::wire::page::Page;
use vm0_model::wire::secrets::Secret;
use vm0_store::record::{PutOutcome, SecretPut, SecretRecord};

use super::context::App;
use super::cursor::{self, PageRequest};
use super::error::AppError;
use super::stored_values::{check_name, check_value};
use super::tokens::Caller;
use crate::clock;

const LIST: &str = "secrets";

impl App {
    /// The secrets of the caller, without their values.
    pub(crate) async fn secret_list(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<Page<Secret>, AppError> {
        let rows = cursor::list_page(LIST, page)?;
        let rows = self.store.secret_list(caller.user.id, rows).await?;
        let position = |row: &SecretRecord| cursor::list_position(LIST, row.created_at, &row.name);
        Ok(cursor::page_of(page.limit, rows, position, secret))
    }

    /// A secret, without its value.
    pub(crate) async fn secret_view(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Secret, AppError> {
        let found = self.store.secret_view(caller.user.id, name).await?;
        let row = found.ok_or_else(|| ApiError::not_found("secret", name))?;
        Ok(secret(row))
    }

    /// Stores a secret, sealed for its user and name.
    pub(crate) async fn secret_put(
        &self,
        caller: &Caller,
        name: &str,
        value: SecretString,
    ) -> Result<PutOutcome<Secret>, AppError> {
        check_name(name)?;
        check_value(value.expose_secret())?;
        if value.expose_secret().is_empty() {
            return Err(ApiError::invalid("value", "value must not be empty").into());
        }
        let user_id = caller.user.id;
        let put = SecretPut {
            user_id,
            name: name.to_owned(),
            sealed: self.keys.seal_secret(user_id, name, &value)?,
            now: clock::now(),
        };
        Ok(self.acting(caller).secret_put(put).await?.map(secret))
    }

    /// Deletes a secret.
    pub(crate) async fn secret_delete(&self, caller: &Caller, name: &str) -> Result<(), AppError> {
        let deleted = self
            .acting(caller)
            .secret_delete(caller.user.id, name)
            .await?;
        if deleted {
            Ok(())
        } else {
            Err(ApiError::not_found("secret", name).into())
        }
    }
}

fn secret(row: SecretRecord) -> Secret {
    Secret {
        name: row.name,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}
