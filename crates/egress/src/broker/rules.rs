//! What becomes of a request.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, HeaderMap, TRANSFER_ENCODING};
use http::request::Parts;
use secrecy::ExposeSecret;
use vm0_model::broker::Transport;

use crate::broker::head::{self, Found, Spot};
use crate::broker::inject;
use crate::broker::mask::{Forms, Masker};
use crate::broker::placeholders::Placeholders;
use crate::broker::scan::Scanner;
use crate::broker::secret::{Bound, BrokeredSecret, Put};
use crate::host::{Host, Target};
use crate::policy::ImpliedHost;

/// The secrets of a run and where they go.
pub(crate) struct Broker {
    secrets: Vec<BrokeredSecret>,
    placeholders: Arc<Placeholders>,
    forms: Arc<Forms>,
    /// Hosts to which the transcript of the agent goes, with their ports.
    models: Vec<(String, Vec<u16>)>,
}

/// The secrets that were put into a request, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Injected {
    pub(crate) names: Vec<String>,
}

/// A placeholder where its secret may not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stray {
    pub(crate) secret: String,
    pub(crate) spot: Spot,
}

/// Why a request may not go out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("{0}")]
    Stray(Stray),
    #[error("put a secret into the query")]
    Query(#[from] http::Error),
}

impl Broker {
    /// A broker for `secrets`; `models` are the hosts that the transcript goes to.
    pub(crate) fn new(secrets: Vec<BrokeredSecret>, models: Vec<ImpliedHost>) -> Self {
        let cores: Vec<&str> = secrets.iter().map(|secret| secret.core.as_str()).collect();
        let placeholders = Arc::new(Placeholders::new(&cores));
        let values = secrets.iter().map(|secret| secret.value.expose_secret());
        let bounds = secrets.iter().flat_map(|secret| &secret.bounds);
        let carried = bounds.filter_map(Bound::carried_as);
        let forms = Arc::new(Forms::new(values.chain(carried)));
        let models = models.into_iter().map(|model| (model.host, model.ports));
        Self {
            placeholders,
            forms,
            models: models.collect(),
            secrets,
        }
    }

    /// Whether a secret is put into requests to `target` over TLS, so that they must be decrypted.
    pub(crate) fn binds(&self, target: &Target) -> bool {
        self.bound(target, Transport::Tls).next().is_some()
    }

    /// Whether it puts a secret into requests over TLS to any host.
    pub(crate) fn binds_any(&self) -> bool {
        let mut bounds = self.secrets.iter().flat_map(|secret| &secret.bounds);
        bounds.any(Bound::is_tls)
    }

    /// Puts secrets into the head of a request to `destination`. Headers that belong to one
    /// connection must be gone from it already.
    ///
    /// # Errors
    /// [`ApplyError::Stray`] if a placeholder is where its secret may not be. Nothing may be sent
    /// after an error.
    pub(crate) fn apply(
        &self,
        destination: &Target,
        tls: bool,
        head: &mut Parts,
    ) -> Result<Injected, ApplyError> {
        if self.secrets.is_empty() {
            return Ok(Injected::default());
        }
        let bound: Vec<(usize, &Bound)> = self.bound(destination, transport(tls)).collect();
        let found = head::find(&self.placeholders, destination, head);
        if let Some(stray) = found.iter().find(|found| !is_at_home(found, &bound)) {
            return Err(ApplyError::Stray(
                self.stray(stray.secret, stray.spot.clone()),
            ));
        }
        let names = self.inject(&bound, &found, head)?;
        if !names.is_empty() {
            inject::ask_for_readable(head);
        }
        let names = names.into_iter().map(str::to_owned).collect();
        Ok(Injected { names })
    }

    fn inject(
        &self,
        bound: &[(usize, &Bound)],
        found: &[Found],
        head: &mut Parts,
    ) -> Result<BTreeSet<&str>, ApplyError> {
        let several = bound.iter().any(|(secret, _)| *secret != bound[0].0);
        let mut names = BTreeSet::new();
        let mut taken = Vec::new();
        for (secret, bound) in bound {
            let carried = found
                .iter()
                .any(|found| found.secret == *secret && bound.put.is_at(&found.spot));
            if !carried && (several || matches!(bound.put, Put::AnyHeader)) {
                continue;
            }
            match &bound.put {
                Put::AnyHeader => {}
                // Two secrets at one place: the first one is there.
                Put::Header(name, _) if taken.contains(&Spot::Header(name.clone())) => continue,
                Put::Query(name, _) if taken.contains(&Spot::Query(name.clone())) => continue,
                Put::Header(name, value) => {
                    inject::set_header(head, name, value);
                    taken.push(Spot::Header(name.clone()));
                }
                Put::Query(name, value) => {
                    inject::set_parameter(head, name, value)?;
                    taken.push(Spot::Query(name.clone()));
                }
            }
            names.insert(self.secrets[*secret].name.as_str());
        }
        let sealed = |secret: usize| {
            let any = |(bound, place): &(usize, &Bound)| {
                *bound == secret && matches!(place.put, Put::AnyHeader)
            };
            let value = self.secrets[secret].value.expose_secret();
            bound.iter().any(any).then_some(value)
        };
        inject::replace_in_headers(head, &self.placeholders, sealed);
        Ok(names)
    }

    /// What looks for placeholders in the body of a request to `destination`; none if every one
    /// may be there.
    pub(crate) fn scanner(&self, destination: &Target, tls: bool) -> Option<Scanner> {
        if self.secrets.is_empty() || self.is_model(destination) {
            return None;
        }
        let mut home = vec![false; self.secrets.len()];
        for (secret, _) in self.bound(destination, transport(tls)) {
            home[secret] = true;
        }
        let all = home.iter().all(|&at_home| at_home);
        (!all).then(|| Scanner::new(Arc::clone(&self.placeholders), home))
    }

    /// A placeholder of this secret in a body.
    pub(crate) fn stray_in_body(&self, secret: usize) -> Stray {
        self.stray(secret, Spot::Body)
    }

    /// A placeholder of this secret in what a client says through a WebSocket.
    pub(crate) fn stray_in_message(&self, secret: usize) -> Stray {
        self.stray(secret, Spot::Message)
    }

    /// Takes values out of the headers of an answer.
    pub(crate) fn mask_headers(&self, headers: &mut HeaderMap) {
        self.forms.mask_headers(headers);
    }

    /// What takes values out of the body of an answer; none if there are none.
    pub(crate) fn masker(&self) -> Option<Masker> {
        (!self.forms.is_empty()).then(|| Masker::new(Arc::clone(&self.forms)))
    }

    fn bound(
        &self,
        target: &Target,
        transport: Transport,
    ) -> impl Iterator<Item = (usize, &Bound)> {
        let all = self.secrets.iter().enumerate();
        let bounds =
            all.flat_map(|(index, secret)| secret.bounds.iter().map(move |bound| (index, bound)));
        bounds.filter(move |(_, bound)| bound.covers(target, transport))
    }

    fn is_model(&self, target: &Target) -> bool {
        self.models.iter().any(|(host, ports)| {
            let same = target.host.matches(host) || Host::parse(host).as_ref() == Ok(&target.host);
            same && ports.contains(&target.port)
        })
    }

    fn stray(&self, secret: usize, spot: Spot) -> Stray {
        let secret = self.secrets[secret].name.clone();
        Stray { secret, spot }
    }
}

impl Injected {
    /// Whether an answer hides its content, so that an echo of a secret could not be seen. Asked
    /// before the headers of the connection are taken off.
    pub(crate) fn hidden_by(&self, answer: &HeaderMap) -> bool {
        let coded = |name, plain: &str| {
            let values = answer.get_all(name).iter();
            values
                .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
                .any(|coding| !coding.trim_ascii().eq_ignore_ascii_case(plain.as_bytes()))
        };
        !self.names.is_empty()
            && (coded(CONTENT_ENCODING, "identity") || coded(TRANSFER_ENCODING, "chunked"))
    }
}

impl Put {
    /// Whether a value at `spot` is at this place.
    fn is_at(&self, spot: &Spot) -> bool {
        match (self, spot) {
            (Self::Header(name, _), Spot::Header(at)) => name == at,
            (Self::Query(name, _), Spot::Query(at)) => name == at,
            (Self::AnyHeader, Spot::Header(_)) => true,
            _ => false,
        }
    }
}

fn is_at_home(found: &Found, bound: &[(usize, &Bound)]) -> bool {
    let mut own = bound.iter().filter(|(secret, _)| *secret == found.secret);
    own.any(|(_, bound)| bound.put.is_at(&found.spot))
}

fn transport(tls: bool) -> Transport {
    if tls {
        Transport::Tls
    } else {
        Transport::Plain
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.secrets).finish()
    }
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "placeholder of secret '{}' in {}",
            self.secret, self.spot
        )
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
