//! The decision: fixed, then rules, then implied hosts, then the default; the first match wins.
//!
//! No clock, and no I/O but [`Candidate::of`], which asks for the machine's own addresses.

use std::fmt;
use std::net::IpAddr;

use vm0_model::network::{
    NetworkMode, NetworkPolicy, NetworkRule, PrivateAllowance, RuleAction, RuleTarget,
};

use crate::address::{Reach, reach};
use crate::host::{Host, Target};
use crate::interfaces;
use crate::path;

/// A host that an agent needs without a rule: a model host or the host of a brokered secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImpliedHost {
    /// A name, `*.` + a name, or an address.
    pub host: String,
    /// The ports it is implied on.
    pub ports: Vec<u16>,
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The address is closed, or two names for one destination disagree.
    Fixed,
    /// The rule at this position, from 1.
    Numbered(usize),
    /// An implied host.
    Implied,
    /// The mode.
    Default,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    Deny,
    /// It depends on the HTTP requests inside the connection.
    PerRequest,
}

/// A verdict and what decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    pub(crate) rule: Rule,
}

/// What of an HTTP request rules look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestView {
    method: String,
    path: Vec<u8>,
}

/// Where a destination is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Candidate {
    /// An address that it resolved to.
    Address {
        address: IpAddr,
        /// Whether it is a public address of this machine.
        own: bool,
    },
    /// Wherever the operator's proxy finds it: no rule about addresses is met.
    Elsewhere,
}

impl Candidate {
    /// `address`, with what this machine knows of it.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self::Address {
            address,
            // Asking takes a system call for each request, and of a private one nothing depends on it.
            own: reach(address) == Reach::Public && interfaces::is_own(address),
        }
    }
}

/// Everything that decides for one run.
#[derive(Debug)]
pub(crate) struct Policy {
    network: NetworkPolicy,
    implied: Vec<(ImpliedName, Vec<u16>)>,
    private: Vec<PrivateAllowance>,
}

#[derive(Debug)]
enum ImpliedName {
    Pattern(String),
    Address(IpAddr),
}

/// How far a rule applies to a connection or request.
enum Match {
    No,
    Yes,
    /// Only a request inside the connection can tell.
    Open,
}

impl RequestView {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path::normal(path),
        }
    }
}

impl Decision {
    const fn new(verdict: Verdict, rule: Rule) -> Self {
        Self { verdict, rule }
    }

    const fn by_action(action: RuleAction, rule: Rule) -> Self {
        match action {
            RuleAction::Allow => Self::new(Verdict::Allow, rule),
            RuleAction::Deny => Self::new(Verdict::Deny, rule),
        }
    }
}

impl Policy {
    /// Implied hosts that are no host at all are left out: they could match nothing.
    pub(crate) fn new(
        network: NetworkPolicy,
        implied: Vec<ImpliedHost>,
        private: Vec<PrivateAllowance>,
    ) -> Self {
        let implied = implied
            .into_iter()
            .filter_map(|entry| Some((ImpliedName::parse(&entry.host)?, entry.ports)))
            .collect();
        Self {
            network,
            implied,
            private,
        }
    }

    /// Whether every TLS connection is decrypted.
    pub(crate) fn inspects(&self) -> bool {
        self.network.inspect
    }

    /// Whether some TLS connection is decrypted.
    pub(crate) fn decrypts_any(&self) -> bool {
        let reads = |rule: &NetworkRule| !rule.methods.is_empty() || !rule.paths.is_empty();
        self.inspects() || self.network.rules.iter().any(reads)
    }

    /// Whether `request` may go to `target` at each of `addresses`; without `request` the whole
    /// connection is meant. With no address only the name counts.
    pub(crate) fn allows_all(
        &self,
        target: &Target,
        addresses: &[IpAddr],
        request: Option<&RequestView>,
    ) -> bool {
        let allows = |candidate| self.decide(target, candidate, request).verdict == Verdict::Allow;
        match addresses {
            [] => allows(Candidate::Elsewhere),
            known => known.iter().all(|&address| allows(Candidate::of(address))),
        }
    }

    /// Decides for `target` at `candidate`. Without `request` the whole connection is meant.
    pub(crate) fn decide(
        &self,
        target: &Target,
        candidate: Candidate,
        request: Option<&RequestView>,
    ) -> Decision {
        let opened = match self.fixed(candidate, target.port) {
            Ok(opened) => opened,
            Err(decision) => return decision,
        };
        if self.network.mode == NetworkMode::None {
            return Decision::new(Verdict::Deny, Rule::Default);
        }
        for (index, rule) in self.network.rules.iter().enumerate() {
            let number = Rule::Numbered(index + 1);
            if !covers(&rule.target, &target.host, candidate) {
                continue;
            }
            match applies(rule, target.port, request) {
                Match::No => {}
                Match::Yes => return Decision::by_action(rule.action, number),
                Match::Open => return Decision::new(Verdict::PerRequest, number),
            }
        }
        if self.is_implied(target) {
            return Decision::new(Verdict::Allow, Rule::Implied);
        }
        match self.network.mode {
            NetworkMode::Public if !opened => Decision::new(Verdict::Allow, Rule::Default),
            _ => Decision::new(Verdict::Deny, Rule::Default),
        }
    }

    /// What denies a name whatever it resolves to. Such a name is never looked up: a query for
    /// it would itself carry data out.
    pub(crate) fn denied_unresolved(
        &self,
        target: &Target,
        request: Option<&RequestView>,
    ) -> Option<Rule> {
        for (index, rule) in self.network.rules.iter().enumerate() {
            let covered = match &rule.target {
                RuleTarget::Domain(pattern) => target.host.matches(pattern),
                RuleTarget::Network(_) => rule.action == RuleAction::Allow,
            };
            if !covered {
                continue;
            }
            match (applies(rule, target.port, request), rule.action) {
                (Match::No, _) | (Match::Open, RuleAction::Deny) => {}
                (Match::Yes, RuleAction::Deny) => return Some(Rule::Numbered(index + 1)),
                (Match::Yes | Match::Open, RuleAction::Allow) => return None,
            }
        }
        if self.network.mode == NetworkMode::None {
            return Some(Rule::Default);
        }
        let open = self.is_implied(target) || self.network.mode == NetworkMode::Public;
        (!open).then_some(Rule::Default)
    }

    /// Step 1: whether the address counts as opened by the operator, or the denial.
    fn fixed(&self, candidate: Candidate, port: u16) -> Result<bool, Decision> {
        let denied = Decision::new(Verdict::Deny, Rule::Fixed);
        let Candidate::Address { address, own } = candidate else {
            return Ok(false);
        };
        let private = match reach(address) {
            Reach::Closed => return Err(denied),
            Reach::Private => true,
            Reach::Public => own,
        };
        let address = address.to_canonical();
        let opened = self.private.iter().any(|allowance| {
            allowance.network.contains(&address) && allowance.port.is_none_or(|open| open == port)
        });
        if private && !opened {
            Err(denied)
        } else {
            Ok(opened)
        }
    }

    fn is_implied(&self, target: &Target) -> bool {
        self.implied.iter().any(|(name, ports)| {
            let named = match (name, &target.host) {
                (ImpliedName::Pattern(pattern), host) => host.matches(pattern),
                (ImpliedName::Address(implied), Host::Address(address)) => implied == address,
                (ImpliedName::Address(_), Host::Domain(_)) => false,
            };
            named && ports.contains(&target.port)
        })
    }
}

impl ImpliedName {
    fn parse(text: &str) -> Option<Self> {
        let (prefix, name) = match text.strip_prefix("*.") {
            Some(name) => ("*.", name),
            None => ("", text),
        };
        match Host::parse(name).ok()? {
            Host::Domain(name) => Some(Self::Pattern(format!("{prefix}{name}"))),
            Host::Address(address) if prefix.is_empty() => Some(Self::Address(address)),
            Host::Address(_) => None,
        }
    }
}

/// A name is covered by rules for the name and by rules for the address that it resolved to; an
/// address only by the latter.
fn covers(rule: &RuleTarget, host: &Host, candidate: Candidate) -> bool {
    match (rule, candidate) {
        (RuleTarget::Domain(pattern), _) => host.matches(pattern),
        (RuleTarget::Network(network), Candidate::Address { address, .. }) => {
            network.contains(&address.to_canonical())
        }
        (RuleTarget::Network(_), Candidate::Elsewhere) => false,
    }
}

fn applies(rule: &NetworkRule, port: u16, request: Option<&RequestView>) -> Match {
    if !rule.ports.is_empty()
        && !rule
            .ports
            .iter()
            .any(|&(from, to)| (from..=to).contains(&port))
    {
        return Match::No;
    }
    if rule.methods.is_empty() && rule.paths.is_empty() {
        return Match::Yes;
    }
    let Some(request) = request else {
        return Match::Open;
    };
    let method = rule.methods.is_empty() || rule.methods.contains(&request.method);
    let path = rule.paths.is_empty()
        || rule
            .paths
            .iter()
            .any(|pattern| path::matches(pattern, &request.path));
    if method && path {
        Match::Yes
    } else {
        Match::No
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => f.write_str("fixed"),
            Self::Numbered(number) => write!(f, "rule {number}"),
            Self::Implied => f.write_str("implied"),
            Self::Default => f.write_str("default"),
        }
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
