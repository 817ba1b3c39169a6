//! As much of JSON schema as ours uses, to hold files against it in tests. What it does not know, it refuses to judge.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

/// Judges values by schemas.
#[derive(Default)]
pub(super) struct Validator {
    patterns: RefCell<BTreeMap<String, Regex>>,
}

impl Validator {
    /// Is `value` what `schema` describes?
    pub(super) fn holds(&self, schema: &Value, value: &Value) -> bool {
        let Some(rules) = schema.as_object() else { return schema.as_bool().expect("a schema") };
        rules.iter().all(|(keyword, rule)| self.keeps(keyword, rule, schema, value))
    }

    fn keeps(&self, keyword: &str, rule: &Value, schema: &Value, value: &Value) -> bool {
        let limit = || rule.as_f64().expect("a number");
        let number = value.as_f64();
        let all = || rule.as_array().expect("a list").iter();
        let (table, list) = (value.as_object(), value.as_array());
        match keyword {
            "$schema" | "title" | "description" | "default" | "examples" | "else" => true,
            "type" => is_a(rule.as_str().expect("a type"), value),
            "const" => value == rule,
            "enum" => all().any(|one| one == value),
            "pattern" => {
                value.as_str().is_none_or(|text| self.matches(rule.as_str().expect("a pattern"), text))
            }
            "minimum" => number.is_none_or(|number| number >= limit()),
            "maximum" => number.is_none_or(|number| number <= limit()),
            "minItems" => list.is_none_or(|list| list.len() as f64 >= limit()),
            "maxItems" => list.is_none_or(|list| list.len() as f64 <= limit()),
            "minProperties" => table.is_none_or(|table| table.len() as f64 >= limit()),
            "maxProperties" => table.is_none_or(|table| table.len() as f64 <= limit()),
            "items" => list.is_none_or(|list| list.iter().all(|member| self.holds(rule, member))),
            "required" => {
                table.is_none_or(|table| all().all(|key| table.contains_key(key.as_str().expect("a key"))))
            }
            "properties" => table.is_none_or(|table| {
                let known = |key: &String| rule.get(key);
                table.iter().all(|(key, value)| known(key).is_none_or(|rule| self.holds(rule, value)))
            }),
            "additionalProperties" => table.is_none_or(|table| {
                let known =
                    |key: &String| schema.get("properties").and_then(|known| known.get(key)).is_some();
                table.iter().all(|(key, value)| known(key) || self.holds(rule, value))
            }),
            "anyOf" => all().any(|rule| self.holds(rule, value)),
            "allOf" => all().all(|rule| self.holds(rule, value)),
            "oneOf" => all().filter(|rule| self.holds(rule, value)).count() == 1,
            "if" => self.holds(rule, value) || self.holds(&schema["else"], value),
            other => panic!("`{other}` is not understood"),
        }
    }

    fn matches(&self, pattern: &str, text: &str) -> bool {
        let mut patterns = self.patterns.borrow_mut();
        let compiled = || Regex::new(pattern).expect("a regular expression");
        patterns.entry(pattern.to_owned()).or_insert_with(compiled).is_match(text)
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        other => panic!("`{other}` is not understood"),
    }
}
