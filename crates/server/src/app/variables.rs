//! Stored variables (API 11).

use vm0_model::ApiError;
use vm0_model::wire::page::Page;
use vm0_model::wire::variables::Variable;
use vm0_store::record::{PutOutcome, VariablePut, VariableRecord};

use super::context::App;
use super::cursor::{self, PageRequest};
use super::error::AppError;
use super::stored_values::{check_name, check_value};
use super::tokens::Caller;
use crate::clock;

const LIST: &str = "variables";

impl App {
    /// The variables of the caller.
    pub(crate) async fn variable_list(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<Page<Variable>, AppError> {
        let rows = cursor::list_page(LIST, page)?;
        let rows = self.store.variable_list(caller.user.id, rows).await?;
        let position =
            |row: &VariableRecord| cursor::list_position(LIST, row.created_at, &row.name);
        Ok(cursor::page_of(page.limit, rows, position, variable))
    }

    /// A variable.
    pub(crate) async fn variable_view(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Variable, AppError> {
        let found = self.store.variable_view(caller.user.id, name).await?;
        let row = found.ok_or_else(|| ApiError::not_found("variable", name))?;
        Ok(variable(row))
    }

    /// Stores a variable.
    pub(crate) async fn variable_put(
        &self,
        caller: &Caller,
        name: &str,
        value: String,
    ) -> Result<PutOutcome<Variable>, AppError> {
        check_name(name)?;
        check_value(&value)?;
        let put = VariablePut {
            user_id: caller.user.id,
            name: name.to_owned(),
            value,
            now: clock::now(),
        };
        Ok(self.store.variable_put(put).await?.map(variable))
    }

    /// Deletes a variable.
    pub(crate) async fn variable_delete(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<(), AppError> {
        if self.store.variable_delete(caller.user.id, name).await? {
            Ok(())
        } else {
            Err(ApiError::not_found("variable", name).into())
        }
    }
}

fn variable(row: VariableRecord) -> Variable {
    Variable {
        name: row.name,
        value: row.value,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}
