//! The network policy of a run, in the form of `network` in vm0.yaml (agents 1.3).

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::network::{NetworkMode, NetworkPolicy, NetworkRule, RuleAction, RuleTarget};

/// The body of `PUT /v1/runs/:id/network`: the section `network` of vm0.yaml.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NetworkPut {
    /// What applies to destinations that no rule names; `public` if it is left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub mode: Option<NetworkMode>,
    /// Whether the gateway decrypts every TLS connection; false if it is left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub inspect: Option<bool>,
    /// Rules, the first match wins; none with the mode `none`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false, max_items = 200)]
    pub rules: Option<Vec<NetworkRuleSection>>,
}

/// The network policy that is in force, with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NetworkSection {
    /// What applies to destinations that no rule names.
    pub mode: NetworkMode,
    /// Whether the gateway decrypts every TLS connection.
    pub inspect: bool,
    /// Rules, the first match wins.
    pub rules: Vec<NetworkRuleSection>,
}

/// A rule: of `domain`, `ip` and `cidr` it has exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NetworkRuleSection {
    /// A host name, or `*.` and a host name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub domain: Option<String>,
    /// An address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub ip: Option<String>,
    /// A network without host bits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false)]
    pub cidr: Option<String>,
    /// Ports and ranges of them; absent means all, in a request of a `domain` 80 and 443.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false, min_items = 1)]
    pub ports: Option<Vec<PortSection>>,
    /// HTTP methods; absent means any. Only with `domain`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false, min_items = 1)]
    pub methods: Option<Vec<String>>,
    /// Path patterns; absent means any. Only with `domain`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(nullable = false, min_items = 1)]
    pub paths: Option<Vec<String>>,
    /// What happens to what it matches.
    pub action: RuleAction,
}

/// A port, or a range `from-to` of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum PortSection {
    /// One port.
    Port(u16),
    /// `from-to`, both included.
    Range(String),
}

impl From<&NetworkPolicy> for NetworkSection {
    fn from(policy: &NetworkPolicy) -> Self {
        Self {
            mode: policy.mode,
            inspect: policy.inspect,
            rules: policy.rules.iter().map(NetworkRuleSection::from).collect(),
        }
    }
}

impl From<&NetworkRule> for NetworkRuleSection {
    fn from(rule: &NetworkRule) -> Self {
        let (domain, ip, cidr) = match &rule.target {
            RuleTarget::Domain(name) => (Some(name.clone()), None, None),
            RuleTarget::Network(network) if is_single(network) => {
                (None, Some(network.addr().to_string()), None)
            }
            RuleTarget::Network(network) => (None, None, Some(network.to_string())),
        };
        let ports = rule.ports.iter().map(|&range| PortSection::from(range));
        let texts = |texts: &[String]| (!texts.is_empty()).then(|| texts.to_vec());
        Self {
            domain,
            ip,
            cidr,
            ports: (!rule.ports.is_empty()).then(|| ports.collect()),
            methods: texts(&rule.methods),
            paths: texts(&rule.paths),
            action: rule.action,
        }
    }
}

impl From<(u16, u16)> for PortSection {
    fn from((from, to): (u16, u16)) -> Self {
        if from == to {
            Self::Port(from)
        } else {
            Self::Range(format!("{from}-{to}"))
        }
    }
}

fn is_single(network: &IpNet) -> bool {
    network.prefix_len() == network.max_prefix_len()
}
