//! `budget` of an agent: what one of its runs may consume.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::agent::Budget;
use crate::config::field::{Field, Fields};
use crate::config::node::NodeValue;
use crate::config::problem::Problems;
use crate::limits::{
    BUDGET_COST_MAX_USD, BUDGET_COST_MIN_USD, BUDGET_DURATION_MAX_SECONDS, BUDGET_TOKENS_MAX,
    BUDGET_TURNS_MAX,
};

/// Keys of `budget`.
pub(super) const KEYS: [&str; 4] = ["max_tokens", "max_cost_usd", "max_turns", "max_duration"];
pub(super) const TOKENS: RangeInclusive<u32> = 1..=BUDGET_TOKENS_MAX;
pub(super) const COST_USD: RangeInclusive<f64> = BUDGET_COST_MIN_USD..=BUDGET_COST_MAX_USD;
pub(super) const TURNS: RangeInclusive<u32> = 1..=BUDGET_TURNS_MAX;
pub(super) const SECONDS: RangeInclusive<u32> = 1..=BUDGET_DURATION_MAX_SECONDS;

/// Reads the budget of an agent; without one nothing is limited.
pub(super) fn read_budget(fields: &Fields<'_>, problems: &mut Problems) -> Budget {
    let field = fields.get("budget");
    let Some(fields) = field.and_then(|field| field.fields(problems, &KEYS)) else {
        return Budget::default();
    };
    let max_tokens = fields
        .get("max_tokens")
        .and_then(|field| field.integer(problems, TOKENS));
    let max_cost_usd = fields
        .get("max_cost_usd")
        .and_then(|field| field.number(problems, COST_USD));
    let max_turns = fields
        .get("max_turns")
        .and_then(|field| field.integer(problems, TURNS));
    let max_duration = fields
        .get("max_duration")
        .and_then(|field| read_duration(field, problems));
    Budget {
        max_tokens: max_tokens.map(u64::from),
        max_cost_usd,
        max_turns: max_turns.map(u64::from),
        max_duration,
    }
}

/// Whole seconds, or a text of a whole number and its unit.
fn read_duration(field: &Field<'_>, problems: &mut Problems) -> Option<Duration> {
    let seconds = match &field.node.value {
        NodeValue::Number(_) => field.integer(problems, SECONDS)?,
        NodeValue::String(_) => {
            let text = field.string(problems)?;
            let Some(seconds) = parse_duration(text) else {
                problems.add(
                    field,
                    "must be a number of seconds, or a text such as 90s, 30m or 2h",
                );
                return None;
            };
            let allowed = seconds.filter(|seconds| SECONDS.contains(seconds));
            if allowed.is_none() {
                problems.add(
                    field,
                    format_args!(
                        "must be between {}s and {}s",
                        SECONDS.start(),
                        SECONDS.end()
                    ),
                );
            }
            allowed?
        }
        _ => {
            problems.add(
                field,
                format_args!("must be a string or an integer, not {}", field.node.kind()),
            );
            return None;
        }
    };
    Some(Duration::from_secs(seconds.into()))
}

/// The seconds that a text means; `Some(None)` if they are too many to count.
fn parse_duration(text: &str) -> Option<Option<u32>> {
    let split = text.len().checked_sub(1)?;
    let (digits, unit) = text.split_at_checked(split)?;
    let unit: u32 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse::<u32>().ok()?.checked_mul(unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(parse_duration("90s"), Some(Some(90)));
        assert_eq!(parse_duration("030m"), Some(Some(1800)));
        assert_eq!(parse_duration("2h"), Some(Some(7200)));
        for many in ["4294967296s", "2000000h", "99999999999999999999m"] {
            assert_eq!(parse_duration(many), Some(None), "{many}");
        }
        for other in [
            "", "s", "90", "1d", "1.5h", "-1s", "+1s", " 1s", "1 s", "1S", "1hs", "ä", "1µ",
        ] {
            assert_eq!(parse_duration(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,12}") {
            let _ = parse_duration(&text);
        }
    }
}
