//! Text of an agent, made harmless for a terminal and cut to its width.

use std::fmt::Write;

/// Width where there is no terminal.
const DEFAULT_WIDTH: usize = 100;

/// Control characters but tab and newline as `\xNN`.
pub(crate) fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && !matches!(character, '\t' | '\n') {
            let _infallible = write!(shown, "\\x{:02x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The text on one line.
pub(crate) fn one_line(text: &str) -> String {
    escape(text).replace('\n', "\\n").replace('\t', " ")
}

/// At most `width` characters, the last `…` if something was cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Columns of the terminal on stdout.
pub(crate) fn terminal_width() -> usize {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => DEFAULT_WIDTH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(
            escape("a\tb\nc\x1b[2J\r\u{9b}"),
            "a\tb\nc\\x1b[2J\\x0d\\x9b"
        );
        assert_eq!(one_line("a\nb"), "a\\nb");
    }

    #[test]
    fn long_text_is_cut_by_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }
}
