//! A configuration as YAML that reads back as the same value.

use std::fmt::Write;

use serde_json::Value;

const INDENT: usize = 2;

/// The value as a YAML document, its keys in their order: texts of several lines as blocks, texts
/// that something else could be taken for in quotes.
pub fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    match inline(value) {
        Some(scalar) => text.push_str(&scalar),
        None => block(&mut text, value, 0),
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A list or map of at least one entry, each on a line that begins at `indent`.
fn block(text: &mut String, value: &Value, indent: usize) {
    let margin = " ".repeat(indent);
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let _ = write!(text, "{margin}{}:", scalar(key));
                after(text, value, indent);
            }
        }
        Value::Array(items) => {
            for item in items {
                let _ = write!(text, "{margin}-");
                match item {
                    Value::Object(entries) if !entries.is_empty() => {
                        let mut nested = String::new();
                        block(&mut nested, item, indent + INDENT);
                        // Its first line stands beside the dash.
                        text.push(' ');
                        text.push_str(&nested[indent + INDENT..]);
                    }
                    _ => after(text, item, indent),
                }
            }
        }
        _ => unreachable!("a scalar is written beside what it belongs to"),
    }
}

/// What comes after `key:` or `-`, to the end of its line or of its block.
fn after(text: &mut String, value: &Value, indent: usize) {
    let inner = indent + INDENT;
    if let Some(lines) = value.as_str().and_then(literal) {
        let _ = writeln!(text, " {}", lines.header);
        for line in lines.content.split_terminator('\n') {
            let margin = if line.is_empty() { 0 } else { inner };
            let _ = writeln!(text, "{}{line}", " ".repeat(margin));
        }
    } else if let Some(scalar) = inline(value) {
        let _ = writeln!(text, " {scalar}");
    } else {
        text.push('\n');
        block(text, value, inner);
    }
}

/// What fits on the line: everything but lists and maps with entries.
fn inline(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(scalar(text)),
        Value::Array(items) if items.is_empty() => Some("[]".to_owned()),
        Value::Object(entries) if entries.is_empty() => Some("{}".to_owned()),
        Value::Array(_) | Value::Object(_) => None,
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}

/// A text as a literal block.
struct Literal<'a> {
    header: &'static str,
    content: &'a str,
}

/// The text as a block, if it has lines and none that a block could not hold as it is.
fn literal(text: &str) -> Option<Literal<'_>> {
    let printable = text.chars().all(|c| c == '\n' || is_printable(c));
    let first = text.chars().next()?;
    let blank = |line: &str| !line.is_empty() && line.trim().is_empty();
    let holds = text.trim_end_matches('\n').contains('\n') || text.ends_with('\n');
    if !holds || !printable || first.is_whitespace() || text.lines().any(blank) {
        return None;
    }
    let header = match (text.ends_with('\n'), text.ends_with("\n\n")) {
        (false, _) => "|-",
        (true, false) => "|",
        (true, true) => "|+",
    };
    let content = text;
    Some(Literal { header, content })
}

/// A text on one line, in quotes unless it can only be a text.
fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_printable(c) => quoted.push(c),
            c => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Whether it is a text without quotes, in YAML 1.1, too: words of letters, digits and a few signs,
/// the first of a letter or `/`.
fn is_plain(text: &str) -> bool {
    const OTHERS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let first = |c: char| c.is_ascii_alphabetic() || c == '/';
    let rest = |c: char| c.is_ascii_alphanumeric() || "_-./@:+, ".contains(c);
    text.starts_with(first)
        && text.chars().all(rest)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !OTHERS.iter().any(|other| text.eq_ignore_ascii_case(other))
}

/// Whether it stays what it is in a file, on a terminal and through a reader of YAML.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::config::yaml_value;

    #[test]
    fn a_configuration_reads_well() {
        let config = json!({
            "version": "1.0",
            "agents": { "demo": {
                "framework": "shell",
                "description": "Sums by region, each night",
                "instructions": "Do it.\n\n  Well.\n",
                "environment": { "DEBUG": "true", "PORT": "8080", "KEY": "${{ secrets.KEY }}",
                    "EMPTY": "", "COLON": "a: b" },
                "volumes": ["books:/home/user/books"],
                "network": { "mode": "allowlist", "rules": [
                    { "domain": "*.example.com", "ports": [443, "8000-8010"], "action": "allow" },
                    { "ip": "10.0.0.1", "action": "deny" },
                ] },
                "resources": { "cpus": 0.5, "memory_mb": 4096 },
                "skills": [],
            } },
            "volumes": { "books": { "name": "books", "version": "1234567890", "optional": true } },
        });
        let expected = r#"version: "1.0"
agents:
  demo:
    framework: shell
    description: Sums by region, each night
    instructions: |
      Do it.

        Well.
    environment:
      DEBUG: "true"
      PORT: "8080"
      KEY: "${{ secrets.KEY }}"
      EMPTY: ""
      COLON: "a: b"
    volumes:
      - books:/home/user/books
    network:
      mode: allowlist
      rules:
        - domain: "*.example.com"
          ports:
            - 443
            - "8000-8010"
          action: allow
        - ip: "10.0.0.1"
          action: deny
    resources:
      cpus: 0.5
      memory_mb: 4096
    skills: []
volumes:
  books:
    name: books
    version: "1234567890"
    optional: true
"#;
        assert_eq!(to_yaml(&config), expected);
        assert_eq!(yaml_value(expected).unwrap(), config);
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "[ \t\na-c:#'\"|>-]{0,12}",
            prop::sample::select(vec![
                "true",
                "No",
                "null",
                "~",
                "1.0",
                "0x1f",
                "1e3",
                ".inf",
                "<<",
                "---",
                "...",
                "- a",
                "a\n",
                "a\n\n",
                "\na",
                " a\nb",
                "a\n b\n",
                "a\r\nb",
                "a\n \nb",
                "a #b",
                "a:",
                "?",
                "\u{feff}a",
                "\u{85}",
                "2026-01-01",
                "&a",
                "*a",
                "!a",
                "%a",
                "@a",
                "`a",
            ])
            .prop_map(str::to_owned),
        ];
        let leaf = prop_oneof![
            text.clone().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(|number: f64| json!(number)),
        ];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            let entries = prop::collection::vec((text.clone(), inner.clone()), 0..5);
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(Value::from),
                entries.prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same(value in values()) {
            let yaml = to_yaml(&value);
            let read = yaml_value(&yaml);
            prop_assert_eq!(read.as_ref(), Ok(&value), "{}", yaml);
        }
    }
}
