//! What an agent may reach, as its configuration says it (agents 1.3). The gateway in the
//! `egress` crate decides each connection by this.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The default for destinations that no rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// The internet is allowed.
    #[default]
    Public,
    /// Only what a rule allows.
    Allowlist,
    /// No proxy at all.
    None,
}

impl NetworkMode {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Allowlist => "allowlist",
            Self::None => "none",
        }
    }
}

/// Allow or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleAction {
    /// Let it through.
    Allow,
    /// Refuse it.
    Deny,
}

/// What a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleTarget {
    /// A host name, or `*.` + a host name, in lower-case punycode.
    Domain(String),
    /// A network; a single address is a network of one.
    Network(IpNet),
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRule {
    /// What it is about.
    pub target: RuleTarget,
    /// Inclusive port ranges; empty means all.
    pub ports: Vec<(u16, u16)>,
    /// HTTP methods in upper case; empty means any.
    pub methods: Vec<String>,
    /// Path patterns; empty means any.
    pub paths: Vec<String>,
    /// What happens to what it matches.
    pub action: RuleAction,
}

/// The whole policy of an agent version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkPolicy {
    /// The default.
    pub mode: NetworkMode,
    /// Whether every TLS connection is decrypted.
    pub inspect: bool,
    /// Rules, the first match wins.
    pub rules: Vec<NetworkRule>,
}

/// A private network, or an address of the runner, that an operator opened with
/// `--allow-private CIDR[:PORT]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateAllowance {
    /// The network.
    pub network: IpNet,
    /// The port, or all.
    pub port: Option<u16>,
}
