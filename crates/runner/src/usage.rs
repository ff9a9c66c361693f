//! What a run consumed, by what the gateway read and what its agent said.

use vm0_egress::UsageTotals;
use vm0_model::wire::runs::Usage;

/// The tokens are those that the gateway read, if it read any: an agent may be wrong, or lie. The
/// cost is what the agent says, which knows its contract; if it says nothing, it is what the
/// models' list prices give.
pub(crate) fn usage(read: &UsageTotals, said: Option<Usage>) -> Option<Usage> {
    if read.tokens() == 0 {
        return said;
    }
    let said_cost = said.and_then(|usage| usage.cost_usd);
    Some(Usage {
        input_tokens: Some(read.input_tokens),
        output_tokens: Some(read.output_tokens),
        cost_usd: said_cost.or_else(|| read.cost_usd()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(tokens: u64, cost_usd: Option<f64>) -> Option<Usage> {
        Some(Usage {
            input_tokens: Some(tokens),
            output_tokens: None,
            cost_usd,
        })
    }

    #[test]
    fn tokens_that_were_read_win_over_those_that_were_said() {
        let read = UsageTotals {
            requests: 2,
            input_tokens: 100,
            output_tokens: 40,
            cost_nanos: 250_000_000,
            ..UsageTotals::default()
        };
        let with_cost = |cost_usd| {
            Some(Usage {
                input_tokens: Some(100),
                output_tokens: Some(40),
                cost_usd,
            })
        };
        assert_eq!(usage(&read, said(7, Some(1.5))), with_cost(Some(1.5)));
        assert_eq!(usage(&read, said(7, None)), with_cost(Some(0.25)));
        assert_eq!(usage(&read, None), with_cost(Some(0.25)));
        let unpriced = UsageTotals {
            unpriced_requests: 1,
            ..read
        };
        assert_eq!(usage(&unpriced, said(7, None)), with_cost(None));
    }

    #[test]
    fn without_tokens_that_were_read_the_agent_is_believed() {
        let nothing = UsageTotals::default();
        assert_eq!(usage(&nothing, said(7, None)), said(7, None));
        assert_eq!(usage(&nothing, None), None);
        let silent = UsageTotals {
            requests: 3,
            ..nothing
        };
        assert_eq!(usage(&silent, said(7, None)), said(7, None));
    }
}
