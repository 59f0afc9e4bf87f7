//! Values for a query or a form, and a body as forms send it. Pure.

use std::fmt::Write;

use super::Request;

/// One value, percent-encoded for a path's segment, a query or a form.
#[must_use]
pub fn encode(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for byte in raw.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => {
                let written = write!(out, "%{byte:02X}");
                debug_assert!(written.is_ok(), "writing to a string cannot fail");
            }
        }
    }
    out
}

/// The URL with one more name and value in its query.
#[must_use]
pub fn with_query(url: &str, name: &str, value: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{name}={}", encode(value))
}

impl Request {
    /// Sets the body to a form, and the content type if there is none yet.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let each: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.body(each.join("&")).content_type("application/x-www-form-urlencoded")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded_so_that_no_value_can_add_a_field() {
        let request = Request::post("https://example.org/").form(&[("to", "a b&c=d"), ("text", "ü+%\n")]);
        assert_eq!(request.body, b"to=a%20b%26c%3Dd&text=%C3%BC%2B%25%0A");
        assert_eq!(request.header_value("content-type"), Some("application/x-www-form-urlencoded"));
    }

    #[test]
    fn a_query_is_begun_or_continued() {
        assert_eq!(with_query("https://example.org/a", "wait", "true"), "https://example.org/a?wait=true");
        assert_eq!(with_query("https://example.org/a?b=c", "d", "e f"), "https://example.org/a?b=c&d=e%20f");
    }
}
