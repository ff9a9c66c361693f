//! From what an agent says to lines.

use serde_json::Value;

use super::said::{Init, Outcome, Said, as_text};
use super::text::{cut, escape, one_line};
use super::{claude, codex, gemini, opencode};
use crate::units;

/// Lines of a tool's answer that are shown without `--verbose`.
const RESULT_LINES: usize = 3;

/// Shows the events of one run, one after the other.
#[derive(Debug)]
pub(crate) struct EventView {
    verbose: bool,
    width: usize,
    pending_text: String,
    shown_output: Vec<String>,
}

impl EventView {
    /// A view for a terminal of `width` columns.
    pub(crate) fn new(verbose: bool, width: usize) -> Self {
        Self {
            verbose,
            width,
            pending_text: String::new(),
            shown_output: Vec::new(),
        }
    }

    /// The lines of an event; those of a text that goes on come later.
    pub(crate) fn lines(&mut self, kind: &str, data: &Value) -> Vec<String> {
        let readers = [claude::read, codex::read, gemini::read, opencode::read];
        let Some(said) = readers.iter().find_map(|read| read(kind, data)) else {
            let mut lines = self.flush();
            if self.verbose {
                lines.push(format!(
                    "[{}] {}",
                    one_line(kind),
                    escape(&data.to_string())
                ));
            }
            return lines;
        };
        let mut lines = Vec::new();
        for one in said {
            if let Said::Text { text, piece: true } = &one {
                self.pending_text.push_str(text);
                continue;
            }
            lines.extend(self.flush());
            lines.extend(self.show(one));
        }
        lines
    }

    /// The lines of a text whose end was not marked.
    pub(crate) fn flush(&mut self) -> Vec<String> {
        if self.pending_text.is_empty() {
            return Vec::new();
        }
        vec![format!(
            "[text] {}",
            escape(&std::mem::take(&mut self.pending_text))
        )]
    }

    fn show(&mut self, said: Said) -> Vec<String> {
        match said {
            Said::Init(init) => vec![init_line(&init)],
            Said::Text { text, .. } => vec![format!("[text] {}", escape(&text))],
            Said::Thinking(text) if self.verbose => vec![format!("[thinking] {}", escape(&text))],
            Said::Thinking(_) => Vec::new(),
            Said::ToolUse { name, input } => self.tool_use(&name, &input),
            Said::ToolResult { error, text } => self.tool_result(error, &text),
            Said::Output { stderr, text } => {
                let label = if stderr { "stderr" } else { "output" };
                let line = format!("[{label}] {}", escape(&text));
                self.shown_output.push(text);
                vec![line]
            }
            Said::Result(outcome) => vec![result_line(&outcome)],
        }
    }

    fn tool_use(&mut self, name: &str, input: &Value) -> Vec<String> {
        self.shown_output.clear();
        let mut lines = vec![format!("[tool_use] {}", one_line(name))];
        match input {
            Value::Object(map) => {
                lines.extend(map.iter().map(|(key, value)| self.input_line(key, value)));
            }
            Value::Null => {}
            other => lines.push(self.input_line("input", other)),
        }
        lines
    }

    fn input_line(&self, key: &str, value: &Value) -> String {
        if self.verbose {
            return format!("  {}: {}", one_line(key), escape(&as_text(value)));
        }
        cut(
            &format!("  {}: {}", one_line(key), one_line(&as_text(value))),
            self.width,
        )
    }

    fn tool_result(&mut self, error: bool, text: &str) -> Vec<String> {
        let mut lines = vec![format!(
            "[tool_result] {}",
            if error { "Error" } else { "Completed" }
        )];
        let shown = std::mem::take(&mut self.shown_output);
        if !shown.is_empty() && text.lines().eq(shown.iter().map(String::as_str)) {
            return lines;
        }
        if self.verbose {
            lines.extend(text.lines().map(|line| format!("  {}", escape(line))));
            return lines;
        }
        let filled: Vec<_> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let first = filled.iter().take(RESULT_LINES);
        lines.extend(first.map(|line| cut(&format!("  {}", one_line(line)), self.width)));
        if filled.len() > RESULT_LINES {
            lines.push(format!("  … {} more lines", filled.len() - RESULT_LINES));
        }
        lines
    }
}

fn init_line(init: &Init) -> String {
    let mut line = format!("[init] {}", init.framework);
    if let Some(session) = &init.session {
        line += &format!("  session {}", one_line(session));
    }
    if let Some(model) = &init.model {
        line += &format!("  model {}", one_line(model));
    }
    if let Some(tools) = init.tools {
        line += &format!("  tools {tools}");
    }
    line
}

fn result_line(outcome: &Outcome) -> String {
    let how = if outcome.error {
        "✗ failed"
    } else {
        "✓ completed successfully"
    };
    let mut parts = vec![format!("[result] {how}")];
    parts.extend(outcome.millis.map(units::seconds));
    parts.extend(outcome.cost_usd.map(|cost| format!("${cost:.4}")));
    parts.extend(outcome.turns.map(|turns| match turns {
        1 => "1 turn".to_owned(),
        _ => format!("{turns} turns"),
    }));
    if let (Some(input), Some(output)) = (outcome.input_tokens, outcome.output_tokens) {
        parts.push(format!(
            "{} in, {} out",
            units::count(input),
            units::count(output)
        ));
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn show(verbose: bool, events: &[Value]) -> Vec<String> {
        let mut view = EventView::new(verbose, 40);
        let kind = |event: &Value| event["type"].as_str().unwrap_or("message").to_owned();
        let mut lines: Vec<_> = events
            .iter()
            .flat_map(|event| view.lines(&kind(event), event))
            .collect();
        lines.extend(view.flush());
        lines
    }

    #[test]
    fn a_run_of_the_shell_is_shown_without_repeating_its_output() {
        let lines = show(
            false,
            &[
                json!({"type":"system","subtype":"init","session_id":"S","model":"shell","tools":["Bash"]}),
                json!({"type":"assistant","message":{"content":[{"type":"text","text":"Running."}]}}),
                json!({"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash",
                    "input":{"command":"echo one\necho two >&2; sleep 100000000000000"}}]}}),
                json!({"type":"output","stream":"stdout","text":"one"}),
                json!({"type":"output","stream":"stderr","text":"two\u{1b}[0m"}),
                json!({"type":"user","message":{"content":[{"type":"tool_result",
                    "content":"one\ntwo\u{1b}[0m\n","is_error":false}]}}),
                json!({"type":"result","is_error":false,"duration_ms":12,"num_turns":1,
                    "total_cost_usd":0,"usage":{"input_tokens":0,"output_tokens":0}}),
            ],
        );
        assert_eq!(
            lines,
            [
                "[init] shell  session S  model shell  tools 1",
                "[text] Running.",
                "[tool_use] Bash",
                "  command: echo one\\necho two >&2; slee…",
                "[output] one",
                "[stderr] two\\x1b[0m",
                "[tool_result] Completed",
                "[result] ✓ completed successfully  0.0 s  $0.0000  1 turn  0 in, 0 out",
            ]
        );
    }

    #[test]
    fn the_first_lines_of_a_tool_result_are_shown() {
        let event = json!({"type":"user","message":{"content":[{"type":"tool_result",
            "content":[{"type":"text","text":"a\n\nb\nc\nd\ne"}],"is_error":true}]}});
        let short = show(false, std::slice::from_ref(&event));
        assert_eq!(
            short,
            [
                "[tool_result] Error",
                "  a",
                "  b",
                "  c",
                "  … 2 more lines"
            ]
        );
        assert_eq!(show(true, &[event]).len(), 7);
    }

    #[test]
    fn reasoning_and_unknown_events_need_verbose() {
        let events = [
            json!({"type":"assistant","message":{"content":[{"type":"thinking","thinking":"hm"}]}}),
            json!({"type":"novel","a":1}),
        ];
        assert_eq!(show(false, &events), [""; 0]);
        assert_eq!(
            show(true, &events),
            ["[thinking] hm", "[novel] {\"type\":\"novel\",\"a\":1}"]
        );
    }

    #[test]
    fn a_run_of_codex_is_shown() {
        let lines = show(
            false,
            &[
                json!({"type":"thread.started","thread_id":"T"}),
                json!({"type":"turn.started"}),
                json!({"type":"item.started","item":{"type":"command_execution","command":"ls"}}),
                json!({"type":"item.completed","item":{"type":"command_execution","command":"ls",
                    "aggregated_output":"a\n","exit_code":0,"status":"completed"}}),
                json!({"type":"item.completed","item":{"type":"agent_message","text":"Done."}}),
                json!({"type":"turn.completed","usage":{"input_tokens":1500,"output_tokens":20}}),
            ],
        );
        assert_eq!(
            lines,
            [
                "[init] codex  session T",
                "[tool_use] Bash",
                "  command: ls",
                "[tool_result] Completed",
                "  a",
                "[text] Done.",
                "[result] ✓ completed successfully  1.5k in, 20 out",
            ]
        );
    }

    #[test]
    fn pieces_of_one_message_are_joined() {
        let lines = show(
            false,
            &[
                json!({"type":"init","session_id":"G","model":"m"}),
                json!({"type":"message","role":"assistant","content":"Hel","delta":true}),
                json!({"type":"message","role":"assistant","content":"lo","delta":true}),
                json!({"type":"tool_use","tool_name":"ls","parameters":{}}),
                json!({"type":"result","status":"success","stats":{"duration_ms":1500}}),
            ],
        );
        assert_eq!(
            lines,
            [
                "[init] gemini-cli  session G  model m",
                "[text] Hello",
                "[tool_use] ls",
                "[result] ✓ completed successfully  1.5 s",
            ]
        );
    }

    #[test]
    fn a_run_of_opencode_is_shown() {
        let lines = show(
            false,
            &[
                json!({"type":"tool_use","part":{"tool":"bash","state":{"status":"completed",
                    "input":{"command":"ls"},"output":"a"}}}),
                json!({"type":"text","part":{"text":"Done."}}),
                json!({"type":"error","error":{"name":"E","data":{"message":"no key"}}}),
            ],
        );
        assert_eq!(
            lines,
            [
                "[tool_use] bash",
                "  command: ls",
                "[tool_result] Completed",
                "  a",
                "[text] Done.",
                "[text] no key",
                "[result] ✗ failed",
            ]
        );
    }
}
