//! Configs that a plugin must refuse, made from the schema that it gives. Pure.

use serde_json::{Map, Value, json};

use super::script::Script;

/// A key that no plugin knows.
const UNKNOWN_KEY: &str = "no_such_key";

/// A config with one mistake.
pub(super) struct Wrong {
    pub(super) name: String,
    pub(super) config: Value,
    /// One of these must be said, or something below it.
    pub(super) pointers: Vec<String>,
}

/// Every mistake that follows from the schema, and the script's own.
pub(super) fn wrong(schema: &Value, script: &Script) -> Vec<Wrong> {
    let good = &script.config;
    let with = |key: &str, value: Value| {
        let mut config = good.clone();
        config.insert(key.to_owned(), value);
        Value::Object(config)
    };
    let mut all = Vec::new();
    if is_closed(schema) {
        let pointers = vec![format!("/{UNKNOWN_KEY}")];
        all.push(Wrong { name: "an unknown key".to_owned(), config: with(UNKNOWN_KEY, json!(true)), pointers });
    }
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    for (key, property) in properties {
        if let Some(other) = of_another_type(property) {
            all.push(Wrong {
                name: format!("{key} = {other}"),
                config: with(key, other),
                pointers: vec![format!("/{key}")],
            });
        }
    }
    for key in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let mut config = good.clone();
        config.remove(key);
        let pointers = vec![String::new(), format!("/{key}")];
        all.push(Wrong { name: format!("no {key}"), config: Value::Object(config), pointers });
    }
    for own in &script.mistakes {
        let mut config = good.clone();
        config.extend(own.config.clone());
        let name = Value::Object(own.config.clone()).to_string();
        all.push(Wrong { name, config: Value::Object(config), pointers: vec![own.pointer.clone()] });
    }
    all
}

/// Whether the plugin takes no keys but those that it names; what takes any key cannot know a wrong one.
pub(super) fn is_closed(schema: &Value) -> bool {
    schema.get("additionalProperties") == Some(&Value::Bool(false))
}

/// A value that a property of this schema cannot have; `None` where the schema does not say plainly what it is.
fn of_another_type(property: &Value) -> Option<Value> {
    let types: Vec<&str> = match property.get("type")? {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let others = [
        ("integer", json!("seven")),
        ("string", json!(7)),
        ("boolean", json!("maybe")),
        ("array", json!(7)),
        ("object", json!(7)),
    ];
    let is_number = types.contains(&"number") || types.contains(&"integer");
    let other = |value: &Value| !(value.is_number() && is_number || value.is_string() && types.contains(&"string"));
    others
        .into_iter()
        .find(|(kind, value)| (types.contains(kind) || is_number && *kind == "integer") && other(value))
        .map(|(_, value)| value)
}

/// Whether a pointer that was said is one of those, or lies below one.
pub(super) fn is_one_of(said: &str, pointers: &[String]) -> bool {
    pointers.iter().any(|pointer| said == pointer || (!pointer.is_empty() && said.starts_with(&format!("{pointer}/"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_follow_from_the_schema() {
        let schema = json!({
            "properties": {
                "url": { "type": "string" }, "retries": { "type": ["integer", "null"] }, "to": { "type": "array" },
                "any": {}, "word": { "type": ["string", "integer"] },
            },
            "required": ["url"],
            "additionalProperties": false,
        });
        let script =
            Script::parse("[config]\nurl = \"u\"\n[[mistakes]]\nconfig = { url = \"\" }\npointer = \"/url\"", "x")
                .unwrap();
        let found: Vec<(String, String)> =
            wrong(&schema, &script).into_iter().map(|w| (w.name, w.config.to_string())).collect();
        let pair = |name: &str, config: &str| (name.to_owned(), config.to_owned());
        let expect = [
            pair("an unknown key", r#"{"no_such_key":true,"url":"u"}"#),
            pair(r#"retries = "seven""#, r#"{"retries":"seven","url":"u"}"#),
            pair("to = 7", r#"{"to":7,"url":"u"}"#),
            pair("url = 7", r#"{"url":7}"#),
            pair("no url", "{}"),
            pair(r#"{"url":""}"#, r#"{"url":""}"#),
        ];
        assert_eq!(found, expect);
        assert!(wrong(&json!({ "additionalProperties": true }), &Script::default()).is_empty());
    }

    #[test]
    fn a_pointer_below_the_wrong_key_is_right_too() {
        let pointers = ["/to".to_owned()];
        assert!(is_one_of("/to", &pointers) && is_one_of("/to/0", &pointers));
        assert!(!is_one_of("/token", &pointers) && !is_one_of("", &pointers));
    }
}
