//! All probes.

use std::io;

use crate::outcome::Attempt;
use crate::{
    cgroups, devices, kernel, mounts, namespaces, privileges, processes, sockets, subsystems, time,
};

/// One way out.
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    pub(crate) attempt: fn() -> Attempt,
    pub(crate) control: Control,
}

/// Where the control of a probe runs, always as root.
#[derive(Clone, Copy)]
pub(crate) enum Control {
    /// In the host's namespaces: what the probe changes, it sets to what it was.
    Host,
    /// In own mount, network, host name, IPC and process namespaces, in an empty directory.
    Private,
    /// The same, with something in place that the sandbox has too.
    Prepared(fn() -> io::Result<()>),
}

impl Probe {
    pub(crate) const fn host(name: &'static str, attempt: fn() -> Attempt) -> Self {
        Self {
            name,
            attempt,
            control: Control::Host,
        }
    }

    pub(crate) const fn private(name: &'static str, attempt: fn() -> Attempt) -> Self {
        Self {
            name,
            attempt,
            control: Control::Private,
        }
    }

    pub(crate) const fn prepared(
        name: &'static str,
        attempt: fn() -> Attempt,
        prepare: fn() -> io::Result<()>,
    ) -> Self {
        Self {
            name,
            attempt,
            control: Control::Prepared(prepare),
        }
    }
}

/// Every probe, in the order of the report.
pub(crate) fn all() -> impl Iterator<Item = &'static Probe> {
    [
        mounts::PROBES,
        namespaces::PROBES,
        cgroups::PROBES,
        kernel::PROBES,
        devices::PROBES,
        subsystems::PROBES,
        time::PROBES,
        sockets::PROBES,
        processes::PROBES,
        privileges::PROBES,
    ]
    .into_iter()
    .flatten()
}

pub(crate) fn find(name: &str) -> io::Result<&'static Probe> {
    all()
        .find(|probe| probe.name == name)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no probe {name}")))
}
