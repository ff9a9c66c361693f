//! What an agent's events say about its run: session, final text, usage, failure (agents 2.5).

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use crate::framework::spec::{
    EventMatch, FailureRule, FrameworkSpec, NumberTake, TextRule, TextTake, is_session_id,
};
use crate::limits::{BUDGET_TURNS_MAX, OUTPUT_MAX_BYTES};
use crate::wire::runner::TokenTotal;
use crate::wire::runs::Usage;

/// What the events of a run said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AgentResult {
    /// The framework's session id.
    pub session_id: Option<String>,
    /// The final text, at most [`OUTPUT_MAX_BYTES`].
    pub output: Option<String>,
    /// What the model consumed in this run.
    pub usage: Option<Usage>,
    /// Whether the agent said that it failed, and how.
    pub failure: Option<Option<String>>,
    /// Tokens of the whole thread, to be stored with the conversation, if the framework counts so.
    pub token_total: Option<TokenTotal>,
}

/// What the events so far say of what the run consumes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// What the model consumed, as far as it was said already.
    pub usage: Option<Usage>,
    /// Answers of the model; 0 if the framework's events do not tell them apart.
    pub turns: u64,
}

/// Reads the events of one run, in order.
#[derive(Debug, Clone)]
pub struct ResultReader<'s> {
    spec: &'s FrameworkSpec,
    before: TokenTotal,
    session_id: Option<String>,
    texts: Vec<Option<String>>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cost_usd: Option<f64>,
    turns: u64,
    /// Hashes of the ids of answers.
    answers: HashSet<u64>,
    failure: Option<Option<String>>,
}

impl<'s> ResultReader<'s> {
    /// A reader of the events of a new conversation.
    pub fn new(spec: &'s FrameworkSpec) -> Self {
        Self {
            spec,
            before: TokenTotal::default(),
            session_id: None,
            texts: vec![None; spec.result.text.len()],
            input_tokens: None,
            output_tokens: None,
            cost_usd: None,
            turns: 0,
            answers: HashSet::new(),
            failure: None,
        }
    }

    /// The same for a resumed conversation with the total that was stored with it.
    #[must_use]
    pub fn resuming(mut self, total: Option<TokenTotal>) -> Self {
        self.before = total.unwrap_or_default();
        self
    }

    /// Reads the next event.
    pub fn event(&mut self, event: &Value) {
        if self.session_id.is_none() {
            self.session_id = session_id(self.spec, event);
        }
        for (rule, text) in self.spec.result.text.iter().zip(&mut self.texts) {
            read_text(rule, event, text);
        }
        self.read_tokens(event);
        self.read_cost(event);
        self.read_turn(event);
        if let Some(rule) = &self.spec.result.failure {
            read_failure(rule, event, &mut self.failure);
        }
    }

    fn read_tokens(&mut self, event: &Value) {
        let Some(rule) = &self.spec.result.tokens else {
            return;
        };
        if !matches(event, &rule.when) {
            return;
        }
        let counts = [
            (&mut self.input_tokens, &rule.input),
            (&mut self.output_tokens, &rule.output),
        ];
        for (total, pointers) in counts {
            let found = pointers
                .iter()
                .filter_map(|pointer| event.pointer(pointer)?.as_u64());
            let found = found.reduce(u64::saturating_add);
            *total = match (rule.take, *total, found) {
                (NumberTake::Sum, Some(total), Some(found)) => Some(total.saturating_add(found)),
                (NumberTake::Sum, total, found) => total.or(found),
                (NumberTake::Last, _, found) => found,
            };
        }
    }

    fn read_cost(&mut self, event: &Value) {
        let Some(rule) = &self.spec.result.cost else {
            return;
        };
        if !matches(event, &rule.when) {
            return;
        }
        let found = event.pointer(&rule.value).and_then(Value::as_f64);
        let found = found.filter(|cost| cost.is_finite() && *cost >= 0.0);
        self.cost_usd = match (rule.take, self.cost_usd, found) {
            (NumberTake::Sum, Some(total), Some(found)) => {
                Some(total + found).filter(|sum| sum.is_finite())
            }
            (NumberTake::Sum, total, found) => total.or(found),
            (NumberTake::Last, _, found) => found,
        };
    }

    /// A budget has no use for turns beyond the largest one.
    fn read_turn(&mut self, event: &Value) {
        let Some(rule) = &self.spec.result.turns else {
            return;
        };
        if !matches(event, &rule.when) || self.turns > u64::from(BUDGET_TURNS_MAX) {
            return;
        }
        let Some(pointer) = &rule.id else {
            self.turns += 1;
            return;
        };
        if let Some(id) = event.pointer(pointer).and_then(Value::as_str) {
            let mut hasher = DefaultHasher::new();
            id.hash(&mut hasher);
            self.answers.insert(hasher.finish());
            self.turns = self.answers.len() as u64;
        }
    }

    /// What the events so far say of what the run consumes.
    pub fn progress(&self) -> Progress {
        Progress {
            usage: self.usage(),
            turns: self.turns,
        }
    }

    fn usage(&self) -> Option<Usage> {
        let before = if self.counts_whole_thread() {
            self.before
        } else {
            TokenTotal::default()
        };
        let since = |total: Option<u64>, before: u64| total.map(|t| t.saturating_sub(before));
        let usage = Usage {
            input_tokens: since(self.input_tokens, before.input_tokens),
            output_tokens: since(self.output_tokens, before.output_tokens),
            cost_usd: self.cost_usd,
        };
        let said = usage.input_tokens.is_some()
            || usage.output_tokens.is_some()
            || usage.cost_usd.is_some();
        said.then_some(usage)
    }

    fn counts_whole_thread(&self) -> bool {
        let tokens = self.spec.result.tokens.as_ref();
        tokens.is_some_and(|rule| rule.whole_thread)
    }

    /// The session id so far.
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// What all events together said.
    pub fn finish(self) -> AgentResult {
        let token_total = self.counts_whole_thread().then(|| TokenTotal {
            input_tokens: self.input_tokens.unwrap_or(self.before.input_tokens),
            output_tokens: self.output_tokens.unwrap_or(self.before.output_tokens),
        });
        let usage = self.usage();
        AgentResult {
            session_id: self.session_id,
            output: self.texts.into_iter().flatten().next(),
            usage,
            failure: self.failure,
            token_total,
        }
    }
}

fn matches(event: &Value, when: &EventMatch) -> bool {
    event.is_object()
        && when
            .iter()
            .all(|(pointer, value)| event.pointer(pointer) == Some(value))
}

fn session_id(spec: &FrameworkSpec, event: &Value) -> Option<String> {
    let rules = spec
        .session
        .iter()
        .filter(|rule| matches(event, &rule.when));
    let ids = rules.filter_map(|rule| event.pointer(&rule.id)?.as_str());
    ids.into_iter()
        .find(|id| is_session_id(id))
        .map(str::to_owned)
}

fn read_text(rule: &TextRule, event: &Value, text: &mut Option<String>) {
    if rule
        .reset
        .as_ref()
        .is_some_and(|reset| matches(event, reset))
    {
        *text = None;
    }
    if !matches(event, &rule.when) {
        return;
    }
    let found = event.pointer(&rule.value).and_then(text_of);
    match (rule.take, text.as_mut(), found) {
        (TextTake::Last, _, found) => *text = found,
        (_, None, Some(found)) => *text = Some(found),
        (TextTake::Joined, Some(text), Some(found)) => text.push_str(&found),
        (TextTake::Lines, Some(text), Some(found)) => {
            text.push('\n');
            text.push_str(&found);
        }
        (_, _, None) => {}
    }
    if let Some(text) = text {
        let end = text.floor_char_boundary(OUTPUT_MAX_BYTES);
        text.truncate(end);
    }
}

fn read_failure(rule: &FailureRule, event: &Value, failure: &mut Option<Option<String>>) {
    if matches(event, &rule.when) {
        let text = rule
            .text
            .iter()
            .find_map(|pointer| event.pointer(pointer).and_then(text_of));
        *failure = Some(text.filter(|text| !text.is_empty()));
    } else if rule
        .cleared_by
        .as_ref()
        .is_some_and(|clear| matches(event, clear))
    {
        *failure = None;
    }
}

/// A string as it is; anything else but null as JSON.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
