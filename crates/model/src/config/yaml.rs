//! YAML text to a tree, by the file rules of agents 1.1.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use serde_json::Number;

use crate::config::node::{Node, NodeValue, Position};
use crate::config::problem::{Problem, Problems};
use crate::limits::{CONFIG_MAX_BYTES, NESTING_MAX};

/// Most nodes of a tree once its aliases are replaced by what they stand for.
const NODES_MAX: usize = 100_000;

/// Reads the one document of `text`. What can be read is returned together with its problems.
pub(super) fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() > CONFIG_MAX_BYTES {
        let text = format_args!("must be at most {CONFIG_MAX_BYTES} bytes");
        problems.push(Problem::new(Position::default(), "", text));
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Reader::new(problems).read(text)
}

/// A finished subtree with what aliases to it cost.
#[derive(Clone)]
struct Subtree {
    node: Node,
    size: usize,
    depth: usize,
}

/// A list or map that is still open.
struct Frame {
    at: Position,
    anchor: usize,
    size: usize,
    depth: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<(String, Node)>,
        names: HashSet<String>,
        key: Key,
    },
}

/// What a map expects next.
enum Key {
    Wanted,
    Named(String, Position),
    /// The value of a key that was refused.
    Skipped,
}

struct Reader<'p> {
    problems: &'p mut Problems,
    open: Vec<Frame>,
    anchors: HashMap<usize, Subtree>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    order: u32,
}

/// The rest of the text cannot be read.
struct Unreadable;

impl<'p> Reader<'p> {
    fn new(problems: &'p mut Problems) -> Self {
        Self {
            problems,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            nodes: 0,
            order: 0,
        }
    }

    fn read(mut self, text: &str) -> Option<Node> {
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let step = match event {
                Ok((event, span)) => self.event(event, span),
                Err(error) => {
                    let at = self.position(error.marker());
                    self.refuse(at, format!("not valid YAML: {}", error.info()))
                }
            };
            if step.is_err() {
                return None;
            }
        }
        let nothing = Node {
            at: Position::default(),
            value: NodeValue::Null,
        };
        Some(self.root.unwrap_or(nothing))
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Unreadable> {
        let at = self.position(&span.start);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return self.refuse(at, "only one document is allowed".to_owned());
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(at, tag.is_some());
                let value = scalar(&text, style);
                let node = Node { at, value };
                self.push(
                    Subtree {
                        node,
                        size: 1,
                        depth: 0,
                    },
                    anchor,
                    Some((&text, style)),
                )
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(at, tag.is_some());
                self.start(at, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(at, tag.is_some());
                let (entries, names) = (Vec::new(), HashSet::new());
                self.start(
                    at,
                    anchor,
                    Content::Map {
                        entries,
                        names,
                        key: Key::Wanted,
                    },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(at, anchor),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn position(&mut self, marker: &Marker) -> Position {
        let number = |value: usize| u32::try_from(value).ok();
        self.order += 1;
        Position {
            order: self.order,
            line: number(marker.line()),
            column: number(marker.col() + 1),
        }
    }

    /// Path of what comes next.
    fn path(&self) -> String {
        let components: Vec<_> = self
            .open
            .iter()
            .filter_map(|frame| match &frame.content {
                Content::List(items) => Some(items.len().to_string()),
                Content::Map {
                    key: Key::Named(name, _),
                    ..
                } => Some(name.clone()),
                Content::Map { .. } => None,
            })
            .collect();
        components.join(".")
    }

    fn report(&mut self, at: Position, text: String) {
        let problem = Problem::new(at, self.path(), text);
        self.problems.push(problem);
    }

    fn refuse(&mut self, at: Position, text: String) -> Result<(), Unreadable> {
        self.report(at, text);
        Err(Unreadable)
    }

    fn refuse_tag(&mut self, at: Position, tagged: bool) {
        if tagged {
            self.report(at, "tags are not allowed".to_owned());
        }
    }

    fn start(&mut self, at: Position, anchor: usize, content: Content) -> Result<(), Unreadable> {
        if self.open.len() >= NESTING_MAX {
            return self.refuse(at, format!("nested deeper than {NESTING_MAX} levels"));
        }
        self.open.push(Frame {
            at,
            anchor,
            size: 1,
            depth: 1,
            content,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Unreadable> {
        let Some(frame) = self.open.pop() else {
            return Err(Unreadable);
        };
        let value = match frame.content {
            Content::List(items) => NodeValue::List(items),
            Content::Map { entries, .. } => NodeValue::Map(entries),
        };
        let node = Node {
            at: frame.at,
            value,
        };
        self.push(
            Subtree {
                node,
                size: frame.size,
                depth: frame.depth,
            },
            frame.anchor,
            None,
        )
    }

    fn alias(&mut self, at: Position, anchor: usize) -> Result<(), Unreadable> {
        let Some(subtree) = self.anchors.get(&anchor) else {
            return self.refuse(at, "an alias may not stand inside what it names".to_owned());
        };
        self.nodes += subtree.size;
        if self.nodes > NODES_MAX {
            return self.refuse(at, format!("aliases make more than {NODES_MAX} values"));
        }
        if self.open.len() + subtree.depth > NESTING_MAX {
            return self.refuse(at, format!("nested deeper than {NESTING_MAX} levels"));
        }
        let mut subtree = subtree.clone();
        subtree.node.at = at;
        self.push(subtree, 0, None)
    }

    /// Puts a finished node where it belongs.
    fn push(
        &mut self,
        subtree: Subtree,
        anchor: usize,
        written: Option<(&str, ScalarStyle)>,
    ) -> Result<(), Unreadable> {
        if anchor != 0 {
            self.nodes += subtree.size;
            if self.nodes > NODES_MAX {
                let text = format!("anchors name more than {NODES_MAX} values");
                return self.refuse(subtree.node.at, text);
            }
            self.anchors.insert(anchor, subtree.clone());
        }
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(subtree.node);
            return Ok(());
        };
        frame.size += subtree.size;
        frame.depth = frame.depth.max(subtree.depth + 1);
        match &mut frame.content {
            Content::List(items) => items.push(subtree.node),
            Content::Map { entries, key, .. } => match std::mem::replace(key, Key::Wanted) {
                Key::Wanted => self.key(subtree.node, written),
                Key::Named(name, at) => {
                    entries.push((
                        name,
                        Node {
                            at,
                            value: subtree.node.value,
                        },
                    ));
                }
                Key::Skipped => {}
            },
        }
        Ok(())
    }

    /// Takes a node as the key of the innermost map.
    fn key(&mut self, node: Node, written: Option<(&str, ScalarStyle)>) {
        let at = node.at;
        let text = match (&node.value, written) {
            (_, Some(("<<", ScalarStyle::Plain))) => {
                Err("merge keys (<<) are not allowed".to_owned())
            }
            (NodeValue::String(name), _) => Ok(name.clone()),
            (_, Some((text, _))) if !text.is_empty() => {
                Err(format!("keys must be strings; put {text} in quotes"))
            }
            _ => Err(format!("keys must be strings, not {}", node.kind())),
        };
        let text = text.and_then(|name| match self.open.last_mut().map(|f| &mut f.content) {
            Some(Content::Map { names, .. }) => {
                let first = names.insert(name.clone());
                if first {
                    Ok(name)
                } else {
                    Err(format!("duplicate key '{name}'"))
                }
            }
            _ => Ok(name),
        });
        let next = match text {
            Ok(name) => Key::Named(name, at),
            Err(text) => {
                self.report(at, text);
                Key::Skipped
            }
        };
        if let Some(Content::Map { key, .. }) = self.open.last_mut().map(|frame| &mut frame.content)
        {
            *key = next;
        }
    }
}

/// The value of a scalar by the core schema of YAML 1.2.
fn scalar(text: &str, style: ScalarStyle) -> NodeValue {
    if style != ScalarStyle::Plain {
        return NodeValue::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => NodeValue::Null,
        "true" | "True" | "TRUE" => NodeValue::Boolean(true),
        "false" | "False" | "FALSE" => NodeValue::Boolean(false),
        _ => number(text).map_or_else(|| NodeValue::String(text.to_owned()), NodeValue::Number),
    }
}

/// The number that a plain scalar is. `.inf` and `.nan`, which JSON has not, are left as text.
fn number(text: &str) -> Option<Number> {
    let based = [("0x", 16), ("0o", 8)]
        .into_iter()
        .find_map(|(prefix, radix)| {
            let digits = text.strip_prefix(prefix)?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
            plain.then(|| u64::from_str_radix(digits, radix).ok())?
        });
    if let Some(value) = based {
        return Some(value.into());
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let whole = text.parse::<u64>().map(Number::from);
        let whole = whole.or_else(|_| text.parse::<i64>().map(Number::from));
        return whole.ok().or_else(|| Number::from_f64(text.parse().ok()?));
    }
    let begins = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let allowed = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
    let digits_first = unsigned.bytes().take_while(|byte| !b"eE".contains(byte));
    let has_digit = digits_first.into_iter().any(|byte| byte.is_ascii_digit());
    if begins && has_digit && unsigned.bytes().all(allowed) {
        return Number::from_f64(text.parse().ok()?);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<serde_json::Value, Vec<String>> {
        let mut problems = Problems::default();
        let node = read(text, &mut problems);
        let problems: Vec<_> = problems
            .into_sorted()
            .iter()
            .map(|problem| format!("{}: {problem}", problem.line.unwrap_or(0)))
            .collect();
        if problems.is_empty() {
            Ok(node.unwrap().to_json())
        } else {
            Err(problems)
        }
    }

    fn problem(text: &str) -> String {
        parse(text).unwrap_err().remove(0)
    }

    #[test]
    fn scalars_have_the_types_of_the_core_schema() {
        let text = "[null, ~, Null, '', true, False, yes, 'true', 1, -7, +3, 0x1F, 0o17, 017, 1.5, .5, 1., 1e3, -2E-1, 1_000, 1.2.3, 0b1, .inf, 12:30, '1', 18446744073709551615]";
        let expected = json!([
            null,
            null,
            null,
            "",
            true,
            false,
            "yes",
            "true",
            1,
            -7,
            3,
            31,
            15,
            17,
            1.5,
            0.5,
            1.0,
            1000.0,
            -0.2,
            "1_000",
            "1.2.3",
            "0b1",
            ".inf",
            "12:30",
            "1",
            18_446_744_073_709_551_615_u64
        ]);
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn the_order_of_keys_is_kept() {
        let value = parse("b: {z: 1, y: [x]}\na: |\n  text\n").unwrap();
        assert_eq!(value.to_string(), r#"{"b":{"z":1,"y":["x"]},"a":"text\n"}"#);
        assert_eq!(parse(""), Ok(json!(null)));
        assert_eq!(
            parse("\u{feff}# only a comment\na: b\n"),
            Ok(json!({"a": "b"}))
        );
    }

    #[test]
    fn anchors_and_aliases_are_replaced() {
        assert_eq!(
            parse("a: &x {k: [1]}\nb: *x\n"),
            Ok(json!({"a": {"k": [1]}, "b": {"k": [1]}}))
        );
    }

    #[test]
    fn the_file_rules_are_errors_with_a_line() {
        assert_eq!(
            problem("a: 1\nb:\n  c: 1\n  c: 2\n"),
            "4: b: duplicate key 'c'"
        );
        assert_eq!(
            problem("a: 1\n2: x\n"),
            "2: keys must be strings; put 2 in quotes"
        );
        assert_eq!(
            problem("a:\n  true: x\n"),
            "2: a: keys must be strings; put true in quotes"
        );
        assert_eq!(
            problem("? [a]\n: x\n"),
            "1: keys must be strings, not a list"
        );
        assert_eq!(problem("a: !!str 1\n"), "1: a: tags are not allowed");
        assert_eq!(problem("a: !mine {}\n"), "1: a: tags are not allowed");
        assert_eq!(
            problem("a: &x {b: 1}\nc:\n  <<: *x\n"),
            "3: c: merge keys (<<) are not allowed"
        );
        assert_eq!(
            problem("a: 1\n---\nb: 2\n"),
            "2: only one document is allowed"
        );
        assert!(problem("a: [1\n").contains("not valid YAML"));
        assert!(problem("a: *nothing\n").contains("not valid YAML"));
    }

    #[test]
    fn deep_nesting_and_alias_bombs_are_refused() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(32)).is_ok());
        assert!(problem(&nested(33)).contains("nested deeper than 32 levels"));
        assert!(parse(&nested(100_000)).is_err());
        let mut bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
        for level in 1..20 {
            let previous = format!("*a{}", level - 1);
            let items = [previous.as_str(); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        assert!(
            problem(&bomb).contains("more than 100000 values"),
            "{}",
            problem(&bomb)
        );
        assert!(problem(&"x".repeat(CONFIG_MAX_BYTES + 1)).contains("must be at most"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([-:,?&*!|>'\"%@`{}\\[\\]#~ \n\ta-c0-9<]|\\PC){0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn json_is_yaml(
            value in prop::collection::btree_map("[a-z ]{1,5}", "[ -~]{0,10}", 0..5),
        ) {
            let value = json!(value);
            prop_assert_eq!(parse(&value.to_string()), Ok(value));
        }
    }
}
