use proptest::prelude::*;

use super::*;

fn rule(target: &str, action: RuleAction) -> NetworkRule {
    let target = match target.parse() {
        Ok(network) => RuleTarget::Network(network),
        Err(_) => RuleTarget::Domain(target.to_owned()),
    };
    NetworkRule {
        target,
        ports: vec![],
        methods: vec![],
        paths: vec![],
        action,
    }
}

fn allow(target: &str) -> NetworkRule {
    rule(target, RuleAction::Allow)
}

fn deny(target: &str) -> NetworkRule {
    rule(target, RuleAction::Deny)
}

fn policy(mode: NetworkMode, rules: Vec<NetworkRule>) -> Policy {
    Policy::new(
        NetworkPolicy {
            mode,
            inspect: false,
            rules,
        },
        vec![],
        vec![],
    )
}

fn opened(mut policy: Policy, network: &str, port: Option<u16>) -> Policy {
    policy.private.push(PrivateAllowance {
        network: network.parse().unwrap(),
        port,
    });
    policy
}

fn foreign(address: &str) -> Candidate {
    Candidate::Address {
        address: address.parse().unwrap(),
        own: false,
    }
}

fn decide(policy: &Policy, target: &str, address: &str) -> String {
    let target = Target::parse(target, Some(443)).unwrap();
    shown(policy.decide(&target, foreign(address), None))
}

fn decide_request(policy: &Policy, target: &str, method: &str, path: &str) -> String {
    let target = Target::parse(target, Some(80)).unwrap();
    shown(policy.decide(
        &target,
        foreign("1.1.1.1"),
        Some(&RequestView::new(method, path)),
    ))
}

fn shown(decision: Decision) -> String {
    format!("{:?} {}", decision.verdict, decision.rule)
}

#[test]
fn public_allows_the_internet_and_nothing_private() {
    let policy = policy(NetworkMode::Public, vec![]);
    assert_eq!(decide(&policy, "a.example", "1.1.1.1"), "Allow default");
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:10.1.1.1",
        "0.0.0.0",
    ] {
        assert_eq!(
            decide(&policy, "a.example", address),
            "Deny fixed",
            "{address}"
        );
    }
}

#[test]
fn allowlist_allows_only_what_a_rule_names() {
    let policy = policy(
        NetworkMode::Allowlist,
        vec![allow("a.example"), allow("1.0.0.0/8")],
    );
    assert_eq!(decide(&policy, "a.example", "9.9.9.9"), "Allow rule 1");
    assert_eq!(decide(&policy, "b.example", "9.9.9.9"), "Deny default");
    assert_eq!(decide(&policy, "1.1.1.1", "1.1.1.1"), "Allow rule 2");
    assert_eq!(decide(&policy, "b.example", "1.1.1.1"), "Allow rule 2");
}

#[test]
fn none_allows_nothing() {
    assert_eq!(
        decide(&policy(NetworkMode::None, vec![]), "a.example", "1.1.1.1"),
        "Deny default"
    );
}

#[test]
fn the_first_matching_rule_wins() {
    let policy = policy(
        NetworkMode::Public,
        vec![
            deny("bad.example.com"),
            allow("*.example.com"),
            deny("*.example.com"),
        ],
    );
    assert_eq!(decide(&policy, "bad.example.com", "1.1.1.1"), "Deny rule 1");
    assert_eq!(
        decide(&policy, "good.example.com", "1.1.1.1"),
        "Allow rule 2"
    );
}

#[test]
fn a_denied_network_holds_for_names_that_resolve_into_it() {
    let policy = policy(NetworkMode::Public, vec![deny("1.1.1.0/24")]);
    assert_eq!(decide(&policy, "a.example", "1.1.1.1"), "Deny rule 1");
    assert_eq!(
        decide(&policy, "a.example", "::ffff:1.1.1.1"),
        "Deny rule 1"
    );
}

#[test]
fn a_destination_given_as_an_address_matches_no_domain_rule() {
    let policy = policy(NetworkMode::Allowlist, vec![allow("a.example")]);
    assert_eq!(decide(&policy, "1.1.1.1", "1.1.1.1"), "Deny default");
}

#[test]
fn rules_hold_on_their_ports_only() {
    let mut ranged = allow("a.example");
    ranged.ports = vec![(80, 80), (8000, 8999)];
    let policy = policy(NetworkMode::Allowlist, vec![ranged]);
    assert_eq!(decide(&policy, "a.example:8500", "1.1.1.1"), "Allow rule 1");
    assert_eq!(decide(&policy, "a.example:443", "1.1.1.1"), "Deny default");
}

#[test]
fn opened_networks_still_need_a_rule() {
    let rules = vec![allow("db.internal")];
    let policy = opened(policy(NetworkMode::Public, rules), "10.0.0.0/8", Some(443));
    assert_eq!(decide(&policy, "db.internal", "10.1.1.1"), "Allow rule 1");
    assert_eq!(decide(&policy, "db.internal:80", "10.1.1.1"), "Deny fixed");
    assert_eq!(decide(&policy, "x.internal", "10.1.1.1"), "Deny default");
}

#[test]
fn own_addresses_are_private_whatever_they_are() {
    let closed = policy(NetworkMode::Public, vec![allow("1.1.1.1/32")]);
    let target = Target::parse("1.1.1.1:443", None).unwrap();
    let own = Candidate::Address {
        address: "1.1.1.1".parse().unwrap(),
        own: true,
    };
    assert_eq!(shown(closed.decide(&target, own, None)), "Deny fixed");
    let open = opened(closed, "1.1.1.1/32", None);
    assert_eq!(shown(open.decide(&target, own, None)), "Allow rule 1");
}

#[test]
fn implied_hosts_come_after_rules_and_hold_on_their_ports() {
    let mut policy = policy(NetworkMode::Allowlist, vec![deny("no.model.example")]);
    policy.implied = vec![
        (ImpliedName::parse("*.Model.example").unwrap(), vec![443]),
        (ImpliedName::parse("9.9.9.9").unwrap(), vec![8080]),
    ];
    assert_eq!(
        decide(&policy, "api.model.example", "1.1.1.1"),
        "Allow implied"
    );
    assert_eq!(
        decide(&policy, "no.model.example", "1.1.1.1"),
        "Deny rule 1"
    );
    assert_eq!(
        decide(&policy, "api.model.example:22", "1.1.1.1"),
        "Deny default"
    );
    assert_eq!(decide(&policy, "9.9.9.9:8080", "9.9.9.9"), "Allow implied");
}

#[test]
fn methods_and_paths_decide_each_request() {
    let mut reads = allow("a.example");
    reads.methods = vec!["GET".to_owned()];
    reads.paths = vec!["/repos/*".to_owned()];
    let policy = policy(NetworkMode::Allowlist, vec![reads]);
    assert_eq!(
        decide_request(&policy, "a.example", "GET", "/repos/x"),
        "Allow rule 1"
    );
    assert_eq!(
        decide_request(&policy, "a.example", "POST", "/repos/x"),
        "Deny default"
    );
    assert_eq!(
        decide_request(&policy, "a.example", "GET", "/repos/../admin"),
        "Deny default"
    );
    assert_eq!(
        decide_request(&policy, "a.example", "GET", "/repos/%2e%2e/x"),
        "Deny default"
    );
    assert_eq!(
        decide(&policy, "a.example:80", "1.1.1.1"),
        "PerRequest rule 1"
    );
}

#[test]
fn names_that_no_address_could_allow_are_denied_unresolved() {
    let strict = policy(
        NetworkMode::Allowlist,
        vec![deny("b.a.example"), allow("*.a.example")],
    );
    let check = |policy: &Policy, name: &str| {
        policy.denied_unresolved(&Target::parse(name, Some(443)).unwrap(), None)
    };
    assert_eq!(check(&strict, "secret.evil.example"), Some(Rule::Default));
    assert_eq!(check(&strict, "b.a.example"), Some(Rule::Numbered(1)));
    assert_eq!(check(&strict, "x.a.example"), None);
    assert_eq!(
        check(
            &policy(NetworkMode::Allowlist, vec![allow("1.0.0.0/8")]),
            "x.example"
        ),
        None
    );
}

fn any_rule() -> impl Strategy<Value = NetworkRule> {
    let target = prop_oneof![
        Just("0.0.0.0/0"),
        Just("::/0"),
        Just("10.0.0.0/8"),
        Just("169.254.0.0/16"),
        Just("a.example"),
        Just("*.example"),
    ];
    (target, any::<bool>())
        .prop_map(|(target, open)| if open { allow(target) } else { deny(target) })
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
        any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
        any::<u32>().prop_map(|bits| IpAddr::V6(std::net::Ipv4Addr::from(bits).to_ipv6_mapped())),
        any::<u16>().prop_map(|low| IpAddr::V4((0xa9fe_0000 | u32::from(low)).into())),
        any::<u32>().prop_map(|low| IpAddr::V4((0x7f00_0000 | (low >> 8)).into())),
    ]
}

proptest! {
    #[test]
    fn fixed_denials_hold_whatever_the_rules(
        rules in proptest::collection::vec(any_rule(), 0..6),
        address in any_address(),
        port in 1..=u16::MAX,
        own in any::<bool>(),
        named in any::<bool>(),
        everything_opened in any::<bool>(),
    ) {
        let mut policy = policy(NetworkMode::Public, rules);
        if everything_opened {
            policy = opened(opened(policy, "0.0.0.0/0", None), "::/0", None);
        }
        let host = if named { Host::Domain("a.example".to_owned()) } else { Host::Address(address) };
        let decision = policy.decide(&Target { host, port }, Candidate::Address { address, own }, None);
        let must_deny = match reach(address) {
            Reach::Closed => true,
            Reach::Private => !everything_opened,
            Reach::Public => own && !everything_opened,
        };
        prop_assert_eq!(decision.rule == Rule::Fixed, must_deny);
        prop_assert!(!must_deny || decision.verdict == Verdict::Deny);
    }

    #[test]
    fn names_denied_unresolved_are_denied_at_every_address(
        rules in proptest::collection::vec(any_rule(), 0..6),
        address in any_address(),
    ) {
        let policy = policy(NetworkMode::Allowlist, rules);
        let target = Target::parse("a.example:443", None).unwrap();
        if policy.denied_unresolved(&target, None).is_some() {
            let decision = policy.decide(&target, Candidate::Address { address, own: false }, None);
            prop_assert_eq!(decision.verdict, Verdict::Deny);
        }
    }
}

#[test]
fn without_network_an_implied_host_is_denied_too() {
    let target = Target {
        host: Host::parse("api.example.com").unwrap(),
        port: 443,
    };
    let candidate = Candidate::Address {
        address: "93.184.216.34".parse().unwrap(),
        own: false,
    };
    let verdict = |mode| {
        let implied = ImpliedHost {
            host: "api.example.com".to_owned(),
            ports: vec![443],
        };
        let network = NetworkPolicy {
            mode,
            ..NetworkPolicy::default()
        };
        let policy = Policy::new(network, vec![implied], vec![]);
        let unresolved = policy.denied_unresolved(&target, None).is_some();
        (policy.decide(&target, candidate, None).verdict, unresolved)
    };
    assert_eq!(verdict(NetworkMode::Allowlist), (Verdict::Allow, false));
    assert_eq!(verdict(NetworkMode::None), (Verdict::Deny, true));
}
