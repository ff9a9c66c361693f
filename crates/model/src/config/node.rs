//! A configuration as a tree whose nodes know where they stood in the text.

use serde_json::{Map, Number, Value};

use crate::limits::NESTING_MAX;

/// Where a node stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// Rank in the document, by which problems are sorted.
    pub(super) order: u32,
    /// From 1; none in JSON.
    pub(super) line: Option<u32>,
    /// From 1; none in JSON.
    pub(super) column: Option<u32>,
}

/// A value and its place. The place of a value in a map is that of its key.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: NodeValue,
}

/// The value of a node; maps keep their order and have no key twice.
#[derive(Debug, Clone)]
pub(super) enum NodeValue {
    Null,
    Boolean(bool),
    Number(Number),
    String(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The tree of a JSON value, or `None` if it is nested too deeply.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let mut order = 0;
        Self::from_nested(value, &mut order, 1)
    }

    fn from_nested(value: &Value, order: &mut u32, depth: usize) -> Option<Self> {
        let at = Position {
            order: *order,
            line: None,
            column: None,
        };
        *order += 1;
        if matches!(value, Value::Array(_) | Value::Object(_)) && depth > NESTING_MAX {
            return None;
        }
        let value = match value {
            Value::Null => NodeValue::Null,
            Value::Bool(value) => NodeValue::Boolean(*value),
            Value::Number(value) => NodeValue::Number(value.clone()),
            Value::String(value) => NodeValue::String(value.clone()),
            Value::Array(items) => {
                let items = items
                    .iter()
                    .map(|item| Self::from_nested(item, order, depth + 1));
                NodeValue::List(items.collect::<Option<_>>()?)
            }
            Value::Object(map) => {
                let entries = map.iter().map(|(key, value)| {
                    Some((key.clone(), Self::from_nested(value, order, depth + 1)?))
                });
                NodeValue::Map(entries.collect::<Option<_>>()?)
            }
        };
        Some(Self { at, value })
    }

    /// The node at a dot path; list positions are numbers.
    pub(super) fn at_path(&self, path: &str) -> Option<&Self> {
        path.split('.')
            .try_fold(self, |node, part| match &node.value {
                NodeValue::List(items) => items.get(part.parse::<usize>().ok()?),
                NodeValue::Map(entries) => {
                    let entry = entries.iter().find(|(key, _)| key == part);
                    entry.map(|(_, node)| node)
                }
                _ => None,
            })
    }

    /// The tree as JSON.
    pub(super) fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Boolean(value) => Value::Bool(*value),
            NodeValue::Number(value) => Value::Number(value.clone()),
            NodeValue::String(value) => Value::String(value.clone()),
            NodeValue::List(items) => items.iter().map(Self::to_json).collect(),
            NodeValue::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, node)| (key.clone(), node.to_json()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// What the value is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            NodeValue::Null => "null",
            NodeValue::Boolean(_) => "a boolean",
            NodeValue::Number(_) => "a number",
            NodeValue::String(_) => "a string",
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "a map",
        }
    }
}
