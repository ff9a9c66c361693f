//! The description of the public API, as it is checked in.

use crate::http;

/// The OpenAPI document of the public API, indented, as `openapi/vm0-v1.json` has it.
pub fn openapi_json() -> String {
    let document = http::document();
    let mut text = document
        .to_pretty_json()
        .expect("a document is maps with string keys");
    text.push('\n');
    text
}
