//! The forms of `network` and `experimental_firewall`.

use serde_json::{Value, json};

use super::forms::{
    boolean, choice, integer, is, list, object, plain_pattern, plain_text, without,
};
use crate::config::{firewall, network_fields};

/// The form of `network`.
pub(super) fn form() -> Value {
    let mut form = object(&network_fields::KEYS, &[], key);
    form["description"] = json!("What the agent may reach.");
    form["if"] = is("mode", "none");
    form["then"] = json!({ "properties": { "rules": { "maxItems": 0 } } });
    form
}

fn key(key: &str) -> Value {
    match key {
        "mode" => choice(
            "What happens to what no rule names: public allows the internet, allowlist nothing; \
             with none there is no network at all.",
            network_fields::MODES.iter().map(|(word, _)| *word),
            Some("public"),
        ),
        "inspect" => boolean(
            false,
            "Decrypt every TLS connection at the gateway, so that each request is logged.",
        ),
        "rules" => list(
            "The first match decides.",
            0..=network_fields::RULES_MAX,
            rule(),
        ),
        _ => unreachable!("every key of network has a form"),
    }
}

fn rule() -> Value {
    let mut form = object(&network_fields::RULE_KEYS, &["action"], rule_key);
    form["oneOf"] = json!([
        { "required": ["domain"] },
        { "required": ["ip"] },
        { "required": ["cidr"] },
    ]);
    form["if"] = json!({ "required": ["domain"] });
    form["else"] = without(&["methods", "paths"]);
    form
}

fn rule_key(key: &str) -> Value {
    match key {
        "domain" => domain(),
        "ip" => address("One IPv4 or IPv6 address."),
        "cidr" => plain_pattern(
            "A network without host bits, such as 10.1.0.0/16.",
            "^[0-9A-Fa-f.:]+/[0-9]{1,3}$",
        ),
        "ports" => {
            let number = integer(&(1..=65_535), None, "A port.");
            let range = json!({ "type": "string", "pattern": "^[0-9]+-[0-9]+$" });
            let item = json!({ "anyOf": [number, range] });
            let about = "Ports, or ranges in quotes. Default: 80 and 443 of a domain, else all.";
            list(about, 1..=usize::MAX, item)
        }
        "methods" => {
            let item = plain_pattern("A method in upper case.", "^[A-Z]+(-[A-Z]+)*$");
            list("HTTP methods; only with domain.", 1..=usize::MAX, item)
        }
        "paths" => {
            let about = "Begins with /; * is anything within a segment, ** anything.";
            let item = plain_pattern(about, "^/");
            list("Paths; only with domain.", 1..=usize::MAX, item)
        }
        "action" => {
            let words = network_fields::ACTIONS.iter().map(|(word, _)| *word);
            choice("What happens to what it matches.", words, None)
        }
        _ => unreachable!("every key of a rule has a form"),
    }
}

fn domain() -> Value {
    plain_pattern(
        "A host name, or *. and one: any depth below it, not itself.",
        r"^(\*\.)?[^/:@ \t\n\r*]+$",
    )
}

fn address(about: &str) -> Value {
    plain_pattern(about, "^[0-9A-Fa-f.:]+$")
}

/// The form of `experimental_firewall`.
pub(super) fn firewall() -> Value {
    let mut form = object(&firewall::KEYS, &[], firewall_key);
    form["description"] = json!("An accepted form of network; not together with it.");
    form["if"] = is("experimental_seal_secrets", true);
    form["then"] = is("experimental_mitm", true);
    form
}

fn firewall_key(key: &str) -> Value {
    match key {
        "enabled" => boolean(true, "If false, the rest has no effect."),
        "rules" => list(
            "The first match decides.",
            0..=network_fields::RULES_MAX,
            firewall_rule(),
        ),
        "experimental_mitm" => boolean(false, "As network.inspect."),
        "experimental_seal_secrets" => boolean(
            false,
            "Secrets without a binding are brokered for the allowed domains.",
        ),
        _ => unreachable!("every key of experimental_firewall has a form"),
    }
}

fn firewall_rule() -> Value {
    let mut form = object(&firewall::RULE_KEYS, &[], firewall_rule_key);
    form["oneOf"] = json!([
        { "required": ["domain", "action"] },
        { "required": ["ip", "action"] },
        { "required": ["final"] },
    ]);
    form
}

fn firewall_rule_key(key: &str) -> Value {
    let words = || firewall::ACTIONS.iter().map(|(word, _)| *word);
    match key {
        "domain" => domain(),
        "ip" => plain_text("An address, or a network without host bits."),
        "action" => choice("What happens to what it matches.", words(), None),
        "final" => choice(
            "What happens to everything else; the last rule.",
            words(),
            None,
        ),
        _ => unreachable!("every key of a firewall rule has a form"),
    }
}
