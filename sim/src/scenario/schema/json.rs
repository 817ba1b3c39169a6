//! The keys as a JSON schema (draft 2020-12), for editors: `sim schema`.
//!
//! It knows what a table may hold and what values look like; what refers to what, only the decoder knows.

use serde_json::{Map, Value, json};

use super::super::decode::{TOP, VERSION};
use super::super::quantity::{DURATION_UNITS, RATE_UNITS, SIZE_UNITS, Unit};
use super::{Key, Shape};

/// A number as quantities have it.
const NUMBER: &str = r"[0-9_]+(\.[0-9_]+)?";

/// The schema of a scenario's file.
pub fn json() -> Value {
    let mut schema = closed(&[TOP]);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("A scenario of OurTorrent's simulator");
    schema["description"] = json!("Its first line is a comment that says what it claims.");
    schema["properties"]["version"]["const"] = json!(VERSION);
    schema["required"] = json!(["version"]);
    // Who extends another scenario need not say it all.
    schema["if"] = json!({ "required": ["extends"] });
    schema["else"] = complete(Shape::Table(&[TOP])).unwrap_or_default();
    schema
}

/// A table that has no other keys than these.
fn closed(tables: &[&[Key]]) -> Value {
    let keys = tables.iter().copied().flatten();
    let properties: Map<_, _> = keys.map(|key| (key.name.to_owned(), described(key))).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn described(key: &Key) -> Value {
    let mut value = shape(key.shape);
    value["description"] = json!(key.doc);
    if let Some(default) = key.default {
        // The tests see to it that each of them is JSON.
        value["default"] = serde_json::from_str(default).unwrap_or_default();
    }
    value
}

fn shape(shape_of: Shape) -> Value {
    let text = |pattern: &str, examples: &[&str]| json!({ "type": "string", "pattern": format!(r"^\s*{pattern}\s*$"), "examples": examples });
    let time = quantities(DURATION_UNITS);
    let times = format!(r"{time}(\s*{time})*");
    match shape_of {
        Shape::Time => text(&times, &["90 s", "25 ms", "1 min 30 s"]),
        Shape::Shift => text(&format!(r"[+-]?\s*{times}"), &["+5 min", "-50 s"]),
        Shape::Drift => text(r"[+-]?\s*[0-9]+\s*ppm", &["200 ppm", "-50 ppm"]),
        Shape::Size => either(&[
            text(&quantities(SIZE_UNITS), &["64 MiB", "200 kB"]),
            json!({ "type": "integer", "minimum": 1 }),
        ]),
        Shape::Rate => text(&quantities(RATE_UNITS), &["16 Mbit/s", "2 MiB/s"]),
        Shape::Share => either(&[
            text(&format!(r"{NUMBER}\s*%?"), &["1 %"]),
            json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        ]),
        Shape::AtLeast => text(&format!(r">=\s*{NUMBER}\s*%?"), &[">= 65 %", ">= 0.65"]),
        Shape::AtMost => text(&format!(r"<=\s*{NUMBER}\s*%?"), &["<= 5 %", "<= 0.05"]),
        Shape::Within => text(&format!(r"<=\s*{times}"), &["<= 90 s"]),
        Shape::Times => text(&format!(r"<=\s*{NUMBER}\s*x?"), &["<= 1.5"]),
        Shape::Crowd => text(r"[<>]=\s*[0-9]{1,9}", &["<= 25", ">= 40"]),
        Shape::Files => text("[0-9]+-[0-9]+", &["0-99"]),
        Shape::Text => json!({ "type": "string" }),
        Shape::Name => json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,60}$" }),
        Shape::Truth => json!({ "type": "boolean" }),
        Shape::Natural => json!({ "type": "integer", "minimum": 0 }),
        Shape::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Number(least, most) => json!({ "type": "number", "minimum": least, "maximum": most }),
        Shape::Word(words) => json!({ "type": "string", "enum": words() }),
        Shape::Either(shapes) => either(&shapes.iter().copied().map(shape).collect::<Vec<_>>()),
        Shape::List(member) => json!({ "type": "array", "items": shape(*member) }),
        Shape::Two(member) => {
            json!({ "type": "array", "items": shape(*member), "minItems": 2, "maxItems": 2 })
        }
        Shape::Named(member, _) => json!({ "type": "object", "additionalProperties": shape(*member) }),
        Shape::Table(tables) | Shape::Member(tables, _) => closed(tables),
        Shape::OneOf(keys) => {
            let mut table = closed(&[&keys()]);
            (table["minProperties"], table["maxProperties"]) = (json!(1), json!(1));
            table
        }
    }
}

fn either(shapes: &[Value]) -> Value {
    json!({ "anyOf": shapes })
}

/// A number and one of these units.
fn quantities(units: &[Unit]) -> String {
    let names: Vec<_> = units.iter().map(|(name, _)| *name).collect();
    format!(r"{NUMBER}\s*({})", names.join("|"))
}

/// What values of this shape must have where nothing is left to another scenario.
fn complete(shape: Shape) -> Option<Value> {
    match shape {
        Shape::Table(tables) => all_of(tables),
        Shape::Member(tables, sets) => {
            let mut rules: Vec<_> = all_of(tables).into_iter().collect();
            rules.extend(sets.iter().map(|keys| {
                let only: Vec<_> = keys().iter().map(|key| json!({ "required": [key] })).collect();
                json!({ "oneOf": only })
            }));
            Some(json!({ "allOf": rules }))
        }
        Shape::List(member) => Some(json!({ "items": complete(*member)? })),
        Shape::Named(member, exempt) => {
            let exempt: Map<_, _> = exempt().into_iter().map(|name| (name, json!(true))).collect();
            Some(json!({ "properties": exempt, "additionalProperties": complete(*member)? }))
        }
        Shape::Either(_)
        | Shape::OneOf(_)
        | Shape::Word(_)
        | Shape::Two(_)
        | Shape::Time
        | Shape::Shift
        | Shape::Drift
        | Shape::Size
        | Shape::Rate
        | Shape::Share
        | Shape::AtLeast
        | Shape::AtMost
        | Shape::Within
        | Shape::Times
        | Shape::Crowd
        | Shape::Files
        | Shape::Text
        | Shape::Name
        | Shape::Truth
        | Shape::Natural
        | Shape::Whole(..)
        | Shape::Number(..) => None,
    }
}

fn all_of(tables: &[&[Key]]) -> Option<Value> {
    let keys = || tables.iter().copied().flatten();
    let needed: Vec<_> = keys().filter(|key| key.is_needed).map(|key| key.name).collect();
    let inner: Map<_, _> =
        keys().filter_map(|key| Some((key.name.to_owned(), complete(key.shape)?))).collect();
    (!needed.is_empty() || !inner.is_empty()).then(|| json!({ "required": needed, "properties": inner }))
}
