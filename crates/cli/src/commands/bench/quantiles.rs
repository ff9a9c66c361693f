//! Quantiles of measured times.

use serde::Serialize;

/// Quantiles of times, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Quantiles {
    /// The median.
    pub(super) p50: f64,
    /// All but one in twenty are faster.
    pub(super) p95: f64,
    /// All but one in a hundred are faster.
    pub(super) p99: f64,
}

impl Quantiles {
    /// Those of `times`, by nearest rank; zeros if there are none.
    pub(super) fn of(times: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = times.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let rank = |percent: usize| {
            let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
            sorted.get(at).copied().unwrap_or_default()
        };
        Self {
            p50: rank(50),
            p95: rank(95),
            p99: rank(99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_taken_by_nearest_rank() {
        let times = (1..=100).rev().map(f64::from);
        assert_eq!(
            Quantiles::of(times),
            Quantiles {
                p50: 50.0,
                p95: 95.0,
                p99: 99.0
            }
        );
        assert_eq!(
            Quantiles::of([7.0]),
            Quantiles {
                p50: 7.0,
                p95: 7.0,
                p99: 7.0
            }
        );
        assert_eq!(Quantiles::of([]), Quantiles::default());
    }
}
