//! The events of a run of the shell agent.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::Source;

const SAYS: &str = "Running the prompt as a bash script.";

/// Writes events, each at once.
pub(super) struct Events<W> {
    writer: W,
    session: String,
}

impl<W: Write> Events<W> {
    pub(super) fn new(writer: W, session: &str) -> Self {
        Self {
            writer,
            session: session.to_owned(),
        }
    }

    /// What precedes the script; the id of its tool use.
    pub(super) fn opening(&mut self, prompt: &str) -> io::Result<String> {
        let cwd = std::env::current_dir()?;
        let tool_use = format!("toolu_{}", random_hex()?);
        self.emit(&json!({
            "type": "system", "subtype": "init", "session_id": self.session,
            "cwd": cwd, "model": "shell", "tools": ["Bash"],
        }))?;
        self.assistant(json!({"type": "text", "text": SAYS}))?;
        self.assistant(json!({
            "type": "tool_use", "id": tool_use, "name": "Bash", "input": {"command": prompt},
        }))?;
        Ok(tool_use)
    }

    /// One line of output.
    pub(super) fn output(&mut self, source: Source, line: &str) -> io::Result<()> {
        let stream = match source {
            Source::Stdout => "stdout",
            Source::Stderr => "stderr",
        };
        self.emit(&json!({
            "type": "output", "session_id": self.session, "stream": stream, "text": line,
        }))
    }

    /// What follows the script.
    pub(super) fn closing(
        &mut self,
        tool_use: &str,
        output: &str,
        code: i32,
        took: Duration,
    ) -> io::Result<()> {
        let is_error = code != 0;
        let subtype = if is_error {
            "error_during_execution"
        } else {
            "success"
        };
        self.emit(&json!({
            "type": "user", "session_id": self.session,
            "message": {"role": "user", "content": [{
                "type": "tool_result", "tool_use_id": tool_use,
                "content": output, "is_error": is_error,
            }]},
        }))?;
        self.emit(&json!({
            "type": "result", "subtype": subtype, "session_id": self.session,
            "is_error": is_error, "duration_ms": took.as_millis() as u64, "num_turns": 1,
            "result": output.trim_end_matches(['\n', '\r']), "total_cost_usd": 0,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }))
    }

    fn assistant(&mut self, content: Value) -> io::Result<()> {
        let id = format!("msg_{}", random_hex()?);
        self.emit(&json!({
            "type": "assistant", "session_id": self.session,
            "message": {
                "id": id, "type": "message", "role": "assistant", "model": "shell",
                "content": [content],
            },
        }))
    }

    fn emit(&mut self, event: &Value) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.writer.write_all(&line)?;
        self.writer.flush()
    }
}

fn random_bytes() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut source = std::fs::File::open("/dev/urandom")?;
    io::Read::read_exact(&mut source, &mut bytes)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random_hex() -> io::Result<String> {
    Ok(hex(&random_bytes()?))
}

/// A random UUID (version 4).
pub(super) fn random_uuid() -> io::Result<String> {
    let mut bytes = random_bytes()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let groups = [0..4, 4..6, 6..8, 8..10, 10..16];
    Ok(groups.map(|range| hex(&bytes[range])).join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Value> {
        bytes
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect()
    }

    #[test]
    fn events_have_the_documented_form_and_order() {
        let mut bytes = Vec::new();
        let mut events = Events::new(&mut bytes, "S");
        let id = events.opening("echo hi").unwrap();
        events.output(Source::Stdout, "hi").unwrap();
        events
            .closing(&id, "hi\n", 0, Duration::from_millis(12))
            .unwrap();
        let lines = lines(&bytes);
        let kinds: Vec<_> = lines.iter().map(|l| l["type"].as_str().unwrap()).collect();
        assert_eq!(
            kinds,
            [
                "system",
                "assistant",
                "assistant",
                "output",
                "user",
                "result"
            ]
        );
        assert_eq!(
            lines[2]["message"]["content"][0]["input"]["command"],
            "echo hi"
        );
        assert_eq!(
            lines[4]["message"]["content"][0]["tool_use_id"],
            id.as_str()
        );
        assert_eq!(lines[5]["result"], "hi");
        assert_eq!(lines[5]["duration_ms"], 12);
        assert!(lines.iter().all(|l| l["session_id"] == "S"));
    }

    #[test]
    fn a_session_id_is_a_uuid_of_version_4() {
        let id = random_uuid().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
    }
}
