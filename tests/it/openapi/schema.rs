//! As much of JSON Schema as the description uses; a word that it does not know fails.

use serde_json::Value;

/// Why `value` is not what `schema` says, with the place; `document` holds what is referred to.
pub fn faults(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let rules = schema.as_object().expect("a schema is an object");
    for (word, rule) in rules {
        let fault = |what: String| vec![format!("{at}: {what}")];
        found.extend(match word.as_str() {
            "description" | "format" => Vec::new(),
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').expect("a reference within");
                let target = document.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
                faults(document, target, value, at)
            }
            "oneOf" => {
                let tried = rule.as_array().unwrap().iter().map(|one| faults(document, one, value, at));
                let tried: Vec<_> = tried.collect();
                match tried.iter().filter(|faults| faults.is_empty()).count() {
                    1 => Vec::new(),
                    fitting => fault(format!("{fitting} of the schemas fit: {tried:?}")),
                }
            }
            "const" if rule == value => Vec::new(),
            "const" => fault(format!("{value} is not {rule}")),
            "enum" if rule.as_array().unwrap().contains(value) => Vec::new(),
            "enum" => fault(format!("{value} is none of {rule}")),
            "type" => {
                let names: Vec<_> = match rule {
                    Value::Array(names) => names.iter().map(|name| name.as_str().unwrap()).collect(),
                    name => vec![name.as_str().unwrap()],
                };
                if names.iter().any(|name| is(value, name)) {
                    Vec::new()
                } else {
                    fault(format!("{value} is no {names:?}"))
                }
            }
            "minimum" if value.as_i64() >= rule.as_i64() => Vec::new(),
            "minimum" => fault(format!("{value} is below {rule}")),
            "required" => {
                let missing = rule
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|name| value.get(name.as_str().unwrap()).is_none());
                missing.map(|name| format!("{at}: {name} is missing")).collect()
            }
            "properties" => {
                let known = rule.as_object().unwrap().iter();
                let there = known.filter_map(|(name, schema)| Some((name, schema, value.get(name)?)));
                there
                    .flat_map(|(name, schema, value)| {
                        faults(document, schema, value, &format!("{at}/{name}"))
                    })
                    .collect()
            }
            "additionalProperties" => {
                assert_eq!(rule, &Value::Bool(false));
                let names = value.as_object().into_iter().flatten().map(|(name, _)| name);
                let unknown = names.filter(|name| schema["properties"].get(name.as_str()).is_none());
                unknown.map(|name| format!("{at}: {name} is not described")).collect()
            }
            "items" => {
                let all = value.as_array().into_iter().flatten().enumerate();
                all.flat_map(|(n, value)| faults(document, rule, value, &format!("{at}/{n}"))).collect()
            }
            other => panic!("{at}: the schema says {other}, which is not looked at"),
        });
    }
    found
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no type: {other}"),
    }
}
