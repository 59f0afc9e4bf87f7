//! Takes values of secrets out of what comes back, before a guest or a log sees it: as they are, and as they look in
//! URLs, in JSON and in base64.
//!
//! This is against destinations that repeat what they were sent. Against a plugin and a destination that work together
//! nothing helps but not giving them a secret.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame};
use memchr::memmem;

use super::Secret;
use super::wire::{path_encoded, percent_encoded};

/// Shorter values are not searched for: they would blot out ordinary words.
const LEAST_BYTES: usize = 4;
/// Shorter values have forms in base64 that ordinary text has too.
const BASE64_BYTES: usize = 8;
/// A part of a URL that is a secret as a whole: a shorter one is a word of the interface.
const PART_BYTES: usize = 16;

/// A text that must not be seen.
struct Needle {
    /// Of the secret.
    name: String,
    finder: memmem::Finder<'static>,
    /// What is written over it.
    cover: Vec<u8>,
}

/// Stars; nines for a number, so that JSON with it stays JSON.
fn cover(form: &[u8]) -> Vec<u8> {
    let is_number = form.strip_prefix(b"-").unwrap_or(form).iter().all(u8::is_ascii_digit);
    let over = |byte: &u8| {
        if !is_number {
            b'*'
        } else if *byte == b'-' {
            b'-'
        } else {
            b'9'
        }
    };
    form.iter().map(over).collect()
}

/// Everything that must not be seen, the longest first.
#[derive(Default)]
pub(in crate::sender) struct Needles(Vec<Needle>);

impl Needles {
    pub(super) fn of<'s>(secrets: impl Iterator<Item = (&'s String, &'s Secret)>) -> Self {
        let mut needles: Vec<Needle> = Vec::new();
        for (name, secret) in secrets {
            let values = secret.live.values().into_iter().flat_map(|value| {
                let parts = if secret.origin.is_some() { parts(&value.0) } else { Vec::new() };
                parts.into_iter().chain([value.0])
            });
            for form in values.flat_map(|value| forms(&value)) {
                if !needles.iter().any(|known| known.finder.needle() == form) {
                    let (finder, cover) = (memmem::Finder::new(&form).into_owned(), cover(&form));
                    needles.push(Needle { name: name.clone(), finder, cover });
                }
            }
        }
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.finder.needle().len()));
        Self(needles)
    }

    /// The text with the names of secrets in place of their values.
    pub(super) fn name(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for needle in &self.0 {
            if needle.finder.find(out.as_bytes()).is_some()
                && let Ok(hidden) = std::str::from_utf8(needle.finder.needle())
            {
                out = out.replace(hidden, &format!("(secret {})", needle.name));
            }
        }
        out
    }

    /// Writes something over every value, so that lengths stay; whether there was one.
    pub(in crate::sender) fn blank(&self, bytes: &mut [u8]) -> bool {
        let all = bytes.len();
        self.blank_what_begins_before(all, bytes)
    }

    fn blank_what_begins_before(&self, limit: usize, bytes: &mut [u8]) -> bool {
        let mut any = false;
        for needle in &self.0 {
            let mut from = 0;
            while let Some(at) = bytes.get(from..).and_then(|rest| needle.finder.find(rest))
                && from + at < limit
            {
                let end = from + at + needle.finder.needle().len();
                if let Some(found) = bytes.get_mut(from + at..end) {
                    found.copy_from_slice(&needle.cover);
                }
                (from, any) = (end, true);
            }
        }
        any
    }

    pub(in crate::sender) fn blank_headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            let mut bytes = value.as_bytes().to_vec();
            if self.blank(&mut bytes)
                && let Ok(blanked) = HeaderValue::from_bytes(&bytes)
            {
                *value = blanked;
            }
        }
    }

    /// How many bytes at the end may be the beginning of a value.
    fn unfinished(&self, bytes: &[u8]) -> usize {
        let longest = self.0.first().map_or(0, |needle| needle.finder.needle().len()).saturating_sub(1);
        let from = bytes.len().saturating_sub(longest);
        let begins = |at: &usize| {
            let end = bytes.get(*at..).unwrap_or_default();
            self.0.iter().any(|needle| needle.finder.needle().starts_with(end))
        };
        bytes.len() - (from..bytes.len()).find(begins).unwrap_or(bytes.len())
    }
}

/// The parts of a whole URL that are secret by themselves.
fn parts(url: &str) -> Vec<String> {
    let Ok(url) = url::Url::parse(url) else { return Vec::new() };
    let rest = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let single = rest.split(['/', '?', '&', '=']).filter(|part| part.len() >= PART_BYTES).map(str::to_owned);
    single.chain([rest.clone()].into_iter().filter(|rest| rest.len() >= PART_BYTES)).collect()
}

/// How a value may look when it is repeated.
fn forms(value: &str) -> Vec<Vec<u8>> {
    if value.len() < LEAST_BYTES {
        return Vec::new();
    }
    let encoded = percent_encoded(value);
    let quoted = serde_json::Value::String(value.to_owned()).to_string();
    let in_json = quoted.trim_matches('"').as_bytes().to_vec();
    let in_urls = [lower_escapes(&encoded), encoded, lower_escapes(&path_encoded(value)), path_encoded(value)];
    let mut forms = vec![value.as_bytes().to_vec(), in_json];
    forms.extend(in_urls.map(String::into_bytes));
    if value.len() >= BASE64_BYTES {
        for before in 0..3 {
            forms.push(inside(&STANDARD_NO_PAD.encode(shifted(value, before)), before, value.len()));
            forms.push(inside(&URL_SAFE_NO_PAD.encode(shifted(value, before)), before, value.len()));
        }
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

fn lower_escapes(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |out, piece| {
        let (escape, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        format!("{out}%{}{rest}", escape.to_ascii_lowercase())
    })
}

fn shifted(value: &str, before: usize) -> Vec<u8> {
    [vec![0; before], value.as_bytes().to_vec()].concat()
}

/// The characters of base64 that hold nothing but the value, whatever stands `before` and behind it.
fn inside(encoded: &str, before: usize, len: usize) -> Vec<u8> {
    let first = (before * 8).div_ceil(6);
    let last = (before + len) * 8 / 6;
    encoded.as_bytes().get(first..last).unwrap_or_default().to_vec()
}

/// A body in which no value is seen, also where one is split over two pieces.
pub(in crate::sender) struct Blanked<B> {
    inner: B,
    needles: Arc<Needles>,
    /// What may be the beginning of a value.
    held: BytesMut,
    /// What came behind the data.
    behind: Option<Frame<Bytes>>,
    is_over: bool,
}

impl<B> Blanked<B> {
    pub(in crate::sender) fn new(inner: B, needles: Arc<Needles>) -> Self {
        Self { inner, needles, held: BytesMut::new(), behind: None, is_over: false }
    }

    /// What is certain of the held bytes and these.
    fn certain(&mut self, data: &[u8]) -> Bytes {
        self.held.extend_from_slice(data);
        let sure = self.held.len() - self.needles.unfinished(&self.held);
        // What begins later may be the beginning of a longer value.
        self.needles.blank_what_begins_before(sure, &mut self.held);
        self.held.split_to(sure).freeze()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Blanked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        loop {
            if self.is_over {
                if !self.held.is_empty() {
                    let mut held = self.held.split();
                    self.needles.blank(&mut held);
                    return Poll::Ready(Some(Ok(Frame::data(held.freeze()))));
                }
                return Poll::Ready(self.behind.take().map(Ok));
            }
            let frame = match Pin::new(&mut self.inner).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(None) => {
                    self.is_over = true;
                    continue;
                }
            };
            match frame.into_data() {
                Ok(data) => {
                    let certain = self.certain(&data);
                    if !certain.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(certain))));
                    }
                }
                Err(frame) => {
                    let blank = |mut trailers| {
                        self.needles.blank_headers(&mut trailers);
                        Frame::trailers(trailers)
                    };
                    self.behind = frame.into_trailers().ok().map(blank);
                    self.is_over = true;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        (self.is_over || self.inner.is_end_stream()) && self.held.is_empty() && self.behind.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};
    use http_body::{Body, Frame};
    use http_body_util::BodyExt;

    use super::{Blanked, Needles};
    use crate::sender::secrets::tests::secrets;

    fn needles(value: &str) -> Needles {
        Needles::of(secrets(&[("s", value)]).0.iter())
    }

    #[track_caller]
    fn check(value: &str, text: &str, expect: &str) {
        let mut bytes = text.as_bytes().to_vec();
        needles(value).blank(&mut bytes);
        assert_eq!(String::from_utf8(bytes).unwrap(), expect);
    }

    #[test]
    fn a_value_is_blanked_in_all_the_ways_in_which_it_is_repeated() {
        check("xoxb-1", "bad token xoxb-1, xoxb-1", "bad token ******, ******");
        check("no", "no", "no");
        check("a\"b/c", r#"{"t":"a\"b/c"}"#, r#"{"t":"******"}"#);
        check("a b/ü", "GET /a%20b%2F%C3%BC and /a%20b%2f%c3%bc", "GET /************** and /**************");
        check("1:a/b", "/bot1:a%2Fb 1%3Aa%2Fb 1%3aa%2fb 1:a%2fb", "/bot******* ********* ********* *******");
        check("-100123", "{\"id\":-100123,\"n\":1}", "{\"id\":-999999,\"n\":1}");
        check("9999", "{\"id\":9999}", "{\"id\":9999}");
        let hook = "https://chat.example/api/1/a-very-long-token?thread=7";
        check(hook, &format!("see {hook}"), &format!("see {}", "*".repeat(hook.len())));
        check(hook, "token: a-very-long-token", "token: *****************");
        check(hook, "no /api/1/ is a secret", "no /api/1/ is a secret");
    }

    #[test]
    fn base64_of_a_value_is_blanked_wherever_it_begins() {
        for before in ["", "a", "ab", "user:"] {
            for behind in ["", "x", "xy"] {
                let mut bytes = STANDARD.encode(format!("{before}s3cr3t-canary-77{behind}")).into_bytes();
                needles("s3cr3t-canary-77").blank(&mut bytes);
                let stars = bytes.iter().filter(|byte| **byte == b'*').count();
                assert!(stars >= 19, "{before} {behind}: {}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn headers_are_blanked() {
        let mut headers = HeaderMap::new();
        headers.insert("location", HeaderValue::from_static("/?t=xoxb-canary"));
        needles("xoxb-canary").blank_headers(&mut headers);
        assert_eq!(headers["location"], "/?t=***********");
    }

    #[tokio::test]
    async fn a_value_that_begins_with_another_one_is_blanked_whole() {
        let secrets = secrets(&[("short", "canary"), ("long", "canary-and-more")]);
        let body = Pieces([b"a canary".as_slice(), b"-and-more b"].map(|p| Frame::data(p.into())).into());
        let read = Blanked::new(body, Arc::new(Needles::of(secrets.0.iter()))).collect().await.unwrap();
        assert_eq!(read.to_bytes(), "a *************** b");
    }

    #[tokio::test]
    async fn a_value_in_pieces_is_blanked_and_nothing_is_lost() {
        let text = "xo xoxb-canar xoxb-canary! xoxb-canary xoxb";
        for size in 1..text.len() {
            let pieces = text.as_bytes().chunks(size).map(|piece| Frame::data(Bytes::copy_from_slice(piece)));
            let trailers = HeaderMap::from_iter([("t".parse().unwrap(), HeaderValue::from_static("xoxb-canary"))]);
            let body = Pieces(pieces.chain([Frame::trailers(trailers)]).collect());
            let read = Blanked::new(body, Arc::new(needles("xoxb-canary"))).collect().await.unwrap();
            assert_eq!(read.trailers().unwrap()["t"], "***********");
            assert_eq!(read.to_bytes(), "xo xoxb-canar ***********! *********** xoxb", "in pieces of {size}");
        }
    }

    /// A body that comes in these pieces.
    struct Pieces(VecDeque<Frame<Bytes>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
    }
}
