//! Every error code of the public API is explained in `docs/errors.md`.

use std::path::Path;

use vm0_model::ErrorCode;

pub(crate) fn check(root: &Path) -> Vec<String> {
    let document = std::fs::read_to_string(root.join("docs/errors.md")).unwrap_or_default();
    ErrorCode::ALL
        .iter()
        .filter(|code| !document.contains(&format!("## `{}`", code.as_str())))
        .map(|code| format!("docs/errors.md does not explain {code}"))
        .collect()
}
