//! What is wrong with the requests that a plugin made: whether they are what they say, and hold what their provider takes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::double::Asked;
use super::script::Script;

/// Headers in which providers take an idempotency key.
const KEYS: [&str; 5] =
    ["idempotency-key", "x-idempotency-key", "webhook-id", "x-request-id", "i-twilio-idempotency-token"];
/// Mistakes that are told of one notification.
const SHOWN: usize = 3;

/// What is wrong with the requests of one notification; `None`: nothing.
pub(super) fn mistakes(asked: &[Asked], script: &Script) -> Option<String> {
    let mut found: Vec<String> = asked.iter().flat_map(|asked| of_one(asked, script)).collect();
    found.truncate(SHOWN);
    (!found.is_empty()).then(|| found.join("; "))
}

fn of_one(asked: &Asked, script: &Script) -> Vec<String> {
    let place = format!("{} {}", asked.method, asked.path);
    let body = match body(asked) {
        Ok(body) => body,
        Err(why) => return vec![format!("{place}: {why}")],
    };
    let mut found = Vec::new();
    for text in script.never.iter().filter(|text| holds(&body, text)) {
        found.push(format!("{place}: a message's {text:?} went out as it was written"));
    }
    for (pointer, most) in &script.most_chars {
        let chars = body.pointer(pointer).and_then(Value::as_str).map_or(0, |text| text.chars().count());
        if chars > *most {
            found.push(format!("{place}: {pointer} has {chars} characters, the provider takes {most}"));
        }
    }
    found
}

/// A form is an object of texts, any other text a text.
fn body(asked: &Asked) -> Result<Value, String> {
    let kind = asked.header("content-type").unwrap_or_default();
    if kind.contains("json") {
        return serde_json::from_slice(&asked.body).map_err(|error| format!("the body is no JSON: {error}"));
    }
    if kind.contains("x-www-form-urlencoded") {
        let pairs: Map<String, Value> = url::form_urlencoded::parse(&asked.body)
            .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
            .collect();
        return Ok(Value::Object(pairs));
    }
    let text = std::str::from_utf8(&asked.body).map_err(|error| format!("the body is no text: {error}"))?;
    if !text.is_empty() && kind.is_empty() {
        return Err("a body without a content-type".to_owned());
    }
    Ok(Value::String(text.to_owned()))
}

/// Whether any text in it holds `part`; names of fields are the plugin's own.
fn holds(value: &Value, part: &str) -> bool {
    match value {
        Value::String(text) => text.contains(part),
        Value::Array(items) => items.iter().any(|item| holds(item, part)),
        Value::Object(map) => map.values().any(|item| holds(item, part)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a second attempt asked the same again: the same methods and paths, and the same keys where there are any.
pub(super) fn is_same_again(first: &[Asked], second: &[Asked]) -> Result<String, String> {
    let places =
        |all: &[Asked]| -> Vec<String> { all.iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect() };
    if places(first) != places(second) {
        return Err(format!("first {}, then {}", places(first).join(", "), places(second).join(", ")));
    }
    let keys = |all: &[Asked]| -> BTreeMap<&str, Vec<String>> {
        KEYS.iter()
            .map(|name| (*name, all.iter().filter_map(|asked| asked.header(name).map(str::to_owned)).collect()))
            .collect()
    };
    let (before, after) = (keys(first), keys(second));
    match before.iter().find(|(name, values)| after.get(*name) != Some(*values)) {
        Some((name, _)) => Err(format!("another {name}")),
        None => {
            let used: Vec<&str> =
                before.iter().filter(|(_, values)| !values.is_empty()).map(|(name, _)| *name).collect();
            Ok(if used.is_empty() { "the same requests".to_owned() } else { format!("the same {}", used.join(", ")) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: &str, body: &str) -> Asked {
        Asked {
            method: "POST".into(),
            host: "a.example".into(),
            path: "/x".into(),
            query: String::new(),
            headers: vec![("content-type".into(), kind.into()), ("idempotency-key".into(), "k1".into())],
            body: body.into(),
        }
    }

    #[track_caller]
    fn check(kind: &str, body: &str, expect: Option<&str>) {
        let script = Script::parse("never = [\"@all\"]\n[most_chars]\n\"/text\" = 5", "x").unwrap();
        assert_eq!(mistakes(&[asked(kind, body)], &script).as_deref(), expect);
    }

    #[test]
    fn a_request_is_what_it_says_and_holds_what_its_provider_takes() {
        check("application/json", r#"{"text":"12345"}"#, None);
        check(
            "application/json",
            r#"{"text":"123456"}"#,
            Some("POST /x: /text has 6 characters, the provider takes 5"),
        );
        check(
            "application/json",
            r#"{"a":[{"b":"x \u0040all"}]}"#,
            Some("POST /x: a message's \"@all\" went out as it was written"),
        );
        check(
            "application/json",
            "{",
            Some("POST /x: the body is no JSON: EOF while parsing an object at line 1 column 1"),
        );
        check(
            "application/x-www-form-urlencoded",
            "text=%40all",
            Some("POST /x: a message's \"@all\" went out as it was written"),
        );
        check("", "x", Some("POST /x: a body without a content-type"));
    }

    #[test]
    fn a_second_attempt_goes_to_the_same_places_with_the_same_keys() {
        let (first, mut second) = ([asked("text/plain", "a")], [asked("text/plain", "b")]);
        assert_eq!(is_same_again(&first, &second), Ok("the same idempotency-key".to_owned()));
        second[0].headers.truncate(1);
        assert_eq!(is_same_again(&first, &second), Err("another idempotency-key".to_owned()));
        second[0].path = "/y".into();
        assert_eq!(is_same_again(&first, &second), Err("first POST /x, then POST /y".to_owned()));
    }
}
