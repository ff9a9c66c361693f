//! What models cost by their makers' lists: the rows of `prices.toml`.

use std::sync::OnceLock;

use serde::Deserialize;

const ROWS: &str = include_str!("prices.toml");

/// Tokens of a request by what they cost; each token is in one of the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// Read at the full price.
    pub input: u64,
    /// Read from a cache.
    pub cache_read: u64,
    /// Read and put into a cache for minutes.
    pub cache_write: u64,
    /// Read and put into a cache for an hour.
    pub cache_write_1h: u64,
    /// Written, reasoning too.
    pub output: u64,
}

/// The prices of one or more models.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    models: Vec<String>,
    rates: Rates,
    long: Option<LongRates>,
}

/// US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    input: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    cache_write_1h: Option<f64>,
    output: f64,
}

/// The rates of requests that read more than so many tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LongRates {
    above: u64,
    rates: Rates,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    price: Vec<ModelPrice>,
}

impl Tokens {
    /// Read in any way.
    pub fn read(&self) -> u64 {
        let written = self.cache_write.saturating_add(self.cache_write_1h);
        let cached = self.cache_read.saturating_add(written);
        self.input.saturating_add(cached)
    }

    /// Read and written.
    pub fn all(&self) -> u64 {
        self.read().saturating_add(self.output)
    }
}

impl ModelPrice {
    /// What a request with these tokens costs, in billionths of a US dollar.
    pub fn cost_nanos(&self, tokens: &Tokens) -> u64 {
        let long = self.long.filter(|long| tokens.read() > long.above);
        let rates = long.map_or(self.rates, |long| long.rates);
        let cache_read = rates.cache_read.unwrap_or(rates.input);
        let cache_write = rates.cache_write.unwrap_or(rates.input);
        let cache_write_1h = rates.cache_write_1h.unwrap_or(cache_write);
        let parts = [
            (tokens.input, rates.input),
            (tokens.cache_read, cache_read),
            (tokens.cache_write, cache_write),
            (tokens.cache_write_1h, cache_write_1h),
            (tokens.output, rates.output),
        ];
        parts.into_iter().fold(0, |sum: u64, (count, rate)| {
            sum.saturating_add(nanos(count, rate))
        })
    }
}

/// A dollar for a million tokens is a thousand billionths for one.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no rate is negative, and a conversion that saturates is meant"
)]
fn nanos(count: u64, rate: f64) -> u64 {
    (count as f64 * rate * 1000.0).round() as u64
}

/// The price of the model of this name, if it is listed.
pub fn find(model: &str) -> Option<&'static ModelPrice> {
    let model = model.strip_prefix("models/").unwrap_or(model);
    let names = rows()
        .iter()
        .flat_map(|price| price.models.iter().map(move |name| (name, price)));
    names
        .filter(|(name, _)| model.strip_prefix(name.as_str()).is_some_and(is_release))
        .max_by_key(|(name, _)| name.len())
        .map(|(_, price)| price)
}

/// Whether this is all that may follow the name of a model: a date or number of three digits or
/// more, or that it is the latest one or a preview. Anything else is another model.
fn is_release(rest: &str) -> bool {
    let Some(release) = rest.strip_prefix(['-', '@']) else {
        return rest.is_empty();
    };
    let digits = release.bytes().take_while(u8::is_ascii_digit).count();
    digits >= 3 || release.starts_with("latest") || release.starts_with("preview")
}

fn rows() -> &'static [ModelPrice] {
    static ALL: OnceLock<Vec<ModelPrice>> = OnceLock::new();
    ALL.get_or_init(|| {
        let rows: Rows = toml::from_str(ROWS).expect("the rows are tested");
        rows.price
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn dollars(model: &str, tokens: Tokens) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        find(model).map(|price| price.cost_nanos(&tokens) as f64 / 1e9)
    }

    #[test]
    fn every_row_is_read_and_makes_sense() {
        let mut names = HashSet::new();
        for price in rows() {
            assert!(!price.models.is_empty());
            for name in &price.models {
                assert!(names.insert(name), "{name} is listed twice");
                assert_eq!(find(name), Some(price), "{name}");
            }
            for rates in [Some(price.rates), price.long.map(|long| long.rates)] {
                let Some(rates) = rates else { continue };
                assert!(rates.input > 0.0 && rates.output > rates.input, "{price:?}");
                assert!(
                    rates.cache_read.unwrap_or_default() < rates.input,
                    "{price:?}"
                );
                let write = rates.cache_write.unwrap_or(rates.input);
                assert!(write >= rates.input, "{price:?}");
                assert!(rates.cache_write_1h.unwrap_or(write) >= write, "{price:?}");
            }
        }
    }

    #[test]
    fn a_name_covers_its_releases_and_no_other_model() {
        let same = |a: &str, b: &str| {
            assert!(find(a).is_some(), "{a}");
            assert_eq!(find(a), find(b), "{a} {b}");
        };
        same("claude-opus-4-5-20251101", "claude-opus-4-5");
        same("claude-opus-4-20250514", "claude-opus-4");
        same("claude-3-5-haiku-latest", "claude-3-5-haiku");
        same("claude-sonnet-4-5@20250929", "claude-sonnet-4-5");
        same("gpt-5-2025-08-07", "gpt-5");
        same("models/gemini-2.5-pro-preview-06-05", "gemini-2.5-pro");
        assert_ne!(find("gpt-5-mini-2025-08-07"), find("gpt-5"));
        assert_ne!(find("claude-opus-5-5"), find("claude-opus-5"));
        for unknown in [
            "",
            "gpt-5-ultra",
            "gpt-5.9",
            "claude-opus-4-9",
            "claude",
            "scripted",
            "gpt-5-",
        ] {
            assert_eq!(find(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn each_kind_of_token_has_its_price() {
        let million = 1_000_000;
        let tokens = Tokens {
            input: million,
            cache_read: million,
            cache_write: million,
            cache_write_1h: million,
            output: million,
        };
        let sum = 5.0 + 0.5 + 6.25 + 10.0 + 25.0;
        assert_eq!(dollars("claude-opus-4-5", tokens), Some(sum));
        let sum = 1.25 + 0.125 + 1.25 + 1.25 + 10.0;
        assert_eq!(dollars("gpt-5", tokens), Some(sum));
        let one = Tokens {
            input: 1,
            ..Tokens::default()
        };
        assert_eq!(dollars("gpt-5-nano", one), Some(0.000_000_05));
    }

    #[test]
    fn a_long_prompt_has_the_prices_of_long_prompts() {
        let tokens = |input| Tokens {
            input,
            output: 1_000_000,
            ..Tokens::default()
        };
        assert_eq!(dollars("claude-haiku-5-5", tokens(100_000)), Some(0.51));
        let long = dollars("claude-haiku-5-5", tokens(100_001)).unwrap();
        assert!((long - 2.55).abs() < 1e-4, "{long}");
    }

    proptest! {
        #[test]
        fn no_number_of_tokens_overflows(counts in any::<[u64; 5]>(), name in "\\PC{0,20}") {
            let [input, cache_read, cache_write, cache_write_1h, output] = counts;
            let tokens = Tokens { input, cache_read, cache_write, cache_write_1h, output };
            for price in rows() {
                price.cost_nanos(&tokens);
            }
            let _ = (tokens.all(), find(&name), find(&format!("gpt-5{name}")));
        }
    }
}
