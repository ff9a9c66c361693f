//! The bindings that are known without being written (the last table of agents 1.4).

use crate::broker::binding::Place;

/// Secrets of one service.
pub(super) struct BuiltIn {
    /// Its secrets, each with the prefix of its placeholders.
    secrets: &'static [(&'static str, &'static str)],
    /// Its hosts and the place at each.
    pub(super) hosts: &'static [(&'static str, Inject)],
    /// The variable with another base URL, and the place there.
    pub(super) base_url: Option<(&'static str, Inject)>,
}

/// A [`Place`] in a table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Inject {
    Bearer,
    Basic,
    Header(&'static str),
}

const ANTHROPIC: &str = "api.anthropic.com";
const ANTHROPIC_URL: &str = "ANTHROPIC_BASE_URL";
const ANTHROPIC_HEADER: Inject = Inject::Header("x-api-key");
const GEMINI: &str = "generativelanguage.googleapis.com";
const GEMINI_HEADER: Inject = Inject::Header("x-goog-api-key");

static TABLE: [BuiltIn; 5] = [
    BuiltIn {
        secrets: &[("ANTHROPIC_API_KEY", "sk-ant-api03-")],
        hosts: &[(ANTHROPIC, ANTHROPIC_HEADER)],
        base_url: Some((ANTHROPIC_URL, ANTHROPIC_HEADER)),
    },
    BuiltIn {
        secrets: &[
            ("ANTHROPIC_AUTH_TOKEN", "sk-ant-"),
            ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-"),
        ],
        hosts: &[(ANTHROPIC, Inject::Bearer)],
        base_url: Some((ANTHROPIC_URL, Inject::Bearer)),
    },
    BuiltIn {
        secrets: &[
            ("OPENAI_API_KEY", "sk-proj-"),
            ("CODEX_API_KEY", "sk-proj-"),
        ],
        hosts: &[("api.openai.com", Inject::Bearer)],
        base_url: Some(("OPENAI_BASE_URL", Inject::Bearer)),
    },
    BuiltIn {
        secrets: &[("GEMINI_API_KEY", "AIza")],
        hosts: &[(GEMINI, GEMINI_HEADER)],
        base_url: Some(("GOOGLE_GEMINI_BASE_URL", GEMINI_HEADER)),
    },
    BuiltIn {
        secrets: &[("GH_TOKEN", "ghp_"), ("GITHUB_TOKEN", "ghp_")],
        hosts: &[
            ("api.github.com", Inject::Bearer),
            ("uploads.github.com", Inject::Bearer),
            ("github.com", Inject::Basic),
            ("codeload.github.com", Inject::Basic),
            ("raw.githubusercontent.com", Inject::Basic),
        ],
        base_url: None,
    },
];

/// The service that a secret of this name is for.
pub(super) fn find(secret: &str) -> Option<&'static BuiltIn> {
    TABLE
        .iter()
        .find(|row| row.secrets.iter().any(|(name, _)| *name == secret))
}

/// What a placeholder of this secret begins with, so that programs take it for one of theirs.
pub(super) fn prefix(secret: &str) -> &'static str {
    let secrets = find(secret).map_or(&[][..], |row| row.secrets);
    let own = secrets.iter().find(|(name, _)| *name == secret);
    own.map_or("", |(_, prefix)| prefix)
}

/// Every variable whose value may be a base URL of a built-in service.
pub(super) fn base_urls() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter_map(|row| Some(row.base_url?.0))
}

impl Inject {
    pub(super) fn place(self) -> Place {
        match self {
            Self::Bearer => Place::Bearer,
            Self::Basic => Place::Basic,
            Self::Header(name) => Place::Header(name.to_owned()),
        }
    }
}
