//! `experimental_firewall`, an accepted form of `network` (agents 1.3).

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::field::{Field, Fields};
use crate::config::host::HostPattern;
use crate::config::network_fields::{RULES_MAX, default_ports, read_cidr, read_domain};
use crate::config::problem::Problems;
use crate::network::{NetworkMode, NetworkPolicy, NetworkRule, RuleAction, RuleTarget};

/// Keys of the section.
pub(super) const KEYS: [&str; 4] = [
    "enabled",
    "rules",
    "experimental_mitm",
    "experimental_seal_secrets",
];
/// Keys of an entry of `rules`.
pub(super) const RULE_KEYS: [&str; 4] = ["domain", "ip", "action", "final"];
pub(super) const ACTIONS: [(&str, RuleAction); 2] =
    [("ALLOW", RuleAction::Allow), ("DENY", RuleAction::Deny)];

/// An entry of `rules`.
enum Entry {
    Rule(NetworkRule),
    Final(RuleAction),
}

/// Reads the section as the policy it means and the hosts that secrets are sealed for.
pub(super) fn read_firewall(
    field: &Field<'_>,
    problems: &mut Problems,
) -> (NetworkPolicy, Vec<HostPattern>) {
    let Some(fields) = field.fields(problems, &KEYS) else {
        return Default::default();
    };
    let mut flag = |key, default| {
        fields
            .get(key)
            .and_then(|field| field.boolean(problems))
            .unwrap_or(default)
    };
    let enabled = flag("enabled", true);
    let inspect = flag("experimental_mitm", false);
    let seal = flag("experimental_seal_secrets", false);
    if seal
        && !inspect
        && let Some(field) = fields.get("experimental_seal_secrets")
    {
        problems.add(field, "requires experimental_mitm");
    }
    let (mode, rules) = read_rules(&fields, problems);
    if !enabled {
        return Default::default();
    }
    let sealed = if seal {
        allowed_domains(&rules)
    } else {
        Vec::new()
    };
    (
        NetworkPolicy {
            mode,
            inspect,
            rules,
        },
        sealed,
    )
}

fn read_rules(fields: &Fields<'_>, problems: &mut Problems) -> (NetworkMode, Vec<NetworkRule>) {
    let mut mode = NetworkMode::Allowlist;
    let mut rules = Vec::new();
    let items = fields
        .get("rules")
        .and_then(|field| field.items(problems, 0..=RULES_MAX));
    let items = items.unwrap_or_default();
    for (index, item) in items.iter().enumerate() {
        match read_entry(item, problems) {
            Some(Entry::Rule(rule)) => rules.push(rule),
            Some(Entry::Final(action)) => {
                if index + 1 < items.len() {
                    problems.add(item, "final must be the last rule");
                }
                if action == RuleAction::Allow {
                    mode = NetworkMode::Public;
                }
            }
            None => {}
        }
    }
    (mode, rules)
}

fn read_entry(field: &Field<'_>, problems: &mut Problems) -> Option<Entry> {
    let fields = field.fields(problems, &RULE_KEYS)?;
    let (domain, ip, last) = (fields.get("domain"), fields.get("ip"), fields.get("final"));
    if let (None, None, Some(last)) = (domain, ip, last) {
        if let Some(action) = fields.get("action") {
            problems.add(action, "may not be used together with final");
        }
        return last.choice(problems, &ACTIONS).map(Entry::Final);
    }
    let action = fields
        .require(problems, "action")
        .cloned()
        .and_then(|field| field.choice(problems, &ACTIONS));
    let target = match (domain, ip, last) {
        (Some(domain), None, None) => {
            RuleTarget::Domain(read_domain(domain, problems)?.as_str().to_owned())
        }
        (None, Some(ip), None) => RuleTarget::Network(read_network_or_address(ip, problems)?),
        _ => {
            problems.add(field, "exactly one of domain, ip, final is required");
            return None;
        }
    };
    let ports = default_ports(domain.is_some());
    let (methods, paths) = (Vec::new(), Vec::new());
    Some(Entry::Rule(NetworkRule {
        target,
        ports,
        methods,
        paths,
        action: action?,
    }))
}

fn read_network_or_address(field: &Field<'_>, problems: &mut Problems) -> Option<IpNet> {
    let address = field
        .template_string()
        .and_then(|text| text.parse::<IpAddr>().ok());
    address
        .map(IpNet::from)
        .or_else(|| read_cidr(field, problems))
}

fn allowed_domains(rules: &[NetworkRule]) -> Vec<HostPattern> {
    let allowed = rules.iter().filter(|rule| rule.action == RuleAction::Allow);
    allowed
        .filter_map(|rule| match &rule.target {
            RuleTarget::Domain(host) => host.parse().ok(),
            RuleTarget::Network(_) => None,
        })
        .collect()
}
