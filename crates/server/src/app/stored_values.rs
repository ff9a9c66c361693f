//! The rules that stored secrets and variables share (API 11).

use vm0_model::name::is_stored_name;
use vm0_model::{ApiError, limits};

/// Refuses what cannot be the name of a stored value.
pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    if is_stored_name(name) {
        return Ok(());
    }
    let message = "name must be 1 to 255 characters of A-Z, 0-9 and '_' and begin with a letter";
    Err(ApiError::invalid("name", message))
}

/// Refuses a value that is too long.
pub(super) fn check_value(value: &str) -> Result<(), ApiError> {
    let max = limits::STORED_VALUE_MAX_BYTES;
    if value.len() <= max {
        return Ok(());
    }
    let message = format!("value must be at most {max} bytes");
    Err(ApiError::invalid("value", message))
}
