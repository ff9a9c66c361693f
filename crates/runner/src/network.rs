//! The way out of a sandbox: what its agent may reach, and serving its connections.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use tokio::task::JoinSet;
use vm0_egress::{AuthorityError, Gateway, GatewayConfig, SystemResolver};
use vm0_model::config::AgentConfig;
use vm0_model::network::NetworkMode;
use vm0_sandbox::Sandbox;

use crate::implied;
use crate::run::Run;
use crate::secrets::Brokered;

/// The gateway of a run; none if its agent has no network.
pub(crate) fn gateway(
    run: &Run,
    config: &AgentConfig,
    brokered: Brokered,
) -> Result<Option<Gateway>, AuthorityError> {
    if config.network.mode == NetworkMode::None {
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
