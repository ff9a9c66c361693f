//! Which kinds of sandbox work, and which one `auto` takes.

use vm0_runner::doctor::{SandboxCheck, Transparent, report};

use super::check::Check;
use crate::error::chain;

const GROUP: &str = "sandbox";

/// Starts a sandbox of each kind in a temporary directory.
pub(super) async fn checks() -> Vec<Check> {
    let dir = match tempfile::Builder::new().prefix("vm0-doctor-").tempdir() {
        Ok(dir) => dir,
        Err(error) => {
            let fix = "Make the temporary directory writable, or set TMPDIR";
            return vec![Check::fail(
                GROUP,
                "temporary directory",
                error.to_string(),
                fix,
            )];
        }
    };
    let found = report(dir.path()).await;
    let mut checks: Vec<_> = found.iter().flat_map(of_kind).collect();
    checks.push(automatic(&found));
    checks
}

fn of_kind(found: &SandboxCheck) -> Vec<Check> {
    match &found.result {
        Ok(probe) => {
            let works = Check::ok(GROUP, found.kind, format!("works ({})", probe.version));
            let missing = probe.missing.iter().map(|missing| {
                let fix = "Runs go on without it; see the documentation of operations";
                Check::warn(GROUP, found.kind, missing.clone(), fix)
            });
            let network = transparent(found.kind, &probe.transparent);
            [works, network].into_iter().chain(missing).collect()
        }
        Err(error) => {
            let fix = "Install it: make setup, and run as root";
            vec![Check::warn(GROUP, found.kind, chain(error), fix)]
        }
    }
}

/// Programs that know no proxy need a device.
fn transparent(kind: &'static str, transparent: &Transparent) -> Check {
    match transparent {
        Transparent::On => Check::ok(
            GROUP,
            kind,
            "programs that ignore the proxy are served (transparent mode)",
        ),
        Transparent::Off => Check::ok(GROUP, kind, "only programs that use the proxy are served"),
        Transparent::Failed(reason) => Check::warn(
            GROUP,
            kind,
            format!("programs that ignore the proxy have no network: {reason}"),
            "Load the module: modprobe tun",
        ),
    }
}

fn automatic(found: &[SandboxCheck]) -> Check {
    match found.iter().find(|check| check.result.is_ok()) {
        Some(SandboxCheck { kind: "gvisor", .. }) => Check::ok(
            GROUP,
            "auto",
            "takes gvisor: a kernel of its own for each sandbox",
        ),
        Some(check) => Check::warn(
            GROUP,
            "auto",
            format!(
                "takes {}, which shares this host's kernel, as gvisor does not work",
                check.kind
            ),
            "Install runsc of 2024 or later: make setup",
        ),
        None => Check::fail(
            GROUP,
            "auto",
            "no kind of sandbox works",
            "Install runsc: make setup",
        ),
    }
}
