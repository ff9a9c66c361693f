//! A cron expression without quotes: the shell makes words of it, and file names of `*`.

use crate::error::Failure;

const FIELDS: usize = 5;

/// The failure of a `vm0 schedule add` whose expression has no quotes, with the command that was
/// meant. To be asked only for a command line that cannot be read.
pub(crate) fn unquoted(args: &[String]) -> Option<Failure> {
    let add = args
        .windows(2)
        .position(|pair| pair[0] == "schedule" && matches!(pair[1].as_str(), "add" | "create"))?
        + 2;
    let cron = add + args[add..].iter().position(|arg| arg == "--cron")?;
    let words = cron + 1;
    let is_option = |arg: &String| arg.starts_with("--");
    let end = args[words..].iter().position(is_option);
    let mut end = end.map_or(args.len(), |count| words + count);
    // An agent that does not come first comes last.
    if args.get(add).is_none_or(is_option)
        && !args[words..end].last().is_some_and(|word| is_field(word))
    {
        end -= 1;
    }
    if end < words + 2 {
        return None;
    }
    let message = "The expression of --cron must be in quotes: the shell has made words of it";
    let failure = Failure::usage(message);
    Some(match expression(&args[words..end]) {
        Some(expression) => {
            let meant = args[1..words].iter().chain([&expression]);
            let meant: Vec<String> = meant.chain(&args[end..]).map(|arg| quoted(arg)).collect();
            failure.hint(format!("Write: vm0 {}", meant.join(" ")))
        }
        None => failure.hint("Write it as in: --cron '0 9 * * 1-5'"),
    })
}

/// The expression that the words were: file names between its fields were a `*`, or as many as are
/// missing if they all stood together.
fn expression(words: &[String]) -> Option<String> {
    let fields = words.iter().filter(|word| is_field(word)).count();
    let runs = words.chunk_by(|a, b| is_field(a) == is_field(b));
    let runs: Vec<&[String]> = runs.collect();
    let files = runs.iter().filter(|run| !is_field(&run[0])).count();
    let stars = match (FIELDS.checked_sub(fields)?, files) {
        (0, 0) => 0,
        (missing, 1) if missing > 0 => missing,
        (missing, files) if missing == files => 1,
        _ => return None,
    };
    let fields = runs.into_iter().flat_map(|run| match is_field(&run[0]) {
        true => run.to_vec(),
        false => vec!["*".to_owned(); stars],
    });
    Some(fields.collect::<Vec<_>>().join(" "))
}

/// Whether it is a field of numbers and signs, with or without names of days and months.
fn is_field(word: &str) -> bool {
    let is_name = |part: &str| part.len() == 3 && part.bytes().all(|b| b.is_ascii_alphabetic());
    let mut parts = word.split(['*', '/', ',', '-']);
    !word.is_empty() && parts.all(|part| is_name(part) || part.bytes().all(|b| b.is_ascii_digit()))
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(line: &[&str]) -> Option<String> {
        let args: Vec<String> = line.iter().map(|&arg| arg.to_owned()).collect();
        unquoted(&args).map(|failure| failure.hints().join("\n"))
    }

    #[test]
    fn the_command_that_was_meant_is_shown() {
        let start = ["vm0", "schedule", "add", "demo", "--cron"];
        let end = ["--prompt", "it's late"];
        for (words, expected) in [
            (&["0", "9", "*", "*", "1-5"][..], "0 9 * * 1-5"),
            (&["*/5", "*", "*", "*", "mon,fri"], "*/5 * * * mon,fri"),
            (
                &["0", "9", "a.txt", "vm0.yaml", "a.txt", "vm0.yaml", "1-5"],
                "0 9 * * 1-5",
            ),
            (&["0", "9", "vm0.yaml", "vm0.yaml", "vm0.yaml"], "0 9 * * *"),
            (&["0", "vm0.yaml", "1", "vm0.yaml", "1"], "0 * 1 * 1"),
        ] {
            let line = [&start[..], words, &end].concat();
            let expected = format!(
                "Write: vm0 schedule add demo --cron '{expected}' --prompt 'it'\\''s late'"
            );
            assert_eq!(hint(&line), Some(expected), "{words:?}");
        }
        let last = [
            "vm0", "schedule", "create", "--cron", "0", "9", "*", "*", "*", "demo",
        ];
        let expected = "Write: vm0 schedule create --cron '0 9 * * *' demo";
        assert_eq!(hint(&last).as_deref(), Some(expected));
    }

    #[test]
    fn what_cannot_be_told_gets_an_example() {
        let line = [
            "vm0", "schedule", "add", "demo", "--cron", "0", "x", "y", "1", "x", "y",
        ];
        assert_eq!(
            hint(&line).as_deref(),
            Some("Write it as in: --cron '0 9 * * 1-5'")
        );
    }

    #[test]
    fn other_mistakes_are_other_mistakes() {
        for line in [
            &[
                "vm0",
                "schedule",
                "add",
                "demo",
                "--cron",
                "0 9 * * *",
                "--promt",
                "x",
            ][..],
            &[
                "vm0", "schedule", "add", "--cron", "@daily", "demo", "--promt", "x",
            ],
            &["vm0", "schedule", "add", "demo", "--cron"],
            &["vm0", "schedule", "list", "--cron", "0", "9"],
            &["vm0", "run", "demo", "--cron", "0", "9"],
        ] {
            assert_eq!(hint(line), None, "{line:?}");
        }
    }
}
