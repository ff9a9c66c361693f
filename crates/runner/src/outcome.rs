//! How a run ends: the table of agents 4.6, a pure function of what was seen.

use std::collections::VecDeque;
use std::fmt;

use vm0_model::{RunStatus, limits};

use crate::budget::Exceeded;

/// Why the platform ended a run before its agent did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Interruption {
    /// The run reached this terminal state on the server.
    Ended(RunStatus),
    /// The server has not been reached for the life of the lease.
    LeaseExpired,
    /// The lease is another's, or the run is gone.
    LeaseLost,
    /// The deadline has passed.
    Deadline,
    /// It has consumed more than its budget.
    Budget(Exceeded),
    /// The runner stops.
    Shutdown,
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(status) => write!(f, "the run is {status}"),
            Self::LeaseExpired => f.write_str("the server is not reached any more"),
            Self::LeaseLost => f.write_str("the run is no longer this runner's"),
            Self::Deadline => f.write_str("its time is over"),
            Self::Budget(exceeded) => exceeded.fmt(f),
            Self::Shutdown => f.write_str("the runner stops"),
        }
    }
}

/// What was seen of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    /// Why the platform ended it, if it did.
    pub(crate) interruption: Option<Interruption>,
    /// What went wrong in a phase of the platform, with its `[phase]`.
    pub(crate) platform_failure: Option<String>,
    /// The memory limit that killed the agent, in MiB.
    pub(crate) out_of_memory_mb: Option<u64>,
    /// The agent's own exit code.
    pub(crate) exit_code: Option<i32>,
    /// Whether there was a failure event, and its text.
    pub(crate) failure_event: Option<Option<String>>,
    /// What the agent wrote to stderr, cleaned.
    pub(crate) stderr: String,
    /// The deadline.
    pub(crate) timeout_seconds: u32,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// A terminal state.
    pub(crate) status: RunStatus,
    /// Why it did not complete.
    pub(crate) error: Option<String>,
    /// The agent's own exit code, if it ended by itself.
    pub(crate) exit_code: Option<i32>,
}

impl Verdict {
    /// Whether the run completed.
    pub(crate) fn is_success(&self) -> bool {
        self.status == RunStatus::Completed
    }

    /// The first row of the table that applies.
    pub(crate) fn of(seen: &Observed) -> Self {
        let stopped = |status, error| Self {
            status,
            error,
            exit_code: None,
        };
        let failed = |error, exit_code| Self {
            status: RunStatus::Failed,
            error: Some(error),
            exit_code,
        };
        match seen.interruption {
            Some(Interruption::Ended(status)) => return stopped(status, None),
            Some(Interruption::LeaseExpired | Interruption::LeaseLost) => {
                let seconds = limits::LEASE_TTL.as_secs();
                return stopped(
                    RunStatus::Timeout,
                    Some(format!("runner lost for {seconds} s")),
                );
            }
            Some(Interruption::Deadline) => {
                let error = format!("run exceeded {} s", seen.timeout_seconds);
                return stopped(RunStatus::Timeout, Some(error));
            }
            Some(Interruption::Budget(exceeded)) => return failed(exceeded.to_string(), None),
            Some(Interruption::Shutdown) => return failed(RUNNER_STOPPED.to_owned(), None),
            None => {}
        }
        if let Some(error) = &seen.platform_failure {
            return failed(error.clone(), seen.exit_code);
        }
        if let Some(limit) = seen.out_of_memory_mb {
            return failed(format!("agent ran out of memory (limit {limit} MB)"), None);
        }
        let code = seen.exit_code.unwrap_or(0);
        match &seen.failure_event {
            None if code == 0 => {
                return Self {
                    status: RunStatus::Completed,
                    error: None,
                    exit_code: seen.exit_code,
                };
            }
            Some(Some(text)) => return failed(text.clone(), seen.exit_code),
            Some(None) | None => {}
        }
        if !seen.stderr.is_empty() {
            return failed(seen.stderr.clone(), seen.exit_code);
        }
        failed(
            format!("Agent exited with code {}", code.max(1)),
            seen.exit_code,
        )
    }
}

/// The error of a run whose runner was stopped.
pub(crate) const RUNNER_STOPPED: &str = "[run] the runner was stopped";

/// The end of what an agent wrote to stderr: its lines trimmed, without escape codes, joined by
/// spaces, the last [`limits::ERROR_MAX_CHARS`] characters.
#[derive(Debug, Default)]
pub(crate) struct StderrTail {
    lines: VecDeque<String>,
    chars: usize,
}

impl StderrTail {
    /// Adds a line that is clean and masked already.
    pub(crate) fn push(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        let chars = line.chars().count();
        let skipped = chars.saturating_sub(limits::ERROR_MAX_CHARS);
        self.lines.push_back(line.chars().skip(skipped).collect());
        self.chars += chars - skipped;
        while let Some(first) = self.lines.front() {
            let first = first.chars().count();
            if self.chars - first < limits::ERROR_MAX_CHARS {
                break;
            }
            self.chars -= first;
            self.lines.pop_front();
        }
    }

    /// The text.
    pub(crate) fn text(&self) -> String {
        let joined = Vec::from_iter(self.lines.iter().map(String::as_str)).join(" ");
        let skipped = joined
            .chars()
            .count()
            .saturating_sub(limits::ERROR_MAX_CHARS);
        joined.chars().skip(skipped).collect()
    }
}

/// `text` without terminal escape sequences and other control characters.
pub(crate) fn without_escapes(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            if character == '\t' || !character.is_control() {
                clean.push(character);
            }
            continue;
        }
        match characters.next() {
            Some('[') => {
                while characters
                    .next()
                    .is_some_and(|next| !('\u{40}'..='\u{7e}').contains(&next))
                {}
            }
            Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut characters),
            Some('\u{20}'..='\u{2f}') => {
                while characters
                    .next()
                    .is_some_and(|next| ('\u{20}'..='\u{2f}').contains(&next))
                {}
            }
            _ => {}
        }
    }
    clean
}

/// Skips a control string up to BEL or `ESC \`.
fn skip_string(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(character) = characters.next() {
        if character == '\u{7}' {
            return;
        }
        if character == '\u{1b}' {
            characters.next_if_eq(&'\\');
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Observed {
        Observed {
            exit_code: Some(0),
            timeout_seconds: 7,
            ..Observed::default()
        }
    }

    fn verdict(status: RunStatus, error: &str, exit_code: Option<i32>) -> Verdict {
        let error = (!error.is_empty()).then(|| error.to_owned());
        Verdict {
            status,
            error,
            exit_code,
        }
    }

    #[test]
    fn each_row_of_the_table_gives_its_state_and_error() {
        use RunStatus::{Cancelled, Completed, Failed, Timeout};
        let interrupted = |by| Observed {
            interruption: Some(by),
            ..seen()
        };
        let failing = |event, stderr: &str| Observed {
            exit_code: Some(3),
            failure_event: event,
            stderr: stderr.to_owned(),
            ..seen()
        };
        let rows = [
            (seen(), verdict(Completed, "", Some(0))),
            (
                interrupted(Interruption::Ended(Cancelled)),
                verdict(Cancelled, "", None),
            ),
            (
                interrupted(Interruption::LeaseExpired),
                verdict(Timeout, "runner lost for 120 s", None),
            ),
            (
                interrupted(Interruption::Deadline),
                verdict(Timeout, "run exceeded 7 s", None),
            ),
            (
                interrupted(Interruption::Budget(Exceeded::Turns { used: 3, limit: 2 })),
                verdict(Failed, "budget exceeded: 3 of 2 turns", None),
            ),
            (
                interrupted(Interruption::Shutdown),
                verdict(Failed, RUNNER_STOPPED, None),
            ),
            (
                Observed {
                    platform_failure: Some("[boot] no".into()),
                    exit_code: None,
                    ..seen()
                },
                verdict(Failed, "[boot] no", None),
            ),
            (
                Observed {
                    out_of_memory_mb: Some(64),
                    exit_code: Some(137),
                    ..seen()
                },
                verdict(Failed, "agent ran out of memory (limit 64 MB)", None),
            ),
            (
                failing(Some(Some("said so".into())), "err"),
                verdict(Failed, "said so", Some(3)),
            ),
            (failing(Some(None), "err"), verdict(Failed, "err", Some(3))),
            (failing(None, "err"), verdict(Failed, "err", Some(3))),
            (
                failing(None, ""),
                verdict(Failed, "Agent exited with code 3", Some(3)),
            ),
        ];
        for (observed, expected) in rows {
            assert_eq!(Verdict::of(&observed), expected, "{observed:?}");
        }
    }

    #[test]
    fn an_earlier_row_wins() {
        let all = Observed {
            interruption: Some(Interruption::Ended(RunStatus::Cancelled)),
            platform_failure: Some("[checkpoint] no".into()),
            out_of_memory_mb: Some(1),
            failure_event: Some(Some("event".into())),
            stderr: "stderr".into(),
            ..seen()
        };
        assert_eq!(Verdict::of(&all).status, RunStatus::Cancelled);
        let none = Observed {
            interruption: None,
            ..all
        };
        assert_eq!(Verdict::of(&none).error.as_deref(), Some("[checkpoint] no"));
    }

    #[test]
    fn a_failure_event_makes_exit_0_a_failure_of_code_1() {
        let observed = Observed {
            failure_event: Some(None),
            ..seen()
        };
        let expected = verdict(RunStatus::Failed, "Agent exited with code 1", Some(0));
        assert_eq!(Verdict::of(&observed), expected);
    }

    #[test]
    fn stderr_is_joined_and_its_end_is_kept() {
        let mut tail = StderrTail::default();
        for line in ["  one ", "", "two\t"] {
            tail.push(line);
        }
        assert_eq!(tail.text(), "one two");
        for _ in 0..10_000 {
            tail.push("0123456789");
        }
        assert_eq!(tail.text().chars().count(), limits::ERROR_MAX_CHARS);
        assert!(tail.text().ends_with("56789 0123456789"));
        assert!(tail.lines.len() < 500);
    }

    #[test]
    fn escape_codes_are_removed() {
        let text =
            "\u{1b}[31;1mred\u{1b}[0m \u{1b}]0;title\u{7}x\u{1b}]8;;u\u{1b}\\y\u{1b}(Bz\u{8}";
        assert_eq!(without_escapes(text), "red xyz");
        assert_eq!(without_escapes("\u{1b}[3"), "");
    }
}
