//! Reads JSON piece by piece: nothing that is not looked at is kept, so a body never takes much more memory than its bytes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A string, without copying it unless it holds escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ReadText).map(Text)
    }
}

struct ReadText;

impl<'de> Visitor<'de> for ReadText {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Gives every element of an array to `take`.
pub(super) fn elements<'a>(array: &'a str, take: impl FnMut(&'a RawValue)) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(array);
    json.deserialize_seq(Elements(take))?;
    json.end()
}

struct Elements<F>(F);

impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        while let Some(element) = array.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}

/// Gives every member of an object to `take`.
pub(super) fn members<'a>(
    object: &'a str,
    take: impl FnMut(Cow<'a, str>, &'a RawValue),
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(object);
    json.deserialize_map(Members(take))?;
    json.end()
}

struct Members<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de RawValue)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        while let Some((Text(name), value)) = object.next_entry()? {
            (self.0)(name, value);
        }
        Ok(())
    }
}

/// A string; `None` for anything else.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(value.get()).ok().map(|Text(text)| text)
}

/// What a value reads as: a string as it is, anything else as JSON; `None` for null.
pub(super) fn words(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    text(value).or_else(|| (json != "null").then_some(Cow::Borrowed(json)))
}

#[cfg(test)]
mod tests {
    use super::{elements, members, words};

    #[test]
    fn elements_and_members_come_one_by_one_as_they_stand() {
        let mut seen = Vec::new();
        elements(" [1, \"a\" ,{\"b\": [2]}]\n", |element| seen.push(element.get())).unwrap();
        assert_eq!(seen, ["1", "\"a\"", "{\"b\": [2]}"]);
        let mut seen = Vec::new();
        members(r#"{"a":null,"b\u0041":"x\ny"}"#, |name, value| seen.push((name, words(value)))).unwrap();
        assert_eq!(seen, [("a".into(), None), ("bA".into(), Some("x\ny".into()))]);
    }

    #[test]
    fn bad_json_is_an_error() {
        for bad in ["[1,", "[1]]", "{}", "7", ""] {
            assert!(elements(bad, |_| {}).is_err(), "{bad}");
        }
        assert!(members("[]", |_, _| {}).is_err());
    }
}
