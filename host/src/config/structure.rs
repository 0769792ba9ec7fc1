//! TOML against the schema of the file: syntax, unknown keys, wrong types, missing keys; all at once.
//!
//! What is sound goes on to the further checks as JSON, so that one wrong key does not hide the problems
//! of the others. Only this file knows TOML.

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::key::{Key, Place};
use super::report::{Report, position};
use super::suggest;

/// The sound parts of the text as JSON; none when its syntax is broken.
pub fn read(text: &str, schema: &Value, report: &mut Report<'_>) -> Option<Value> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(table(document.get_ref(), schema, &Key::root(), report));
    }
    let mut errors: Vec<(usize, String)> = errors
        .iter()
        .map(|error| (error.span().map_or(0, |span| span.start), describe(text, error)))
        .collect();
    errors.sort();
    // What follows an error on its line is mostly an echo of it.
    errors.dedup_by_key(|(offset, _)| position(text, *offset).0);
    for (offset, message) in errors {
        let (found, remedy) = match message.split_once(", expected ") {
            Some((found, expected)) => (found.to_owned(), format!("write {expected}")),
            None if message.contains("a second time") => {
                (message, "write each key and each table once".to_owned())
            }
            None => (message, "write valid TOML (https://toml.io)".to_owned()),
        };
        report.refuse_at(offset, &Key::root(), found, remedy);
    }
    None
}

/// The parser's words, and the key's name where they are about a key.
fn describe(text: &str, error: &toml::de::Error) -> String {
    let written = error.span().and_then(|span| text.get(span)).unwrap_or_default();
    if error.message() == "duplicate key" {
        return format!("`{written}` a second time");
    }
    error.message().to_owned()
}

fn table(written: &DeTable<'_>, schema: &Value, key: &Key, report: &mut Report<'_>) -> Value {
    let mut sound = Map::new();
    let known = schema.get("properties").and_then(Value::as_object);
    let every = schema.get("additionalProperties").filter(|every| every.is_object());
    for (name, value) in written.iter() {
        let (name, name_at) = (name.get_ref(), name.span().start);
        let key = key.field(name);
        report.place(&key, place(value, name_at));
        let Some(schema) = known.and_then(|known| known.get(name.as_ref())).or(every) else {
            let keys = known.into_iter().flat_map(Map::keys).map(String::as_str);
            let remedy = suggest::advise(name, "keys", keys);
            report.refuse_at(name_at, &key, format!("the unknown key `{name}`"), remedy);
            continue;
        };
        if let Some(value) = read_value(value.get_ref(), schema, &key, report) {
            sound.insert(name.to_string(), value);
        }
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        let Some(name) = name.as_str() else { continue };
        if written.contains_key(name) {
            continue;
        }
        if let Some(empty) = missing(&key.field(name), name, &schema["properties"][name], report) {
            sound.insert(name.to_owned(), empty);
        }
    }
    Value::Object(sound)
}

/// Refuses that a key is missing; of a table, that its own necessary keys are, and goes on without them.
fn missing(key: &Key, name: &str, schema: &Value, report: &mut Report<'_>) -> Option<Value> {
    if kind(schema) == "object" {
        return Some(table(&DeTable::new(), schema, key, report));
    }
    let remedy = match example(schema) {
        Some(example) => format!("add `{name} = {}`", as_toml(example)),
        None => format!("add `{name}`"),
    };
    report.refuse_found(key, "nothing", remedy);
    None
}

fn read_value(value: &DeValue<'_>, schema: &Value, key: &Key, report: &mut Report<'_>) -> Option<Value> {
    let schema = shape(schema, value);
    let choices = choices(schema);
    match (kind(schema), value) {
        ("object", DeValue::Table(written)) => Some(table(written, schema, key, report)),
        ("array", DeValue::Array(items)) => list(items, &schema["items"], key, report),
        ("integer", DeValue::Integer(number)) => integer(number, schema, key, report),
        ("boolean", DeValue::Boolean(value)) => Some(Value::Bool(*value)),
        ("string", DeValue::String(text)) if choices.is_empty() || choices.contains(&text.as_ref()) => {
            Some(Value::String(text.to_string()))
        }
        ("string", DeValue::String(text)) => {
            report.refuse(key, suggest::advise(text, "values", choices));
            None
        }
        _ => {
            let remedy = expectation(schema);
            match value {
                DeValue::Table(_) => report.refuse_found(key, "a table", remedy),
                DeValue::Array(_) => report.refuse_found(key, "a list", remedy),
                _ => report.refuse(key, remedy),
            }
            None
        }
    }
}

/// Where a key takes several kinds of values, the schema of the kind that is written; otherwise the schema itself.
fn shape<'s>(schema: &'s Value, value: &DeValue<'_>) -> &'s Value {
    let written = match value {
        DeValue::Table(_) => "object",
        DeValue::Array(_) => "array",
        DeValue::Integer(_) => "integer",
        DeValue::Boolean(_) => "boolean",
        _ => "string",
    };
    shapes(schema).find(|shape| kind(shape) == written).unwrap_or(schema)
}

/// A list stands or falls as a whole, so that the places of its elements stay right.
fn list(items: &DeArray<'_>, schema: &Value, key: &Key, report: &mut Report<'_>) -> Option<Value> {
    let mut sound = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let key = key.item(index);
        report.place(&key, place(item, item.span().start));
        sound.push(read_value(item.get_ref(), schema, &key, report));
    }
    sound.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
}

fn integer(number: &DeInteger<'_>, schema: &Value, key: &Key, report: &mut Report<'_>) -> Option<Value> {
    let least = schema["minimum"].as_u64().unwrap_or(0);
    let most = schema["maximum"].as_u64().unwrap_or(u64::MAX);
    let value = u64::from_str_radix(number.as_str(), number.radix()).ok();
    let value = value.filter(|value| (least..=most).contains(value));
    if value.is_none() {
        report.refuse(key, expectation(schema));
    }
    value.map(Value::from)
}

/// What to write under a key of this schema.
fn expectation(schema: &Value) -> String {
    if shapes(schema).next().is_some() {
        return shapes(schema).map(expectation).collect::<Vec<_>>().join(", or ");
    }
    let example =
        example(schema).map_or_else(String::new, |example| format!(" such as {}", as_toml(example)));
    match kind(schema) {
        "object" => "write a table: `{ key = value }`".into(),
        "array" if kind(&schema["items"]) == "object" => format!("write a list of tables{example}"),
        "array" => format!("write a list of strings{example}"),
        "boolean" => "write true or false".into(),
        "integer" => match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
            (Some(least), Some(most)) => format!("write a whole number from {least} to {most}"),
            _ => "write a whole number".into(),
        },
        _ => match choices(schema).as_slice() {
            [] => format!("write a string in quotes{example}"),
            choices => format!("the values here are {}", choices.join(", ")),
        },
    }
}

/// The kinds of values that a key takes; empty where it takes only one.
fn shapes(schema: &Value) -> impl Iterator<Item = &Value> {
    schema["anyOf"].as_array().into_iter().flatten()
}

/// Empty for a key that takes several.
fn kind(schema: &Value) -> &str {
    if schema["anyOf"].is_array() {
        return "";
    }
    schema["type"].as_str().unwrap_or("string")
}

/// A value as it is written in the file.
fn as_toml(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", list(items.iter().map(as_toml).collect())),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name} = {}", as_toml(value)));
            format!("{{ {} }}", list(fields.collect()))
        }
        value => value.to_string(),
    }
}

fn example(schema: &Value) -> Option<&Value> {
    schema["examples"].get(0)
}

/// The only strings that may stand here; empty for any.
fn choices(schema: &Value) -> Vec<&str> {
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    choices.filter_map(|choice| choice["const"].as_str()).collect()
}

/// An editor points at the name of a table, and at the value of everything else.
fn place(value: &Spanned<DeValue<'_>>, name_at: usize) -> Place {
    match value.get_ref() {
        DeValue::Table(_) => Place { offset: name_at, value: None },
        _ => Place { offset: value.span().start, value: Some(value.span()) },
    }
}
