//! How the text forms of identifiers and times are described to clients.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};

/// A UUID as ids are written: lowercase, with hyphens (API 1.3).
pub(crate) const UUID_PATTERN: &str =
    "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// A SHA-256 digest as version ids are written (API 1.3).
pub(crate) const DIGEST_PATTERN: &str = "^[0-9a-f]{64}$";
/// A time as answers have it (API 1.3).
pub(crate) const TIME_PATTERN: &str =
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$";

/// The schema of a string of this form.
pub(crate) fn text(
    description: &str,
    pattern: Option<&str>,
    format: Option<&str>,
) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description.trim()))
        .pattern(pattern)
        .format(format.map(|format| SchemaFormat::Custom(format.to_owned())))
        .into()
}
