//! A node together with its path, and the checks that every kind of value shares.

use std::fmt;
use std::ops::RangeInclusive;

use crate::config::node::{Node, NodeValue};
use crate::config::problem::Problems;
use crate::template;

/// A value of the configuration that is being read.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    pub(super) path: String,
    pub(super) node: &'a Node,
}

impl<'a> Field<'a> {
    /// The whole configuration.
    pub(super) fn root(node: &'a Node) -> Self {
        Self {
            path: String::new(),
            node,
        }
    }

    fn child(&self, name: impl fmt::Display, node: &'a Node) -> Self {
        let path = if self.path.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.path)
        };
        Self { path, node }
    }

    fn wrong_type<T>(&self, problems: &mut Problems, expected: &str) -> Option<T> {
        problems.add(
            self,
            format_args!("must be {expected}, not {}", self.node.kind()),
        );
        None
    }

    /// A string in which templates may stand.
    pub(super) fn template_string(&self) -> Option<&'a str> {
        match &self.node.value {
            NodeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// A string without templates.
    pub(super) fn string(&self, problems: &mut Problems) -> Option<&'a str> {
        let Some(text) = self.template_string() else {
            return self.wrong_type(problems, "a string");
        };
        if template::has_template(text) {
            problems.add(self, "templates are not allowed here");
            return None;
        }
        Some(text)
    }

    /// One of a set of words.
    pub(super) fn choice<T: Copy>(
        &self,
        problems: &mut Problems,
        allowed: &[(&str, T)],
    ) -> Option<T> {
        let text = self.string(problems)?;
        let found = allowed
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<_> = allowed.iter().map(|(word, _)| *word).collect();
            problems.add(
                self,
                format_args!("invalid value '{text}'; allowed: {}", words.join(", ")),
            );
        }
        found
    }

    /// Either of the two truth values.
    pub(super) fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        match &self.node.value {
            NodeValue::Boolean(value) => Some(*value),
            _ => self.wrong_type(problems, "a boolean"),
        }
    }

    /// A whole number in a range.
    pub(super) fn integer(
        &self,
        problems: &mut Problems,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let number = match &self.node.value {
            NodeValue::Number(number) if !number.is_f64() => number,
            _ => return self.wrong_type(problems, "an integer"),
        };
        let value = number.as_u64().and_then(|value| u32::try_from(value).ok());
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            problems.add(
                self,
                format_args!("must be between {} and {}", range.start(), range.end()),
            );
        }
        value
    }

    /// A number in a range.
    pub(super) fn number(
        &self,
        problems: &mut Problems,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        let NodeValue::Number(number) = &self.node.value else {
            return self.wrong_type(problems, "a number");
        };
        let value = number.as_f64().filter(|value| range.contains(value));
        if value.is_none() {
            problems.add(
                self,
                format_args!("must be between {} and {}", range.start(), range.end()),
            );
        }
        value
    }

    /// The items of a list.
    pub(super) fn items(
        &self,
        problems: &mut Problems,
        count: RangeInclusive<usize>,
    ) -> Option<Vec<Self>> {
        let NodeValue::List(items) = &self.node.value else {
            return self.wrong_type(problems, "a list");
        };
        if items.len() < *count.start() {
            problems.add(self, "must not be empty");
        } else if items.len() > *count.end() {
            problems.add(
                self,
                format_args!("must have at most {} entries", count.end()),
            );
        }
        Some(
            items
                .iter()
                .enumerate()
                .map(|(index, node)| self.child(index, node))
                .collect(),
        )
    }

    /// The items of a list of strings without templates.
    pub(super) fn strings(
        &self,
        problems: &mut Problems,
        count: RangeInclusive<usize>,
    ) -> Option<Vec<(Self, &'a str)>> {
        let items = self.items(problems, count)?;
        let strings = items.into_iter().filter_map(|item| {
            let text = item.string(problems)?;
            Some((item, text))
        });
        Some(strings.collect())
    }

    /// The entries of a map whose keys are names that the user chose.
    pub(super) fn entries(&self, problems: &mut Problems) -> Option<Vec<(&'a str, Self)>> {
        let NodeValue::Map(entries) = &self.node.value else {
            return self.wrong_type(problems, "a map");
        };
        let entries = entries
            .iter()
            .map(|(key, node)| (key.as_str(), self.child(key, node)));
        Some(entries.collect())
    }

    /// A map with fixed keys; any other key is a problem.
    pub(super) fn fields(&self, problems: &mut Problems, known: &[&str]) -> Option<Fields<'a>> {
        let entries = self.entries(problems)?;
        for (key, field) in &entries {
            if !known.contains(key) {
                problems.add(field, unknown_key(key, known));
            }
        }
        Some(Fields {
            map: self.clone(),
            entries,
        })
    }
}

/// A map with fixed keys.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    map: Field<'a>,
    entries: Vec<(&'a str, Field<'a>)>,
}

impl<'a> Fields<'a> {
    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<&Field<'a>> {
        self.entries
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, field)| field)
    }

    /// The value of a key that must be there.
    pub(super) fn require(&self, problems: &mut Problems, key: &str) -> Option<&Field<'a>> {
        self.require_or(problems, key, "is required")
    }

    /// The value of a key that must be there, with another text if it is not.
    pub(super) fn require_or(
        &self,
        problems: &mut Problems,
        key: &str,
        text: &str,
    ) -> Option<&Field<'a>> {
        let found = self.get(key);
        if found.is_none() {
            problems.add(&self.map.child(key, self.map.node), text);
        }
        found
    }
}

/// Largest edit distance at which a key is proposed.
const SUGGESTION_MAX_DISTANCE: usize = 3;

fn unknown_key(key: &str, known: &[&str]) -> String {
    if key == "provider" && known.contains(&"framework") {
        return "unknown key 'provider'; did you mean 'framework'?".to_owned();
    }
    if key == "apps" && known.contains(&"framework") {
        return "unknown key 'apps'; put the tools into the image".to_owned();
    }
    let near = |name: &&&str| key.len().abs_diff(name.len()) <= SUGGESTION_MAX_DISTANCE;
    let nearest = known
        .iter()
        .filter(near)
        .map(|name| (strsim::levenshtein(key, name), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| {
            *distance <= SUGGESTION_MAX_DISTANCE && distance * 2 < key.chars().count()
        });
    match nearest {
        Some((_, name)) => format!("unknown key '{key}'; did you mean '{name}'?"),
        None => format!("unknown key '{key}'; allowed: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_proposed_only_if_it_is_near() {
        let known = ["framework", "image", "volumes"];
        let text = |key| unknown_key(key, &known);
        assert_eq!(
            text("framwork"),
            "unknown key 'framwork'; did you mean 'framework'?"
        );
        assert_eq!(
            text("vol"),
            "unknown key 'vol'; allowed: framework, image, volumes"
        );
        assert_eq!(
            text("imxyz"),
            "unknown key 'imxyz'; allowed: framework, image, volumes"
        );
        assert_eq!(
            text("provider"),
            "unknown key 'provider'; did you mean 'framework'?"
        );
        assert_eq!(
            text("apps"),
            "unknown key 'apps'; put the tools into the image"
        );
    }
}
