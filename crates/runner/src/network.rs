//! The way out of a sandbox: what its agent may reach, and serving its connections.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use tokio::task::JoinSet;
use vm0_egress::{Gateway, GatewayConfig, SystemResolver};
use vm0_model::config::AgentConfig;
use vm0_model::network::NetworkMode;
use vm0_sandbox::Sandbox;

use crate::run::Run;

/// The gateway of a run; none if its agent has no network.
pub(crate) fn gateway(run: &Run, config: &AgentConfig) -> Option<Gateway> {
    if config.network.mode == NetworkMode::None {
        return None;
    }
    let config = GatewayConfig {
        policy: config.network.clone(),
        implied: crate::implied::hosts(config, &run.spec.environment),
        allow_private: run.host.allow_private.clone(),
        model_hosts: crate::implied::model_hosts(config, &run.spec.environment),
    };
    Some(Gateway::new(
        config,
        Arc::new(SystemResolver),
        run.journal.network(),
    ))
}

/// Serves every connection of a sandbox. Dropping the future ends them all.
pub(crate) async fn serve(sandbox: &dyn Sandbox, gateway: Option<&Gateway>) -> Infallible {
    let Some(gateway) = gateway else {
        return pending().await;
    };
    let mut connections = JoinSet::new();
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
