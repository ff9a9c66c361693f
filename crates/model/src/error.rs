//! The error codes of the public API and the error that carries one outwards.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $code:literal, $status:literal, $kind:literal;)*) => {
        /// Every error code of the public API (API 1.4).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $doc])* $variant,)*
        }

        impl ErrorCode {
            /// All codes, for tests and documents that enumerate them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// When it is answered, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii(),)* }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The `type` of the error body.
            pub const fn kind(self) -> &'static str {
                match self { $(Self::$variant => $kind,)* }
            }
        }
    };
}

error_codes! {
    /// A value is missing, malformed, out of range, or refers to nothing.
    InvalidParameter = "invalid_parameter", 400, "invalid_request_error";
    /// A run request names no agent, session or checkpoint.
    MissingParameter = "missing_parameter", 400, "invalid_request_error";
    /// The resource is not in a state that allows the operation.
    InvalidState = "invalid_state", 400, "invalid_request_error";
    /// A commit of objects that were not uploaded.
    UploadIncomplete = "upload_incomplete", 400, "invalid_request_error";
    /// A commit of objects that differ from what was declared.
    UploadInvalid = "upload_invalid", 400, "invalid_request_error";
    /// No token, or one that is unknown, expired or deleted.
    InvalidApiKey = "invalid_api_key", 401, "authentication_error";
    /// A signed URL that has expired or was altered.
    InvalidSignature = "invalid_signature", 403, "authentication_error";
    /// No such resource, or it belongs to another user.
    ResourceNotFound = "resource_not_found", 404, "not_found_error";
    /// The path is known, but not with this method.
    MethodNotAllowed = "method_not_allowed", 405, "invalid_request_error";
    /// The name of a volume or artifact is taken.
    ResourceAlreadyExists = "resource_already_exists", 409, "conflict_error";
    /// The agent has pending or running runs.
    AgentHasActiveRuns = "agent_has_active_runs", 409, "conflict_error";
    /// The session has a pending or running run.
    SessionBusy = "session_busy", 409, "conflict_error";
    /// The idempotency key was used with another body.
    IdempotencyKeyReused = "idempotency_key_reused", 409, "conflict_error";
    /// The head is not the expected version.
    VersionConflict = "version_conflict", 409, "conflict_error";
    /// A body or a version is over its limit.
    PayloadTooLarge = "payload_too_large", 413, "invalid_request_error";
    /// The user has as many pending and running runs as allowed.
    ConcurrentRunLimitExceeded = "concurrent_run_limit_exceeded", 429, "rate_limit_error";
    /// Too many failed authentications from this address.
    RateLimitExceeded = "rate_limit_exceeded", 429, "rate_limit_error";
    /// A fault of the server; details are in its log only.
    InternalError = "internal_error", 500, "api_error";
    /// The server is starting, stopping, or cannot reach its database or object store.
    ServiceUnavailable = "service_unavailable", 503, "api_error";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as the caller sees it. The inside cause is the server's business and stays there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Decides status and type.
    pub code: ErrorCode,
    /// For people; clients never act on it.
    pub message: String,
    /// The field, query key or header at fault.
    pub param: Option<String>,
}

impl ApiError {
    /// An error that names no field.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            param: None,
        }
    }

    /// A validation fault of the field `param`.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParameter, message).with_param(param)
    }

    /// `No such <kind>: '<value>'`, without `param`.
    pub fn not_found(kind: &str, value: impl fmt::Display) -> Self {
        Self::new(
            ErrorCode::ResourceNotFound,
            format!("No such {kind}: '{value}'"),
        )
    }

    /// The same error naming the field at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The body it is answered with.
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                kind: self.code.kind().to_owned(),
                code: self.code.as_str().to_owned(),
                message: self.message.clone(),
                param: self.param.clone(),
            },
        }
    }
}

/// The body of every error answer. Clients act on status, `type`, `code` and `param`, never on the
/// message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// The inside of an error body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorDetail {
    /// The class of the error; it follows from the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The stable code to act on.
    pub code: String,
    /// For people.
    pub message: String,
    /// The field at fault by its dot path (`files.0.path`), or the query key or header.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub param: Option<String>,
}
