//! The way out of a sandbox: what its agent may reach, now and after a change, and serving its
//! connections.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use vm0_egress::{AuthorityError, Gateway, GatewayConfig, SystemResolver};
use vm0_model::config::AgentConfig;
use vm0_model::network::{NetworkMode, NetworkPolicy};
use vm0_model::wire::runner::{NetworkChange, RunSpec};
use vm0_sandbox::Sandbox;

use crate::implied;
use crate::run::Run;
use crate::secrets::Brokered;
use crate::telemetry::Phase;

/// Whether the sandbox of a run has a way out, which its policy may close and open again.
pub(crate) fn has_proxy(spec: &RunSpec, config: &AgentConfig) -> bool {
    spec.network.is_some() || config.network.mode != NetworkMode::None
}

/// The gateway of a run; none if its sandbox has no way out.
pub(crate) fn gateway(
    run: &Run,
    config: &AgentConfig,
    brokered: Brokered,
) -> Result<Option<Gateway>, AuthorityError> {
    if !has_proxy(&run.spec, config) {
        return Ok(None);
    }
    let Brokered { secrets, bindings } = brokered;
    let models = implied::models(config, &run.spec.environment, &bindings);
    let implied = models.iter().cloned().chain(implied::of_secrets(&bindings));
    let config = GatewayConfig {
        policy: config.network.clone(),
        implied: implied.collect(),
        allow_private: run.host.allow_private.clone(),
        model_hosts: implied::model_hosts(&run.spec.environment, &bindings),
        decrypt_models: config.budget.limits_models(),
        secrets,
        transcript_hosts: models,
        outside: run.host.outside.clone(),
    };
    Gateway::new(config, Arc::new(SystemResolver), run.journal.network()).map(Some)
}

/// Serves every connection of a sandbox. Those that are open when the future is dropped are left in
/// `connections`: when they have ended, their lines are in the log.
pub(crate) async fn serve(
    sandbox: &dyn Sandbox,
    gateway: Option<&Gateway>,
    connections: &mut JoinSet<()>,
) -> Infallible {
    let Some(gateway) = gateway else {
        return pending().await;
    };
    loop {
        tokio::select! {
            stream = sandbox.accept() => {
                let Some(stream) = stream else { return pending().await };
                let gateway = gateway.clone();
                connections.spawn(async move { gateway.serve(stream).await });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Applies each change of the policy, as soon as it is known.
pub(crate) async fn follow(run: &Run, gateway: Option<&Gateway>) -> Infallible {
    let Some(gateway) = gateway else {
        return pending().await;
    };
    let mut changes = run.link.lease.network();
    let mut applied = run.spec.network.clone();
    loop {
        applied = other_than(&mut changes, &applied).await;
        if let Some(change) = &applied {
            gateway.set_policy(change.policy.clone());
            let text = format!("network policy changed: {}", summary(&change.policy));
            run.journal.info(Phase::Run, text).await;
        }
    }
}

async fn other_than(
    changes: &mut Receiver<Option<NetworkChange>>,
    applied: &Option<NetworkChange>,
) -> Option<NetworkChange> {
    if let Ok(change) = changes.wait_for(|change| change != applied).await {
        return change.clone();
    }
    // The sender lives as long as the lease.
    pending().await
}

/// A policy in a few words.
pub(crate) fn summary(policy: &NetworkPolicy) -> String {
    let mode = policy.mode.as_str();
    match policy.rules.len() {
        0 => format!("mode {mode}"),
        1 => format!("mode {mode}, 1 rule"),
        rules => format!("mode {mode}, {rules} rules"),
    }
}
