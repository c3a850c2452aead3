//! JSON as a token may contain it: bounded depth, no member name twice.

use std::fmt;

use base::json::is_deeper;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Objects and arrays inside one another (S-38).
const MAX_DEPTH: usize = 16;

/// Reads one JSON object. `None` for anything else, for a doubled member at any depth (S-34), and for more than
/// [`MAX_DEPTH`] levels, which are counted before anything is built.
pub(super) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    if is_deeper(bytes, MAX_DEPTH) {
        return None;
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// Builds a [`Value`] like serde_json's own visitor, which however lets the last of two equal names win.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without doubled members")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Strict)?;
            if all.insert(name, value).is_some() {
                return Err(A::Error::custom("a member occurs twice"));
            }
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-34, S-38: doubled members at any depth, scalars, and what follows the object are refused.
    #[test]
    fn only_one_plain_object_passes() {
        assert!(object(br#"{"a":[{"b":1},null,true,-1,1.5,"x"],"c":{}}"#).is_some());
        for wrong in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"a":1}]"#,
            r#""text""#,
            r#"{"a":1} {"#,
            r#"{"a":1e400}"#,
            r#"{"a":01}"#,
            "{'a':1}",
            "\u{feff}{}",
            "",
        ] {
            assert!(object(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    /// S-38: sixteen levels pass, seventeen do not, and brackets inside texts are not levels.
    #[test]
    fn depth_is_counted_outside_of_texts() {
        let nested =
            |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(object(nested(16).as_bytes()).is_some());
        assert!(object(nested(17).as_bytes()).is_none());
        assert!(object(nested(100_000).as_bytes()).is_none());
        let quoted = format!(r#"{{"a":"\\\"{}"}}"#, "[{".repeat(40));
        assert!(object(quoted.as_bytes()).is_some());
    }
}
