//! What the model requests of a run consumed together, while they are answered.

use http::HeaderMap;
use tokio::sync::watch;
use vm0_model::price;

use super::reader::{RequestUsage, UsageReader};

/// What the answers that the gateway has read say of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsageTotals {
    /// Model requests that were answered, or are being answered.
    pub requests: u64,
    /// Tokens read, cached ones too.
    pub input_tokens: u64,
    /// Tokens written, reasoning too.
    pub output_tokens: u64,
    /// Cost of the requests whose model has a price, in billionths of a US dollar.
    pub cost_nanos: u64,
    /// Finished requests with tokens but no price.
    pub unpriced_requests: u64,
    /// The model of the first of them, if its answer named it.
    pub unpriced_model: Option<String>,
}

/// Counts the model requests of one run. Clones are the same counter.
#[derive(Debug, Clone, Default)]
pub(crate) struct UsageCounter(watch::Sender<UsageTotals>);

/// What one answer adds to its run's totals while it passes.
#[derive(Debug)]
pub(crate) struct AnswerUsage {
    reader: UsageReader,
    counter: UsageCounter,
    /// What the totals have of it already.
    counted: Share,
}

/// What one request adds to the totals.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    requests: u64,
    input_tokens: u64,
    output_tokens: u64,
    cost_nanos: u64,
}

impl UsageTotals {
    /// Tokens read and written.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// The cost of the requests whose model has a price, in US dollars.
    pub fn priced_usd(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "of a sum of money for people")]
        let nanos = self.cost_nanos as f64;
        nanos / 1e9
    }

    /// The cost of all requests in US dollars; none if one of them has no price, or none was seen.
    pub fn cost_usd(&self) -> Option<f64> {
        (self.tokens() > 0 && self.unpriced_requests == 0).then(|| self.priced_usd())
    }

    fn replace(&mut self, old: Share, new: Share) {
        let replace = |total: &mut u64, old: u64, new: u64| {
            *total = total.saturating_sub(old).saturating_add(new);
        };
        replace(&mut self.requests, old.requests, new.requests);
        replace(&mut self.input_tokens, old.input_tokens, new.input_tokens);
        replace(
            &mut self.output_tokens,
            old.output_tokens,
            new.output_tokens,
        );
        replace(&mut self.cost_nanos, old.cost_nanos, new.cost_nanos);
    }
}

impl UsageCounter {
    /// The totals, now and whenever they change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<UsageTotals> {
        self.0.subscribe()
    }

    /// Counts an answer with these headers, if it can say anything of usage.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Option<AnswerUsage> {
        Some(AnswerUsage {
            reader: UsageReader::for_answer(headers)?,
            counter: self.clone(),
            counted: Share::default(),
        })
    }
}

impl AnswerUsage {
    /// Reads on.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        if !self.reader.feed(bytes) {
            return;
        }
        let Some(usage) = self.reader.usage() else {
            return;
        };
        let share = Share::of(&usage);
        let counted = std::mem::replace(&mut self.counted, share);
        let totals = &self.counter.0;
        totals.send_modify(|totals| totals.replace(counted, share));
    }
}

/// Only at its end is it sure that an answer names no model.
impl Drop for AnswerUsage {
    fn drop(&mut self) {
        let Some(usage) = self.reader.usage() else {
            return;
        };
        if usage.tokens.all() > 0 && price_of(&usage).is_none() {
            self.counter.0.send_modify(|totals| {
                totals.unpriced_requests += 1;
                totals.unpriced_model = totals.unpriced_model.take().or(usage.model);
            });
        }
    }
}

impl Share {
    fn of(usage: &RequestUsage) -> Self {
        Self {
            requests: 1,
            input_tokens: usage.tokens.read(),
            output_tokens: usage.tokens.output,
            cost_nanos: price_of(usage).map_or(0, |price| price.cost_nanos(&usage.tokens)),
        }
    }
}

fn price_of(usage: &RequestUsage) -> Option<&'static price::ModelPrice> {
    price::find(usage.model.as_deref()?)
}
