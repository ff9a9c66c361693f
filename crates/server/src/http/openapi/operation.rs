//! One operation: what it takes, what it answers, and the schemas that this needs.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{
    Content, ContentBuilder, Ref, RefOr, Required, ResponseBuilder, SecurityRequirement,
};
use vm0_model::ErrorCode;

use super::body::{Body, NamedSchema};
use super::errors;

/// An operation of the document.
pub(super) struct Described {
    pub(super) method: Method,
    pub(super) path: &'static str,
    builder: OperationBuilder,
    schemas: Vec<NamedSchema>,
    codes: Vec<ErrorCode>,
    public: bool,
}

impl Described {
    /// An operation by its method and path, as in the router, and its name, as in the code.
    pub(super) fn new(method: Method, path: &'static str, name: &str, tag: &str) -> Self {
        Self {
            method,
            path,
            builder: OperationBuilder::new().operation_id(Some(name)).tag(tag),
            schemas: Vec::new(),
            codes: Vec::new(),
            public: false,
        }
    }

    /// What it does, in a line and in full.
    pub(super) fn text(mut self, summary: &str, description: &str) -> Self {
        let description = Some(description).filter(|text| !text.is_empty());
        self.builder = self.builder.summary(Some(summary)).description(description);
        self
    }

    /// It needs no token.
    pub(super) fn public(mut self) -> Self {
        self.public = true;
        self.builder = self.builder.securities(Some([]));
        self
    }

    /// It needs a token only sometimes.
    pub(super) fn optional_token(mut self) -> Self {
        let bearer = SecurityRequirement::new("bearer", Vec::<String>::new());
        self.builder = self
            .builder
            .securities(Some([SecurityRequirement::default(), bearer]));
        self
    }

    /// It is one of the extensions of sections 10 and 11.
    pub(super) fn extension(mut self) -> Self {
        let mark = ExtensionsBuilder::new().add("x-extension", true).build();
        self.builder = self.builder.extensions(Some(mark));
        self
    }

    /// A parameter in the path.
    pub(super) fn path_parameter(self, name: &str, form: Body, description: &str) -> Self {
        let reference = form.reference();
        let mut described = self.parameter(
            ParameterIn::Path,
            name,
            reference,
            description,
            Required::True,
        );
        described.schemas.extend(form.into_request());
        described
    }

    /// `{id}` in the path, an id of this kind; another one is 404.
    pub(super) fn id<T: ToSchema>(self, description: &str) -> Self {
        self.path_parameter("id", Body::of::<T>(), description)
            .errors(&[ErrorCode::ResourceNotFound])
    }

    /// A query parameter; a bad value is 400.
    pub(super) fn query(
        self,
        name: &str,
        form: impl Into<RefOr<Schema>>,
        description: &str,
    ) -> Self {
        self.parameter(ParameterIn::Query, name, form, description, Required::False)
    }

    /// A request header.
    pub(super) fn header(
        self,
        name: &str,
        form: impl Into<RefOr<Schema>>,
        description: &str,
    ) -> Self {
        self.parameter(
            ParameterIn::Header,
            name,
            form,
            description,
            Required::False,
        )
    }

    /// `limit` and `cursor` (API 1.6).
    pub(super) fn paged(mut self) -> Self {
        for name in ["limit", "cursor"] {
            let reference = Ref::new(format!("#/components/parameters/{name}"));
            self.builder = self.builder.parameter_ref(reference);
        }
        self.errors(&[ErrorCode::InvalidParameter])
    }

    /// A JSON body, with requests by their names as examples.
    pub(super) fn body(
        mut self,
        body: Body,
        examples: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        let examples = examples
            .into_iter()
            .map(|(name, value)| (name, example(value)));
        let content = ContentBuilder::new()
            .schema(Some(body.reference()))
            .examples_from_iter(examples)
            .build();
        let request = RequestBodyBuilder::new()
            .content("application/json", content)
            .required(Some(Required::True))
            .build();
        self.builder = self.builder.request_body(Some(request));
        self.schemas.extend(body.into_request());
        self.errors(&[ErrorCode::InvalidParameter])
    }

    /// A JSON answer with an example.
    pub(super) fn answer(
        mut self,
        status: u16,
        description: &str,
        body: Body,
        value: Value,
    ) -> Self {
        let content = ContentBuilder::new()
            .schema(Some(body.reference()))
            .example(Some(value))
            .build();
        self.schemas.extend(body.into_answer());
        self.content(status, description, [("application/json", content)])
    }

    /// An answer in these media types.
    pub(super) fn content(
        self,
        status: u16,
        description: &str,
        contents: impl IntoIterator<Item = (&'static str, Content)>,
    ) -> Self {
        let response = ResponseBuilder::new().description(description);
        let response = contents
            .into_iter()
            .fold(response, |response, (kind, content)| {
                response.content(kind, content)
            });
        self.response(status, response)
    }

    /// An answer without a body.
    pub(super) fn no_content(self, status: u16, description: &str, headers: &[&str]) -> Self {
        let response = ResponseBuilder::new().description(description);
        let response = headers.iter().fold(response, |response, header| {
            response.header_ref(*header, errors::header_reference(header))
        });
        self.response(status, response)
    }

    /// Schemas that its text speaks of.
    pub(super) fn also(mut self, schemas: impl IntoIterator<Item = NamedSchema>) -> Self {
        self.schemas.extend(schemas);
        self
    }

    /// Error codes it may answer beside the shared ones.
    pub(super) fn errors(mut self, codes: &[ErrorCode]) -> Self {
        for code in codes {
            if !self.codes.contains(code) {
                self.codes.push(*code);
            }
        }
        self
    }

    /// The operation and the schemas it needs.
    pub(super) fn build(self) -> (Operation, Vec<NamedSchema>) {
        let mut builder = self.builder;
        let own = self.codes.clone();
        let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
        for code in self.codes {
            by_status.entry(code.status()).or_default().push(code);
        }
        for (status, codes) in by_status {
            builder = builder.response(status.to_string(), errors::response(&codes));
        }
        for (code, name) in errors::SHARED {
            let of_tokens = matches!(
                code,
                ErrorCode::InvalidApiKey | ErrorCode::RateLimitExceeded
            );
            if (self.public && of_tokens) || own.contains(&code) {
                continue;
            }
            builder = builder.response(code.status().to_string(), Ref::from_response_name(name));
        }
        (builder.build(), self.schemas)
    }

    /// The method as the document has it.
    pub(super) fn http_method(&self) -> HttpMethod {
        match self.method {
            Method::POST => HttpMethod::Post,
            Method::PUT => HttpMethod::Put,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        }
    }

    fn parameter(
        mut self,
        place: ParameterIn,
        name: &str,
        form: impl Into<RefOr<Schema>>,
        description: &str,
        required: Required,
    ) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(description))
            .schema(Some(form))
            .build();
        self.builder = self.builder.parameter(parameter);
        self
    }

    fn response(mut self, status: u16, response: ResponseBuilder) -> Self {
        let response = errors::framed(response).build();
        self.builder = self.builder.response(status.to_string(), response);
        self
    }
}

fn example(value: Value) -> utoipa::openapi::example::Example {
    utoipa::openapi::example::ExampleBuilder::new()
        .value(Some(value))
        .build()
}
