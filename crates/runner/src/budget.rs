//! What a run may consume, and the moment when it has consumed more.
//!
//! What the gateway read of the model's answers counts. Only while it has read none, because the
//! model is reached in a way that it cannot look into, what the agent's events say counts
//! instead. Of the cost the larger figure counts: the gateway knows a price for some models only,
//! the agent may know better.

use std::fmt;
use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use vm0_egress::UsageTotals;
use vm0_model::config::Budget;
use vm0_model::framework::Progress;

use crate::telemetry::{Journal, Phase};

/// What a run has consumed more of than it may.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Exceeded {
    Tokens { used: u64, limit: u64 },
    Cost { used: f64, limit: f64 },
    Turns { used: u64, limit: u64 },
    Duration { limit: Duration },
}

/// The budget of a run whose agent has started.
pub(crate) struct Watch {
    budget: Budget,
    started: Instant,
    gateway: watch::Receiver<UsageTotals>,
    agent: watch::Receiver<Progress>,
    journal: Journal,
    warned: bool,
}

impl Watch {
    /// Begins now. Without a gateway nothing is read.
    pub(crate) fn start(
        budget: Budget,
        gateway: Option<watch::Receiver<UsageTotals>>,
        agent: watch::Receiver<Progress>,
        journal: Journal,
    ) -> Self {
        Self {
            budget,
            started: Instant::now(),
            gateway: gateway.unwrap_or_else(|| watch::channel(UsageTotals::default()).1),
            agent,
            journal,
            warned: false,
        }
    }

    /// Waits until the run has consumed more than it may.
    pub(crate) async fn exceeded(&mut self) -> Exceeded {
        let deadline = self
            .budget
            .max_duration
            .map(|limit| (self.started + limit, limit));
        let late = async {
            match deadline {
                Some((at, limit)) => {
                    tokio::time::sleep_until(at).await;
                    Exceeded::Duration { limit }
                }
                None => pending().await,
            }
        };
        tokio::select! {
            exceeded = late => exceeded,
            exceeded = self.consumed_too_much() => exceeded,
        }
    }

    async fn consumed_too_much(&mut self) -> Exceeded {
        loop {
            self.warn_of_unpriced().await;
            if let Some(exceeded) = self.check() {
                return exceeded;
            }
            tokio::select! {
                Ok(()) = self.gateway.changed() => {}
                Ok(()) = self.agent.changed() => {}
                else => return pending().await,
            }
        }
    }

    /// What it has consumed too much of so far, time left aside.
    pub(crate) fn check(&self) -> Option<Exceeded> {
        exceeded(&self.budget, &self.gateway.borrow(), &self.agent.borrow())
    }

    /// Says at the end what the budget was not held against.
    pub(crate) async fn conclude(&mut self) -> UsageTotals {
        self.warn_of_unpriced().await;
        let totals = self.gateway.borrow().clone();
        let Progress { usage, turns } = *self.agent.borrow();
        let of_model = Budget {
            max_duration: None,
            ..self.budget
        };
        let said = turns > 0 || usage.is_some_and(|usage| usage.input_tokens > Some(0));
        if of_model != Budget::default() && totals.requests == 0 && said {
            let text = "the gateway could read no answer of the model; the budget was held against \
                        what the agent said of itself";
            self.journal.warn(Phase::Run, text).await;
        }
        totals
    }

    async fn warn_of_unpriced(&mut self) {
        if self.warned || self.budget.max_cost_usd.is_none() {
            return;
        }
        let model = {
            let totals = self.gateway.borrow();
            if totals.unpriced_requests == 0 {
                return;
            }
            totals.unpriced_model.clone()
        };
        self.warned = true;
        let model = model.map_or("a model without a name".to_owned(), |name| {
            format!("model '{name}'")
        });
        let text = format!(
            "budget: no price is known of {model}; max_cost_usd counts only what the agent says \
             it cost"
        );
        self.journal.warn(Phase::Run, text).await;
    }
}

/// What is over `budget`, by what the gateway read and what the agent said.
fn exceeded(budget: &Budget, read: &UsageTotals, said: &Progress) -> Option<Exceeded> {
    let said_tokens = said.usage.map(|usage| {
        let [input, output] =
            [usage.input_tokens, usage.output_tokens].map(Option::unwrap_or_default);
        input.saturating_add(output)
    });
    let (tokens, turns) = if read.requests > 0 {
        (read.tokens(), read.requests)
    } else {
        (said_tokens.unwrap_or_default(), said.turns)
    };
    let said_cost = said.usage.and_then(|usage| usage.cost_usd);
    let cost = read.priced_usd().max(said_cost.unwrap_or_default());
    let tokens = budget
        .max_tokens
        .filter(|limit| tokens > *limit)
        .map(|limit| Exceeded::Tokens {
            used: tokens,
            limit,
        });
    let cost = budget
        .max_cost_usd
        .filter(|limit| cost > *limit)
        .map(|limit| Exceeded::Cost { used: cost, limit });
    let turns = budget
        .max_turns
        .filter(|limit| turns > *limit)
        .map(|limit| Exceeded::Turns { used: turns, limit });
    tokens.or(cost).or(turns)
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("budget exceeded: ")?;
        match self {
            Self::Tokens { used, limit } => {
                write!(f, "{} of {} tokens", grouped(*used), grouped(*limit))
            }
            Self::Cost { used, limit } => write!(f, "${used:.4} of ${limit:.4}"),
            Self::Turns { used, limit } => {
                write!(f, "{} of {} turns", grouped(*used), grouped(*limit))
            }
            Self::Duration { limit } => {
                write!(f, "longer than {} s", grouped(limit.as_secs()))
            }
        }
    }
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use vm0_model::wire::runs::Usage;

    use super::*;

    fn read(requests: u64, input_tokens: u64, output_tokens: u64, cost_nanos: u64) -> UsageTotals {
        UsageTotals {
            requests,
            input_tokens,
            output_tokens,
            cost_nanos,
            ..UsageTotals::default()
        }
    }

    fn said(turns: u64, input: u64, output: u64, cost_usd: Option<f64>) -> Progress {
        let usage = Usage {
            input_tokens: Some(input),
            output_tokens: Some(output),
            cost_usd,
        };
        Progress {
            usage: Some(usage),
            turns,
        }
    }

    fn text(budget: Budget, read: &UsageTotals, said: Progress) -> Option<String> {
        exceeded(&budget, read, &said).map(|exceeded| exceeded.to_string())
    }

    const TOKENS: Budget = Budget {
        max_tokens: Some(1000),
        max_cost_usd: None,
        max_turns: None,
        max_duration: None,
    };
    const TURNS: Budget = Budget {
        max_tokens: None,
        max_turns: Some(2),
        ..TOKENS
    };
    const COST: Budget = Budget {
        max_tokens: None,
        max_cost_usd: Some(0.5),
        ..TOKENS
    };

    #[test]
    fn more_than_the_limit_exceeds_it_and_the_limit_itself_does_not() {
        let none = Progress::default();
        assert_eq!(text(TOKENS, &read(1, 900, 100, 0), none), None);
        assert_eq!(
            text(TOKENS, &read(1, 900, 334, 0), none).as_deref(),
            Some("budget exceeded: 1,234 of 1,000 tokens")
        );
        assert_eq!(text(TURNS, &read(2, 9000, 0, 0), none), None);
        assert_eq!(
            text(TURNS, &read(3, 0, 0, 0), none).as_deref(),
            Some("budget exceeded: 3 of 2 turns")
        );
        assert_eq!(text(COST, &read(9, 1, 1, 500_000_000), none), None);
        assert_eq!(
            text(COST, &read(9, 1, 1, 512_340_000), none).as_deref(),
            Some("budget exceeded: $0.5123 of $0.5000")
        );
    }

    #[test]
    fn what_the_agent_says_counts_only_if_the_gateway_read_nothing() {
        let nothing = UsageTotals::default();
        let much = said(3, 2000, 1, None);
        assert!(text(TOKENS, &nothing, much).is_some());
        assert!(text(TURNS, &nothing, much).is_some());
        assert_eq!(text(TOKENS, &read(1, 10, 10, 0), much), None);
        assert_eq!(text(TURNS, &read(1, 10, 10, 0), much), None);
    }

    #[test]
    fn the_larger_cost_counts() {
        let little = read(1, 1, 1, 1);
        assert!(text(COST, &little, said(1, 1, 1, Some(0.6))).is_some());
        let much = read(1, 1, 1, 600_000_000);
        assert!(text(COST, &much, said(1, 1, 1, Some(0.0))).is_some());
        assert_eq!(text(COST, &little, said(1, 1, 1, None)), None);
    }

    #[test]
    fn without_a_budget_nothing_is_too_much() {
        let all = read(u64::MAX, u64::MAX, u64::MAX, u64::MAX);
        let most = said(u64::MAX, u64::MAX, u64::MAX, Some(f64::MAX));
        assert_eq!(text(Budget::default(), &all, most), None);
        assert_eq!(text(Budget::default(), &UsageTotals::default(), most), None);
    }

    #[test]
    fn numbers_have_their_thousands_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (123_456, "123,456"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(number), text);
        }
        let limit = Duration::from_secs(1800);
        let text = Exceeded::Duration { limit }.to_string();
        assert_eq!(text, "budget exceeded: longer than 1,800 s");
    }
}
