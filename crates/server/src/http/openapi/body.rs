//! The JSON value that a request or an answer carries: a named schema and the schemas it needs.

use utoipa::ToSchema;
use utoipa::openapi::schema::{
    AllOf, ArrayBuilder, Object, ObjectBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};
use vm0_model::wire::page::Pagination;

/// A schema by its name, after those it refers to.
pub(super) type NamedSchema = (String, RefOr<Schema>);

/// What a request or an answer carries.
#[derive(Clone)]
pub(super) struct Body {
    name: String,
    schemas: Vec<NamedSchema>,
}

impl Body {
    /// A wire type.
    pub(super) fn of<T: ToSchema>() -> Self {
        let mut schemas = Vec::new();
        T::schemas(&mut schemas);
        schemas.push((T::name().into_owned(), T::schema()));
        let flat = schemas
            .iter()
            .map(|(name, schema)| (name.clone(), flattened(schema, &schemas)));
        Self {
            name: T::name().into_owned(),
            schemas: flat.collect(),
        }
    }

    /// A schema made here, and what it refers to.
    pub(super) fn made(
        name: &str,
        schema: impl Into<RefOr<Schema>>,
        parts: impl IntoIterator<Item = Self>,
    ) -> Self {
        let mut schemas: Vec<_> = parts.into_iter().flat_map(|part| part.schemas).collect();
        schemas.push((name.to_owned(), schema.into()));
        Self {
            name: name.to_owned(),
            schemas,
        }
    }

    /// The list answer with these as its items (API 1.6).
    pub(super) fn page(self) -> Self {
        let pagination = Self::of::<Pagination>();
        let items = ArrayBuilder::new().items(self.reference());
        let page = ObjectBuilder::new()
            .description(Some("A page of a list."))
            .property("data", items)
            .required("data")
            .property("pagination", pagination.reference())
            .required("pagination");
        let name = format!("{}Page", self.name);
        Self::made(&name, page, [self, pagination])
    }

    /// The object that a wire type is, to be changed and given to [`Body::made`].
    pub(super) fn object<T: ToSchema>() -> Object {
        let mut body = Self::of::<T>();
        match body.schemas.pop() {
            Some((_, RefOr::T(Schema::Object(object)))) => object,
            _ => Object::new(),
        }
    }

    /// Only what the schema refers to, for one that takes its place.
    pub(super) fn parts(mut self) -> Self {
        self.schemas.pop();
        self
    }

    /// Where the schema stands in the document.
    pub(super) fn reference(&self) -> RefOr<Schema> {
        Ref::from_schema_name(self.name.as_str()).into()
    }

    /// All schemas as they are in answers: what may be null is always there (API, before 1).
    pub(super) fn into_answer(self) -> Vec<NamedSchema> {
        let mut schemas = self.schemas;
        for (_, schema) in &mut schemas {
            if let RefOr::T(Schema::Object(object)) = schema {
                require_nullable(object);
            }
        }
        schemas
    }

    /// All schemas as they are in requests: what may be left out may be null.
    pub(super) fn into_request(self) -> Vec<NamedSchema> {
        self.schemas
    }
}

fn require_nullable(object: &mut Object) {
    let nullable = object
        .properties
        .iter()
        .filter(|(_, schema)| is_nullable(schema))
        .map(|(name, _)| name.clone());
    for name in nullable.collect::<Vec<_>>() {
        if !object.required.contains(&name) {
            object.required.push(name);
        }
    }
}

fn is_nullable(schema: &RefOr<Schema>) -> bool {
    let has_null = |schema_type: &SchemaType| match schema_type {
        SchemaType::Type(kind) => *kind == Type::Null,
        SchemaType::Array(kinds) => kinds.contains(&Type::Null),
        SchemaType::AnyValue => false,
    };
    match schema {
        RefOr::T(Schema::Object(object)) => has_null(&object.schema_type),
        RefOr::T(Schema::Array(array)) => has_null(&array.schema_type),
        RefOr::T(Schema::OneOf(one)) => one.items.iter().any(is_nullable),
        _ => false,
    }
}

/// A wire type that contains another one as one object with the fields of both.
fn flattened(schema: &RefOr<Schema>, all: &[NamedSchema]) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::AllOf(parts)) => merged(parts, all).into(),
        other => other.clone(),
    }
}

fn merged(parts: &AllOf, all: &[NamedSchema]) -> Object {
    let mut whole = Object::new();
    whole.description.clone_from(&parts.description);
    for part in &parts.items {
        let target = match part {
            RefOr::Ref(reference) => all
                .iter()
                .find(|(name, _)| reference.ref_location.ends_with(&format!("/{name}")))
                .map(|(_, schema)| flattened(schema, all)),
            RefOr::T(_) => Some(part.clone()),
        };
        if let Some(RefOr::T(Schema::Object(object))) = target {
            whole.properties.extend(object.properties);
            whole.required.extend(object.required);
        }
    }
    whole
}
