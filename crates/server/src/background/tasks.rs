//! The tasks and their clocks.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{certificates, garbage, leases, schedules, sign_in, tokens, uploads};
use crate::app::App;
use crate::tls::Tls;

const LEASES_INTERVAL: Duration = Duration::from_secs(2);
const SCHEDULES_INTERVAL: Duration = Duration::from_secs(1);
const SIGN_IN_INTERVAL: Duration = Duration::from_secs(60);
const TOKENS_INTERVAL: Duration = Duration::from_secs(3);
const UPLOADS_INTERVAL: Duration = Duration::from_secs(60);

/// Starts all tasks; they end when the set is dropped.
pub(crate) fn start(app: &App, tls: Option<Tls>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some(tls) = tls {
        tasks.spawn(certificates::follow(tls));
    }
    tasks.spawn(every(LEASES_INTERVAL, app.clone(), |app| async move {
        leases::expire(&app).await
    }));
    tasks.spawn(every(SCHEDULES_INTERVAL, app.clone(), |app| async move {
        schedules::run_due(&app).await
    }));
    tasks.spawn(every(SIGN_IN_INTERVAL, app.clone(), |app| async move {
        sign_in::expire(&app).await
    }));
    tasks.spawn(every(TOKENS_INTERVAL, app.clone(), |app| async move {
        tokens::record_due(&app).await
    }));
    tasks.spawn(every(UPLOADS_INTERVAL, app.clone(), |app| async move {
        uploads::expire(&app).await
    }));
    let (app, period) = (app.clone(), app.settings.gc_interval);
    tasks.spawn(async move {
        // A start has better things to do.
        sleep(period).await;
        every(
            period,
            app,
            |app| async move { garbage::collect(&app).await },
        )
        .await;
    });
    tasks
}

async fn every<F: Future<Output = ()>>(period: Duration, app: App, work: impl Fn(App) -> F) {
    let mut clock = interval(period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        work(app.clone()).await;
    }
}
