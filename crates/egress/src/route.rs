//! From a destination to a connection: the name is resolved once, every address is checked, and
//! a checked address is what is connected to.

use std::net::IpAddr;

use crate::gateway::Shared;
use crate::host::{Host, Target};
use crate::journal::Mode;
use crate::policy::{Candidate, Decision, RequestView, Rule, Verdict};
use crate::resolver;

/// A destination that may be opened.
#[derive(Debug)]
pub(crate) struct Route {
    /// The checked addresses; none if the operator's proxy finds it by its name.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) rule: Rule,
    /// Whether each request in the connection must be decided on its own.
    pub(crate) per_request: bool,
}

/// Why a destination may not or cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Denied { rule: Rule, mode: Mode },
    Unresolved,
}

impl Shared {
    /// The addresses of `target`, unless the policy refuses it whatever they are.
    pub(crate) async fn resolve(
        &self,
        target: &Target,
        request: Option<&RequestView>,
    ) -> Result<Vec<IpAddr>, Refusal> {
        if let Host::Domain(_) = target.host
            && let Some(rule) = self.policy().denied_unresolved(target, request)
        {
            return Err(Refusal::Denied {
                rule,
                mode: Mode::Tcp,
            });
        }
        let addresses = resolver::addresses(self.resolver.as_ref(), &target.host).await;
        if addresses.is_empty() && !self.outside.resolves() {
            Err(Refusal::Unresolved)
        } else {
            Ok(addresses)
        }
    }

    /// Decides about each of `addresses` and keeps those that the first allowed one's rule
    /// allows.
    pub(crate) fn admit(
        &self,
        target: &Target,
        addresses: &[IpAddr],
        request: Option<&RequestView>,
    ) -> Result<Route, Refusal> {
        let policy = self.policy();
        if addresses.is_empty() {
            return by_name(policy.decide(target, Candidate::Elsewhere, request));
        }
        let mut refusal = Refusal::Unresolved;
        let mut route: Option<Route> = None;
        for &address in addresses {
            let candidate = Candidate::of(address);
            let decision = policy.decide(target, candidate, request);
            let rule = decision.rule;
            if decision.verdict == Verdict::Deny {
                if refusal == Refusal::Unresolved {
                    let named = matches!(target.host, Host::Domain(_));
                    let mode = if named && rule == Rule::Fixed {
                        Mode::Dns
                    } else {
                        Mode::Tcp
                    };
                    refusal = Refusal::Denied { rule, mode };
                }
                continue;
            }
            let per_request = decision.verdict == Verdict::PerRequest;
            match &mut route {
                None => {
                    route = Some(Route {
                        addresses: vec![address],
                        rule,
                        per_request,
                    })
                }
                Some(route) if route.rule == rule && route.per_request == per_request => {
                    route.addresses.push(address);
                }
                Some(_) => {}
            }
        }
        route.ok_or(refusal)
    }
}

/// The route by the operator's proxy, which resolves the name.
fn by_name(decision: Decision) -> Result<Route, Refusal> {
    let Decision { verdict, rule } = decision;
    if verdict == Verdict::Deny {
        return Err(Refusal::Denied {
            rule,
            mode: Mode::Tcp,
        });
    }
    Ok(Route {
        addresses: Vec::new(),
        rule,
        per_request: verdict == Verdict::PerRequest,
    })
}
