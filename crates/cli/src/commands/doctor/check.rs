//! One finding.

use serde::Serialize;

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// It works, with less than it could have.
    Warn,
    /// Something does not work.
    Fail,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// `host`, `sandbox`, `data`, `images` or `client`.
    pub(super) group: &'static str,
    /// What was looked at.
    pub(super) name: String,
    /// How good it is.
    pub(super) status: Status,
    /// What was found.
    pub(super) detail: String,
    /// The command or setting that makes it better.
    pub(super) fix: Option<String>,
}

impl Check {
    /// Something is as it should be.
    pub(super) fn ok(group: &'static str, name: &str, detail: impl Into<String>) -> Self {
        Self {
            group,
            name: name.to_owned(),
            status: Status::Ok,
            detail: detail.into(),
            fix: None,
        }
    }

    /// Something works with less than it could have.
    pub(super) fn warn(
        group: &'static str,
        name: &str,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let fix = Some(fix.into());
        Self {
            status: Status::Warn,
            fix,
            ..Self::ok(group, name, detail)
        }
    }

    /// Something does not work.
    pub(super) fn fail(
        group: &'static str,
        name: &str,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let fix = Some(fix.into());
        Self {
            status: Status::Fail,
            fix,
            ..Self::ok(group, name, detail)
        }
    }
}
