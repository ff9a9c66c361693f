//! The description of the API as a judge: every answer that a test reads is one that it describes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex};

use jsonschema::Validator;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// The document, and what of it has been seen.
pub(crate) struct Description {
    pub(crate) document: Value,
    /// By the name of the schema; unknown fields are faults.
    strict: BTreeMap<String, Validator>,
    seen: Mutex<BTreeSet<(String, u16)>>,
}

/// An operation of the document.
pub(crate) struct Described<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) entry: &'a Value,
}

static DESCRIPTION: LazyLock<Description> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(&vm0_server::openapi_json()).unwrap();
    let mut components = document["components"].clone();
    for schema in components["schemas"].as_object_mut().unwrap().values_mut() {
        close(schema);
    }
    let names = components["schemas"].as_object().unwrap().keys();
    let strict = names.map(|name| {
        let schema = json!({
            "$ref": format!("#/components/schemas/{name}"), "components": &components,
        });
        (name.clone(), jsonschema::draft202012::new(&schema).unwrap())
    });
    Description {
        strict: strict.collect(),
        seen: Mutex::default(),
        document,
    }
});

/// Makes fields that an object's schema does not name a fault.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("properties") && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

impl Description {
    pub(crate) fn get() -> &'static Self {
        &DESCRIPTION
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = Described<'_>> {
        let paths = self.document["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            operations.map(move |(method, entry)| Described {
                method,
                path,
                entry,
            })
        })
    }

    /// The names of operations with the statuses that they have answered in this process.
    pub(crate) fn seen(&self) -> BTreeSet<(String, u16)> {
        self.seen.lock().unwrap().clone()
    }

    /// Asserts that one of the operations of the path may answer this.
    pub(crate) fn assert_answer(&self, path: &str, status: u16, headers: &HeaderMap, text: &str) {
        let (mut allowed, mut faults) = (false, Vec::new());
        for operation in self.operations().filter(|known| matches(known.path, path)) {
            let name = operation.entry["operationId"].as_str().unwrap();
            match self.answer_fault(&operation, status, headers, text) {
                None => {
                    allowed = true;
                    self.seen.lock().unwrap().insert((name.to_owned(), status));
                }
                Some(fault) => faults.push(format!("{name}: {fault}")),
            }
        }
        assert!(
            allowed || faults.is_empty(),
            "{path} {status} {text}\n{}",
            faults.join("\n")
        );
    }

    fn answer_fault(
        &self,
        operation: &Described<'_>,
        status: u16,
        headers: &HeaderMap,
        text: &str,
    ) -> Option<String> {
        let response = &operation.entry["responses"][status.to_string()];
        if response.is_null() {
            return Some(format!("no answer {status}"));
        }
        let response = self.resolve(response);
        for (name, header) in response["headers"].as_object().unwrap() {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            let validator = jsonschema::draft202012::new(&self.resolve(header)["schema"]).unwrap();
            if !value.is_some_and(|value| validator.is_valid(&json!(value))) {
                return Some(format!("header {name} {value:?}"));
            }
        }
        let Some(contents) = response.get("content") else {
            return (!text.is_empty()).then(|| "a body".to_owned());
        };
        let kind = headers
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        let content = kind.and_then(|kind| contents.get(kind));
        let Some(content) = content else {
            return Some(format!("content type {kind:?}"));
        };
        if kind != Some("application/json") {
            return None;
        }
        match serde_json::from_str(text) {
            Ok(value) => self.body_fault(&content["schema"], &value),
            Err(error) => Some(error.to_string()),
        }
    }

    /// What is wrong with a value, if its schema, closed, does not allow it.
    pub(crate) fn body_fault(&self, schema: &Value, value: &Value) -> Option<String> {
        let reference = schema["$ref"].as_str()?;
        let name = reference.rsplit('/').next().unwrap();
        let faults: Vec<_> = self.strict[name]
            .iter_errors(value)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        (!faults.is_empty()).then(|| faults.join("; "))
    }

    /// What a reference leads to, else the thing itself.
    pub(crate) fn resolve<'a>(&'a self, thing: &'a Value) -> &'a Value {
        match thing["$ref"].as_str() {
            Some(reference) => self
                .document
                .pointer(reference.trim_start_matches('#'))
                .unwrap(),
            None => thing,
        }
    }
}

/// Whether a path is of this template; an empty segment is an id too.
fn matches(template: &str, path: &str) -> bool {
    let (known, given): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    known.len() == given.len()
        && known
            .iter()
            .zip(&given)
            .all(|(known, given)| known.starts_with('{') || known == given)
}
