//! The section `network` by itself, as it is given for a run that goes on.

use serde_json::Value;

use crate::config::field::Field;
use crate::config::network_fields::read_network;
use crate::config::node::{Node, Position};
use crate::config::problem::{Problem, Problems};
use crate::limits::NESTING_MAX;
use crate::network::NetworkPolicy;

/// The path of the section, under which its problems are reported.
const SECTION: &str = "network";

/// Checks a section `network` by the rules of vm0.yaml.
///
/// # Errors
/// Every problem, in document order, with paths that begin with `network`.
pub fn network_policy(section: &Value) -> Result<NetworkPolicy, Vec<Problem>> {
    let Some(node) = Node::from_json(section) else {
        let text = format_args!("nested deeper than {NESTING_MAX} levels");
        return Err(vec![Problem::new(Position::default(), SECTION, text)]);
    };
    let field = Field {
        path: SECTION.to_owned(),
        node: &node,
    };
    let mut problems = Problems::default();
    let policy = read_network(&field, &mut problems);
    let problems = problems.into_sorted();
    if problems.is_empty() {
        Ok(policy)
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::network::{NetworkMode, NetworkRule, RuleAction, RuleTarget};
    use crate::wire::network::NetworkSection;

    fn shown(policy: &NetworkPolicy) -> Value {
        serde_json::to_value(NetworkSection::from(policy)).unwrap()
    }

    #[test]
    fn problems_are_named_below_network() {
        let section = json!({ "mode": "open", "rules": [{ "domain": "a.example" }], "rule": [] });
        let problems = network_policy(&section).unwrap_err();
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(
            texts.contains(
                &"network.mode: invalid value 'open'; allowed: public, allowlist, none".to_owned()
            ),
            "{texts:?}"
        );
        assert!(texts.contains(&"network.rules.0.action: is required".to_owned()));
        assert!(
            texts.contains(&"network.rule: unknown key 'rule'; did you mean 'rules'?".to_owned())
        );
    }

    #[test]
    fn what_is_no_map_or_too_deep_is_refused() {
        for section in [json!(null), json!([]), json!("public"), json!(1)] {
            assert!(network_policy(&section).is_err(), "{section}");
        }
        let mut deep = json!([]);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert_eq!(network_policy(&deep).unwrap_err()[0].path, "network");
    }

    #[test]
    fn a_policy_is_shown_with_its_defaults() {
        let section = json!({ "rules": [
            { "domain": "Example.COM", "action": "allow" },
            { "ip": "1.1.1.1", "action": "deny" },
            { "cidr": "2001:db8::/32", "ports": [22, "8000-8010"], "action": "allow" },
        ]});
        let expected = json!({ "mode": "public", "inspect": false, "rules": [
            { "domain": "example.com", "ports": [80, 443], "action": "allow" },
            { "ip": "1.1.1.1", "action": "deny" },
            { "cidr": "2001:db8::/32", "ports": [22, "8000-8010"], "action": "allow" },
        ]});
        assert_eq!(shown(&network_policy(&section).unwrap()), expected);
    }

    fn target() -> impl Strategy<Value = RuleTarget> {
        let name = "(\\*\\.)?[a-z]{1,9}\\.(example|test)".prop_map(RuleTarget::Domain);
        let network = (any::<u32>(), 0..=32_u8).prop_map(|(address, length)| {
            let network = ipnet::Ipv4Net::new(address.into(), length).unwrap();
            RuleTarget::Network(network.trunc().into())
        });
        prop_oneof![name, network]
    }

    fn rule() -> impl Strategy<Value = NetworkRule> {
        let ports = prop::collection::vec((1..=u16::MAX, 1..=u16::MAX), 1..4);
        let methods = prop::collection::vec("[A-Z]{1,7}", 0..3);
        let paths = prop::collection::vec("/[a-z*/]{0,9}", 0..3);
        (target(), ports, methods, paths, any::<bool>()).prop_map(
            |(target, ports, methods, paths, allowed)| {
                let named = matches!(target, RuleTarget::Domain(_));
                let ordered = |(a, b): (u16, u16)| (a.min(b), a.max(b));
                NetworkRule {
                    target,
                    ports: ports.into_iter().map(ordered).collect(),
                    methods: if named { methods } else { Vec::new() },
                    paths: if named { paths } else { Vec::new() },
                    action: if allowed {
                        RuleAction::Allow
                    } else {
                        RuleAction::Deny
                    },
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_policy_that_is_shown_reads_back(
            rules in prop::collection::vec(rule(), 0..5),
            inspect: bool,
            closed: bool,
        ) {
            let mode = if closed { NetworkMode::Allowlist } else { NetworkMode::Public };
            let policy = NetworkPolicy { mode, inspect, rules };
            prop_assert_eq!(network_policy(&shown(&policy)).unwrap(), policy);
        }
    }
}
