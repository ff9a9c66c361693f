//! When a schedule is due.
//!
//! Cron expressions have five fields (minute, hour, day of month, month, day of week) or are one of
//! `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. They are read in a time zone of the IANA
//! database. Where the hour is fixed, a time that a change of the clock leaves out is due when the
//! clock has moved on, and one that comes twice is due the first time. Where the hour is `*` or
//! `*/N`, the expression is about the time that passes, and goes on through the change. That is how
//! Vixie's cron does it, too (its manual page, "Daylight Saving Time").

use jiff::tz::TimeZone;

use crate::limits;
use crate::time::Timestamp;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    zone: TimeZone,
    hours: Hours,
}

/// How an expression meets changes of the clock.
#[derive(Debug, Clone)]
enum Hours {
    /// The hour is `*` or `*/N`; read in the zone.
    Passing(cronexpr::Crontab),
    /// The hour is fixed; read on a clock that never changes.
    Fixed(cronexpr::Crontab),
}

/// What is wrong with an expression or a time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// The expression is none.
    #[error("must be five fields 'minute hour day-of-month month day-of-week' or one of {nicknames}, at most {max} bytes", nicknames = "@hourly, @daily, @weekly, @monthly, @yearly", max = limits::SCHEDULE_CRON_MAX_BYTES)]
    Expression,
    /// It is one, but no day of any year is like that.
    #[error("is never due")]
    Never,
    /// No time zone has the name.
    #[error("must be a time zone of the IANA database, such as UTC or Europe/Berlin")]
    TimeZone,
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(expression: &str, timezone: &str) -> Result<Self, CronError> {
        if timezone.len() > limits::SCHEDULE_TIMEZONE_MAX_BYTES
            || timezone.contains(char::is_whitespace)
        {
            return Err(CronError::TimeZone);
        }
        let zone = TimeZone::get(timezone).map_err(|_| CronError::TimeZone)?;
        let expression = expanded(expression.trim());
        // A sixth field would be taken for the time zone.
        let fields: Vec<_> = expression.split_ascii_whitespace().collect();
        if expression.len() > limits::SCHEDULE_CRON_MAX_BYTES || fields.len() != 5 {
            return Err(CronError::Expression);
        }
        let read = |zone: &str| {
            let text = format!("{} {zone}", fields.join(" "));
            cronexpr::parse_crontab(&text).map_err(|_| CronError::Expression)
        };
        let hours = if fields[1].starts_with('*') {
            Hours::Passing(read(timezone)?)
        } else {
            Hours::Fixed(read("UTC")?)
        };
        let cron = Self { zone, hours };
        match cron.next_after(Timestamp::from_micros(0)) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never),
        }
    }

    /// The first time that it is due after `time`; `None` if there is none that can be written.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let instant = jiff::Timestamp::from_microsecond(time.micros()).ok()?;
        let next = match &self.hours {
            Hours::Passing(crontab) => crontab.find_next(instant).ok()?.timestamp(),
            Hours::Fixed(crontab) => self.next_by_the_clock(crontab, instant)?,
        };
        Some(Timestamp::from_micros(next.as_microsecond()))
    }

    fn next_by_the_clock(
        &self,
        crontab: &cronexpr::Crontab,
        instant: jiff::Timestamp,
    ) -> Option<jiff::Timestamp> {
        let mut clock = instant.to_zoned(self.zone.clone()).datetime();
        loop {
            let shown = clock.to_zoned(TimeZone::UTC).ok()?.timestamp();
            clock = crontab.find_next(shown).ok()?.datetime();
            let next = self.zone.to_timestamp(clock).ok()?;
            // After the clock went back, it shows times again that were due before.
            if next > instant {
                return Some(next);
            }
        }
    }
}

fn expanded(expression: &str) -> &str {
    match expression {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        other => other,
    }
}

/// Whether an occurrence that was due at `due_at` and not seen to is too old to be run now.
pub fn is_missed(due_at: Timestamp, now: Timestamp) -> bool {
    let catch_up = i64::try_from(limits::SCHEDULE_CATCH_UP.as_millis()).unwrap_or(i64::MAX);
    now.millis_since(due_at) > catch_up
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(expression: &str, timezone: &str, time: &str) -> String {
        let cron = Cron::parse(expression, timezone).unwrap();
        let next = cron.next_after(time.parse().unwrap()).unwrap();
        next.to_string()
    }

    #[test]
    fn an_expression_is_read_in_its_time_zone() {
        for (expression, timezone, time, expected) in [
            (
                "0 9 * * 1-5",
                "Europe/Berlin",
                "2026-01-16T09:00:00Z",
                "2026-01-19T08:00:00.000Z",
            ),
            (
                "0 9 * * 1-5",
                "UTC",
                "2026-01-16T09:00:00Z",
                "2026-01-19T09:00:00.000Z",
            ),
            (
                "*/15 * * * *",
                "UTC",
                "2026-01-16T09:00:00Z",
                "2026-01-16T09:15:00.000Z",
            ),
            (
                "@daily",
                "Asia/Tokyo",
                "2026-01-16T09:00:00Z",
                "2026-01-16T15:00:00.000Z",
            ),
            (
                "0 0 29 2 *",
                "UTC",
                "2026-01-16T09:00:00Z",
                "2028-02-29T00:00:00.000Z",
            ),
            (
                "30 * * * *",
                "Europe/Berlin",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:30:00.000Z",
            ),
            (
                "30 * * * *",
                "Europe/Berlin",
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:30:00.000Z",
            ),
            // Clocks go from 2 to 3 on 2026-03-29 and from 3 to 2 on 2026-10-25.
            (
                "30 2 * * *",
                "Europe/Berlin",
                "2026-03-28T12:00:00Z",
                "2026-03-29T01:30:00.000Z",
            ),
            (
                "30 2 * * *",
                "Europe/Berlin",
                "2026-10-24T12:00:00Z",
                "2026-10-25T00:30:00.000Z",
            ),
        ] {
            assert_eq!(
                after(expression, timezone, time),
                expected,
                "{expression} {timezone}"
            );
        }
    }

    #[test]
    fn a_time_that_comes_twice_is_due_once() {
        let cron = Cron::parse("30 2 * * *", "Europe/Berlin").unwrap();
        let first = cron
            .next_after("2026-10-24T12:00:00Z".parse().unwrap())
            .unwrap();
        let second = cron.next_after(first).unwrap();
        assert_eq!(second.to_string(), "2026-10-26T01:30:00.000Z");
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        let long = format!("{} * * * *", "0,".repeat(200));
        for expression in [
            "",
            "* * * *",
            "* * * * * *",
            "* * * * * UTC",
            "60 * * * *",
            "0 24 * * *",
            "@often",
            "a b c d e",
            "*/0 * * * *",
            "5-1 * * * *",
            &long,
            "\u{1F980} * * * *",
        ] {
            let error = Cron::parse(expression, "UTC").unwrap_err();
            assert_eq!(error, CronError::Expression, "{expression}");
        }
        assert_eq!(
            Cron::parse("0 0 30 2 *", "UTC").unwrap_err(),
            CronError::Never
        );
        for timezone in ["", "Mars/Olympus", "UTC UTC", " UTC", "../../etc/passwd"] {
            let error = Cron::parse("* * * * *", timezone).unwrap_err();
            assert_eq!(error, CronError::TimeZone, "{timezone}");
        }
    }

    #[test]
    fn an_occurrence_is_caught_up_for_an_hour() {
        let at = Timestamp::from_millis;
        assert!(!is_missed(at(0), at(3_600_000)));
        assert!(is_missed(at(0), at(3_600_001)));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_accepted_is_due_later(
            expression in "[0-9*/,@A-Zl -]{0,40}", millis in 0_i64..4_000_000_000_000,
        ) {
            if let Ok(cron) = Cron::parse(&expression, "America/New_York") {
                let time = Timestamp::from_millis(millis);
                let next = cron.next_after(time).unwrap();
                prop_assert!(next > time);
                prop_assert!(cron.next_after(next).unwrap() > next);
            }
        }
    }
}
