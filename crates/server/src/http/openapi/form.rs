//! The forms of parameters: small schemas that no wire type has.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};

/// Any string.
pub(super) fn text() -> Object {
    string().build()
}

/// A string that matches this.
pub(super) fn pattern(pattern: &str) -> Object {
    string().pattern(Some(pattern)).build()
}

/// One of these strings.
pub(super) fn choice(values: impl IntoIterator<Item = &'static str>) -> Object {
    string().enum_values(Some(values)).build()
}

/// An integer in a range.
pub(super) fn integer(min: u32, max: u32) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(min))
        .maximum(Some(max))
}

/// Says that a text field has one of these values.
pub(super) fn narrow(
    object: &mut Object,
    field: &str,
    values: impl IntoIterator<Item = &'static str>,
) {
    if let Some(RefOr::T(Schema::Object(text))) = object.properties.get_mut(field) {
        text.enum_values = Some(values.into_iter().map(Into::into).collect());
    }
}

/// A time as requests may give it (API 1.3).
pub(super) fn time() -> Object {
    pattern("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z$")
}

/// An object whose values are all of this form.
pub(super) fn map(of: impl Into<RefOr<Schema>>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(of.into()))
        .build()
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
