//! The part of the shell that simulated programs understand.
//!
//! ```text
//!   script  = command { (";" | "&&" | newline) command }
//!   command = word { word } [ ("|" is not known) ]
//!   word    = plain, 'single' or "double" quoted; > FILE, >> FILE and >&2 redirect the output
//! ```
//!
//! Commands: see [`super::command`]. There are no variables, pipes or background jobs.

/// One command and how it is joined to the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Only if the one before succeeded.
    pub(super) if_success: bool,
    /// Name and arguments.
    pub(super) words: Vec<String>,
    /// Where its output goes.
    pub(super) output: Target,
}

/// Where output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Stdout,
    Stderr,
    File { path: String, append: bool },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
}

const SIGNS: [&str; 6] = [">&2", ">>", ">", "&&", ";", "\n"];

/// The steps of a script; `None` if it contains what is not known.
pub(super) fn parse(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut step = empty(false);
    let mut tokens = tokenize(text)?.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) => step.words.push(word),
            Token::Sign(">&2") => step.output = Target::Stderr,
            Token::Sign(sign @ (">" | ">>")) => {
                let Some(Token::Word(path)) = tokens.next() else {
                    return None;
                };
                step.output = Target::File {
                    path,
                    append: sign == ">>",
                };
            }
            Token::Sign(sign) => {
                let next = empty(sign == "&&");
                let done = std::mem::replace(&mut step, next);
                steps.push(done);
            }
        }
    }
    steps.push(step);
    steps.retain(|step| !step.words.is_empty());
    Some(steps)
}

fn empty(if_success: bool) -> Step {
    Step {
        if_success,
        words: Vec::new(),
        output: Target::Stdout,
    }
}

fn tokenize(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut word: Option<String> = None;
    while let Some(first) = rest.chars().next() {
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            tokens.extend(word.take().map(Token::Word));
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else if first.is_whitespace() {
            tokens.extend(word.take().map(Token::Word));
            rest = &rest[first.len_utf8()..];
        } else if first == '\'' || first == '"' {
            let (quoted, after) = rest[1..].split_once(first)?;
            word.get_or_insert_default().push_str(quoted);
            rest = after;
        } else if matches!(first, '|' | '&' | '$' | '`' | '(' | ')' | '<') {
            return None;
        } else {
            word.get_or_insert_default().push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    tokens.extend(word.map(Token::Word));
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_redirections_and_joins_are_understood() {
        let steps = parse("echo 'a  b' > f && cat f; echo x >&2").unwrap();
        assert_eq!(steps.len(), 3);
        assert_eq!(steps[0].words, ["echo", "a  b"]);
        assert_eq!(
            steps[0].output,
            Target::File {
                path: "f".into(),
                append: false
            }
        );
        assert!(steps[1].if_success && !steps[2].if_success);
        assert_eq!(steps[2].output, Target::Stderr);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in ["a | b", "echo $X", "x &", "echo 'open"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
