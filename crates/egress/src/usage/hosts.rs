//! Whose answers are read.

use crate::host::{Host, Target};
use crate::policy::ImpliedHost;

/// The hosts on which the models of a run are.
#[derive(Debug, Default)]
pub(crate) struct ModelHosts(Vec<ModelHost>);

#[derive(Debug)]
struct ModelHost {
    /// None: `pattern` is one.
    exact: Option<Host>,
    pattern: String,
    ports: Vec<u16>,
}

impl ModelHosts {
    pub(crate) fn new(hosts: Vec<ImpliedHost>) -> Self {
        let hosts = hosts.into_iter().map(|ImpliedHost { host, ports }| {
            let is_pattern = host.starts_with("*.");
            ModelHost {
                exact: Host::parse(&host).ok().filter(|_| !is_pattern),
                pattern: host.to_ascii_lowercase(),
                ports,
            }
        });
        Self(hosts.collect())
    }

    /// Whether a model is there.
    pub(crate) fn contain(&self, target: &Target) -> bool {
        self.0.iter().any(|host| {
            let named = match &host.exact {
                Some(exact) => *exact == target.host,
                None => target.host.matches(&host.pattern),
            };
            named && host.ports.contains(&target.port)
        })
    }
}
