//! Log entries as lines.

use serde_json::Value;
use vm0_model::event::{LogKind, LogLevel};
use vm0_model::time::Timestamp;
use vm0_model::wire::runs::LogLine;

use crate::events::{EventView, escape};
use crate::units;

/// `[2026-01-15T10:30:00Z]`.
pub(super) fn stamp(time: Timestamp) -> String {
    let text = time.to_string();
    format!("[{}Z]", text.split('.').next().unwrap_or(&text))
}

/// The lines of an entry.
pub(super) fn lines_of(view: &mut EventView, entry: &LogLine) -> Vec<String> {
    let stamp = stamp(entry.timestamp);
    match entry.kind {
        LogKind::Agent => {
            let metadata = entry.metadata.as_ref().unwrap_or(&Value::Null);
            let kind = metadata["eventType"].as_str().unwrap_or("message");
            agent_lines(view, entry.timestamp, kind, &metadata["eventData"])
        }
        LogKind::System => {
            vec![format!(
                "{stamp} [{}] {}",
                level(entry.level),
                escape(&entry.message)
            )]
        }
        LogKind::Network => vec![format!("{stamp} {}", network_text(entry))],
    }
}

/// The lines of an event of the agent.
pub(super) fn agent_lines(
    view: &mut EventView,
    time: Timestamp,
    kind: &str,
    data: &Value,
) -> Vec<String> {
    let stamp = stamp(time);
    view.lines(kind, data)
        .into_iter()
        .map(|line| format!("{stamp} {line}"))
        .collect()
}

fn level(level: LogLevel) -> String {
    level.as_str().to_ascii_uppercase()
}

/// `METHOD STATUS 34ms 1.2 kB/80.0 kB URL` of a request, the like of the end of a connection; else
/// a connection's own text.
fn network_text(entry: &LogLine) -> String {
    let metadata = entry.metadata.as_ref();
    let text = metadata.and_then(|metadata| request_text(metadata).or_else(|| end_text(metadata)));
    escape(&text.unwrap_or_else(|| entry.message.clone()))
}

fn request_text(metadata: &Value) -> Option<String> {
    let [method, url] = ["method", "url"].map(|key| metadata[key].as_str());
    let status = metadata["status"].as_u64()?;
    Some(format!(
        "{} {status} {} {}",
        method?,
        sizes(metadata)?,
        url?
    ))
}

fn end_text(metadata: &Value) -> Option<String> {
    let [mode, host] = ["mode", "host"].map(|key| metadata[key].as_str());
    let port = metadata["port"].as_u64()?;
    let sizes = sizes(metadata).filter(|_| metadata["action"] == "CLOSE")?;
    Some(format!("{} CLOSE {sizes} {}:{port}", mode?, host?))
}

fn sizes(metadata: &Value) -> Option<String> {
    let size = |key: &str| metadata[key].as_u64().map(units::bytes);
    let duration = metadata["duration"].as_u64()?;
    Some(format!(
        "{duration}ms {}/{}",
        size("requestSize")?,
        size("responseSize")?
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(value: Value) -> Vec<String> {
        let entry = serde_json::from_value(value).unwrap();
        lines_of(&mut EventView::new(false, 100), &entry)
    }

    #[test]
    fn each_log_has_its_form() {
        let system = json!({"timestamp":"2026-01-15T10:30:00.420Z","type":"system","level":"info",
            "message":"[sandbox:boot] ✓ boot 182 ms"});
        assert_eq!(
            entry(system),
            ["[2026-01-15T10:30:00Z] [INFO] [sandbox:boot] ✓ boot 182 ms"]
        );
        let request = json!({"timestamp":"2026-01-15T10:30:00.000Z","type":"network","level":"info",
            "message":"GET https://x/ - 200 (34ms)","metadata":{"method":"GET","url":"https://x/",
            "status":200,"duration":34,"requestSize":1200,"responseSize":80000}});
        assert_eq!(
            entry(request),
            ["[2026-01-15T10:30:00Z] GET 200 34ms 1.2 kB/80 kB https://x/"]
        );
        let connection = json!({"timestamp":"2026-01-15T10:30:00.000Z","type":"network",
            "level":"warn","message":"SNI DENY x:443 default","metadata":{"mode":"SNI"}});
        assert_eq!(
            entry(connection),
            ["[2026-01-15T10:30:00Z] SNI DENY x:443 default"]
        );
        let end = json!({"timestamp":"2026-01-15T10:30:00.000Z","type":"network","level":"info",
            "message":"SNI CLOSE x:443 1200 B out, 80000 B in (34ms)","metadata":{"mode":"SNI",
            "action":"CLOSE","host":"x","port":443,"rule":"default","duration":34,
            "requestSize":1200,"responseSize":80000}});
        assert_eq!(
            entry(end),
            ["[2026-01-15T10:30:00Z] SNI CLOSE 34ms 1.2 kB/80 kB x:443"]
        );
        let agent = json!({"timestamp":"2026-01-15T10:30:00.000Z","type":"agent","level":"info",
            "message":"","metadata":{"sequenceNumber":1,"eventType":"output",
            "eventData":{"type":"output","stream":"stdout","text":"hi"}}});
        assert_eq!(entry(agent), ["[2026-01-15T10:30:00Z] [output] hi"]);
    }
}
