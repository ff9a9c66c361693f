//! The metrics: counted where it happens, or set when they are asked for.

use std::time::{Duration, Instant};

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use vm0_model::RunStatus;

use super::decision::{ACTIONS, MODES, NetworkDecision};
use super::process;
use crate::clock;

const REQUEST_BUCKETS: [f64; 13] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];
const QUEUE_BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0,
];
const VALID: &str = "names and labels are constants of this file";

/// All metrics of a server.
pub(crate) struct Meters {
    registry: Registry,
    began: Instant,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    runs_ended: IntCounterVec,
    queue_wait: Histogram,
    events: IntCounter,
    network_decisions: IntCounterVec,
    streams: IntGauge,
    runs: IntGaugeVec,
    write_queue: IntGauge,
    objects: IntGauge,
    object_bytes: IntGauge,
    memory: IntGauge,
    open_fds: IntGauge,
    uptime: Gauge,
}

/// What is asked of others when the metrics are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Levels {
    /// Runs that wait for a runner.
    pub(crate) pending: u64,
    /// Runs that a runner has.
    pub(crate) running: u64,
    /// Transactions that wait to be written.
    pub(crate) write_queue: u64,
    /// Stored objects.
    pub(crate) objects: u64,
    /// Their bytes.
    pub(crate) object_bytes: u64,
}

/// One client of an event stream, counted while this is held.
#[derive(Debug)]
pub(crate) struct Watching(IntGauge);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Meters {
    /// All metrics, at zero.
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let meters = Self {
            requests: kept(&registry, requests()),
            request_seconds: kept(&registry, request_seconds()),
            runs_ended: kept(&registry, runs_ended()),
            queue_wait: kept(&registry, queue_wait()),
            events: kept(
                &registry,
                IntCounter::with_opts(Opts::new(
                    "vm0_events_appended_total",
                    "Events of runs that were stored.",
                )),
            ),
            network_decisions: kept(&registry, network_decisions()),
            streams: gauge(&registry, "vm0_event_streams", "Open event streams."),
            runs: kept(
                &registry,
                IntGaugeVec::new(Opts::new("vm0_runs", "Runs in this state."), &["status"]),
            ),
            write_queue: gauge(
                &registry,
                "vm0_database_write_queue",
                "Transactions that wait to be written.",
            ),
            objects: gauge(
                &registry,
                "vm0_objects",
                "Stored objects, counted at most every five minutes.",
            ),
            object_bytes: gauge(
                &registry,
                "vm0_object_bytes",
                "Bytes of the stored objects, counted at most every five minutes.",
            ),
            memory: gauge(
                &registry,
                "process_resident_memory_bytes",
                "Memory in use, in bytes.",
            ),
            open_fds: gauge(&registry, "process_open_fds", "Open file descriptors."),
            uptime: kept(
                &registry,
                Gauge::with_opts(Opts::new(
                    "vm0_uptime_seconds",
                    "Time since the server started.",
                )),
            ),
            began: Instant::now(),
            registry,
        };
        build_info(&meters.registry);
        meters
    }

    /// A request was answered. `route` is a template of the router, never a path.
    pub(crate) fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let status = status.to_string();
        self.requests
            .with_label_values(&[method, route, &status])
            .inc();
        self.request_seconds
            .with_label_values(&[method, route])
            .observe(took.as_secs_f64());
    }

    /// A run was taken by a runner after this time in the queue.
    pub(crate) fn run_claimed(&self, waited_ms: i64) {
        let waited_ms = u64::try_from(waited_ms).unwrap_or(0);
        self.queue_wait
            .observe(Duration::from_millis(waited_ms).as_secs_f64());
    }

    /// A run has ended like this.
    pub(crate) fn run_ended(&self, status: RunStatus) {
        self.runs_ended.with_label_values(&[status.as_str()]).inc();
    }

    /// So many events were stored.
    pub(crate) fn events_appended(&self, events: u64) {
        self.events.inc_by(events);
    }

    /// The gateway of a run decided this.
    pub(crate) fn network_decided(&self, decision: NetworkDecision) {
        let NetworkDecision { mode, action } = decision;
        self.network_decisions
            .with_label_values(&[action, mode])
            .inc();
    }

    /// A client opens an event stream.
    pub(crate) fn watching(&self) -> Watching {
        self.streams.inc();
        Watching(self.streams.clone())
    }

    /// All metrics as text.
    pub(crate) fn text(&self, levels: Levels) -> String {
        let set =
            |gauge: &IntGauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.runs.with_label_values(&["pending"]), levels.pending);
        set(&self.runs.with_label_values(&["running"]), levels.running);
        set(&self.write_queue, levels.write_queue);
        set(&self.objects, levels.objects);
        set(&self.object_bytes, levels.object_bytes);
        set(&self.memory, process::resident_bytes());
        set(&self.open_fds, process::open_fds());
        self.uptime.set(self.began.elapsed().as_secs_f64());
        let mut text = String::new();
        TextEncoder::new()
            .encode_utf8(&self.registry.gather(), &mut text)
            .expect("every registered metric has a name and a value");
        text
    }
}

fn kept<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: Result<C, prometheus::Error>,
) -> C {
    let metric = metric.expect(VALID);
    registry.register(Box::new(metric.clone())).expect(VALID);
    metric
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    kept(registry, IntGauge::with_opts(Opts::new(name, help)))
}

fn requests() -> Result<IntCounterVec, prometheus::Error> {
    let opts = Opts::new("vm0_http_requests_total", "Requests that were answered.");
    IntCounterVec::new(opts, &["method", "route", "status"])
}

fn request_seconds() -> Result<HistogramVec, prometheus::Error> {
    let help = "Time from a request's head to the head of its answer.";
    let opts = HistogramOpts::new("vm0_http_request_duration_seconds", help);
    HistogramVec::new(opts.buckets(REQUEST_BUCKETS.to_vec()), &["method", "route"])
}

fn runs_ended() -> Result<IntCounterVec, prometheus::Error> {
    let opts = Opts::new("vm0_runs_ended_total", "Runs that ended like this.");
    let ended = IntCounterVec::new(opts, &["status"])?;
    for status in RunStatus::ALL.iter().filter(|status| status.is_terminal()) {
        // A label that exists from the start is not missed by the first rate over it.
        ended.with_label_values(&[status.as_str()]);
    }
    Ok(ended)
}

fn network_decisions() -> Result<IntCounterVec, prometheus::Error> {
    let help =
        "Connections and requests of sandboxes that were allowed or denied, by the network log.";
    let opts = Opts::new("vm0_network_decisions_total", help);
    let decisions = IntCounterVec::new(opts, &["action", "mode"])?;
    for action in ACTIONS {
        for mode in MODES {
            decisions.with_label_values(&[action, mode]);
        }
    }
    Ok(decisions)
}

fn queue_wait() -> Result<Histogram, prometheus::Error> {
    let help = "Time from the creation of a run until a runner takes it.";
    let opts = HistogramOpts::new("vm0_run_queue_wait_seconds", help);
    Histogram::with_opts(opts.buckets(QUEUE_BUCKETS.to_vec()))
}

fn build_info(registry: &Registry) {
    let opts = Opts::new("vm0_build_info", "The release that is running; always 1.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    kept(registry, IntGauge::with_opts(opts)).set(1);
    let opts = Opts::new(
        "process_start_time_seconds",
        "When the server started, in Unix time.",
    );
    let seconds = Duration::from_millis(clock::now().millis().unsigned_abs()).as_secs_f64();
    kept(registry, Gauge::with_opts(opts)).set(seconds);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_is_counted_while_it_is_held() {
        let meters = Meters::new();
        let watching = meters.watching();
        assert!(
            meters
                .text(Levels::default())
                .contains("\nvm0_event_streams 1\n")
        );
        drop(watching);
        assert!(
            meters
                .text(Levels::default())
                .contains("\nvm0_event_streams 0\n")
        );
    }
}
