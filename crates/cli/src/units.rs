//! Sizes, durations, counts and times as people read them.

use vm0_model::time::Timestamp;

/// `12 kB`: decimal units, one decimal below ten.
pub(crate) fn bytes(count: u64) -> String {
    scaled(count as f64, 1000.0, &["B", "kB", "MB", "GB", "TB"])
}

/// `512.0 MB`: binary units, as memory is counted.
pub(crate) fn mebibytes(count: f64) -> String {
    if count >= 1024.0 {
        format!("{:.1} GB", count / 1024.0)
    } else {
        format!("{count:.1} MB")
    }
}

fn scaled(count: f64, step: f64, units: &[&str]) -> String {
    let mut value = count;
    let mut unit = 0;
    while value >= step - 0.5 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    if unit == 0 || value >= 10.0 {
        format!("{value:.0} {}", units[unit])
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

/// `1.2k`: tokens.
pub(crate) fn count(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{:.1}k", count as f64 / 1e3),
        _ => format!("{:.1}M", count as f64 / 1e6),
    }
}

/// `59.0 s`.
pub(crate) fn seconds(millis: i64) -> String {
    format!("{:.1} s", millis as f64 / 1000.0)
}

/// `2 minutes ago`.
pub(crate) fn ago(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.millis_since(time).max(0) / 1000;
    let (number, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural} ago")
}

/// The time by the clock of this machine.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}

/// `2026-01-15 10:30:00` in the zone of this machine.
pub(crate) fn local(time: Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(time.micros()) {
        Ok(instant) => {
            let zoned = instant.to_zoned(jiff::tz::TimeZone::system());
            zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
        }
        Err(_) => time.to_string(),
    }
}

/// `2026-01-15 10:30`, of a time at the beginning of a minute.
pub(crate) fn local_minute(time: Timestamp) -> String {
    local(time).chars().take(16).collect()
}

/// `2026-01-15` in the zone of this machine.
pub(crate) fn local_date(time: Timestamp) -> String {
    local(time).chars().take(10).collect()
}

/// The first 8 digits of a version.
pub(crate) fn short(version: &str) -> &str {
    version.get(..8).unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_234, "1.2 kB"),
            (12_345, "12 kB"),
            (999_900, "1.0 MB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(mebibytes(512.0), "512.0 MB");
        assert_eq!(mebibytes(2048.0), "2.0 GB");
    }

    #[test]
    fn counts_and_ages_are_short() {
        assert_eq!(count(340), "340");
        assert_eq!(count(1_234), "1.2k");
        let time = Timestamp::from_millis(0);
        assert_eq!(ago(time, Timestamp::from_millis(61_000)), "1 minute ago");
        assert_eq!(ago(time, Timestamp::from_millis(7_200_000)), "2 hours ago");
    }
}
