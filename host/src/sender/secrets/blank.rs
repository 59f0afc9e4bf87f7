//! Takes values of secrets out of what comes back, before a guest or a log sees it: as they are, in
//! base64, and in whatever escapes of JSON, URLs and HTML.
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

use super::Secret;
use super::escape::{self, Seen};

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
    value: Vec<u8>,
    /// JSON with it stays JSON only when a number stands in its place.
    is_number: bool,
}

/// Where a text must not be seen.
struct Span<'n> {
    from: usize,
    to: usize,
    needle: &'n Needle,
}

impl Span<'_> {
    /// Stars; nines for a number.
    fn cover(&self, bytes: &mut [u8]) {
        for byte in bytes.get_mut(self.from..self.to).unwrap_or_default() {
            *byte = match byte {
                b'-' if self.needle.is_number => b'-',
                b'0'..=b'9' if self.needle.is_number => b'9',
                _ => b'*',
            };
        }
    }
}

/// Everything that must not be seen.
#[derive(Default)]
pub(in crate::sender) struct Needles {
    all: Vec<Needle>,
    /// By byte: whether one of them can begin with it.
    begins: Vec<bool>,
}

impl Needles {
    pub(super) fn of<'s>(secrets: impl Iterator<Item = (&'s String, &'s Secret)>) -> Self {
        let mut all: Vec<Needle> = Vec::new();
        for (name, secret) in secrets {
            let values = secret.live.values().into_iter().flat_map(|value| {
                let parts = if secret.origin.is_some() { parts(&value.0) } else { Vec::new() };
                parts.into_iter().chain([value.0])
            });
            for value in values.flat_map(|value| forms(&value)) {
                if !all.iter().any(|known| known.value == value) {
                    let is_number = value.strip_prefix(b"-").unwrap_or(&value).iter().all(u8::is_ascii_digit);
                    all.push(Needle { name: name.clone(), value, is_number });
                }
            }
        }
        let begins = |byte| all.iter().any(|needle| escape::may_begin(&needle.value, byte));
        let begins = (0..=u8::MAX).map(begins).collect();
        Self { all, begins }
    }

    /// Where they are, in order, and from where on the end of the bytes may be the beginning of another one.
    fn spans(&self, bytes: &[u8]) -> (Vec<Span<'_>>, usize) {
        let (mut spans, mut unfinished) = (Vec::new(), bytes.len());
        let may_begin = |byte: &u8| self.begins.get(usize::from(*byte)) == Some(&true);
        for from in (0..bytes.len()).filter(|from| bytes.get(*from).is_some_and(may_begin)) {
            let rest = bytes.get(from..).unwrap_or_default();
            let mut longest = None;
            for needle in &self.all {
                match escape::seen(&needle.value, rest) {
                    Seen::In(len) if longest.as_ref().is_none_or(|known: &Span<'_>| known.to < from + len) => {
                        longest = Some(Span { from, to: from + len, needle });
                    }
                    Seen::Unfinished => unfinished = unfinished.min(from),
                    _ => {}
                }
            }
            spans.extend(longest);
        }
        (spans, unfinished)
    }

    /// The text with the names of secrets in place of their values.
    pub(super) fn name(&self, text: &str) -> String {
        let (spans, _) = self.spans(text.as_bytes());
        let (mut out, mut done) = (String::new(), 0);
        for span in &spans {
            // What overlaps another one goes with that.
            if let Some(before) = text.get(done..span.from) {
                out.push_str(before);
                out.push_str(&format!("(secret {})", span.needle.name));
            }
            done = done.max(span.to);
        }
        out + text.get(done..).unwrap_or_default()
    }

    /// Writes something over every value, so that lengths stay; whether there was one.
    pub(in crate::sender) fn blank(&self, bytes: &mut [u8]) -> bool {
        let (spans, _) = self.spans(bytes);
        spans.iter().for_each(|span| span.cover(bytes));
        !spans.is_empty()
    }

    /// Writes something over every value, as far as it is certain what is one: that far.
    fn blank_what_is_certain(&self, bytes: &mut [u8]) -> usize {
        let (spans, mut sure) = self.spans(bytes);
        // What begins within another one may be longer than that.
        for span in spans.iter().rev() {
            if span.from < sure && sure < span.to {
                sure = span.from;
            }
        }
        spans.iter().filter(|span| span.to <= sure).for_each(|span| span.cover(bytes));
        sure
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
}

/// The parts of a whole URL that are secret by themselves.
fn parts(url: &str) -> Vec<String> {
    let Ok(url) = url::Url::parse(url) else { return Vec::new() };
    let rest = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let single = rest.split(['/', '?', '&', '=']).filter(|part| part.len() >= PART_BYTES).map(str::to_owned);
    single.chain([rest.clone()].into_iter().filter(|rest| rest.len() >= PART_BYTES)).collect()
}

/// A value as it is and in base64; other ways to write each of these are read while they are looked for.
fn forms(value: &str) -> Vec<Vec<u8>> {
    if value.len() < LEAST_BYTES {
        return Vec::new();
    }
    let mut forms = vec![value.as_bytes().to_vec()];
    if value.len() >= BASE64_BYTES {
        for before in 0..3 {
            forms.push(inside(&STANDARD_NO_PAD.encode(shifted(value, before)), before, value.len()));
            forms.push(inside(&URL_SAFE_NO_PAD.encode(shifted(value, before)), before, value.len()));
        }
    }
    forms
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
        let sure = self.needles.blank_what_is_certain(&mut self.held);
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
    use proptest::prelude::*;

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

    /// A character as one of the usual encoders writes it.
    fn written(encoder: usize, c: char) -> String {
        let units = |upper: bool| {
            let mut units = [0; 2];
            let unit = |unit: &u16| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
            c.encode_utf16(&mut units).iter().map(unit).collect::<String>()
        };
        let json = serde_json::Value::from(c.to_string()).to_string();
        let json = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).expect("quotes").to_owned();
        let percent = |upper: bool| {
            let mut bytes = [0; 4];
            let byte = |byte: &u8| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
            c.encode_utf8(&mut bytes).as_bytes().iter().map(byte).collect::<String>()
        };
        match encoder {
            // PHP: slashes, and everything that is not ASCII.
            0 if c == '/' => "\\/".to_owned(),
            0 | 1 if !c.is_ascii() => units(encoder == 1),
            // Go, for pages.
            2 if "&<>".contains(c) => units(false),
            3 if !c.is_ascii_alphanumeric() => percent(true),
            4 if c == ' ' => "+".to_owned(),
            4 if !c.is_ascii_alphanumeric() => percent(false),
            5 if "&<>'\"/".contains(c) || !c.is_ascii() => format!("&#{};", u32::from(c)),
            6 if "&<>'\"/".contains(c) || !c.is_ascii() => format!("&#x{:x};", u32::from(c)),
            7 => match c {
                '&' => "&amp;".to_owned(),
                '<' => "&lt;".to_owned(),
                '>' => "&gt;".to_owned(),
                '"' => "&quot;".to_owned(),
                '\'' => "&#039;".to_owned(),
                _ => c.to_string(),
            },
            // JSON in JSON.
            8 => json.replace('\\', "\\\\").replace('"', "\\\""),
            3..=6 | 9 => c.to_string(),
            _ => json,
        }
    }

    proptest! {
        #[test]
        fn nothing_of_a_secret_survives_any_encoder(secret in "k[ -~äÄß€😀]{7,24}k", cut in 0_usize..400) {
            for encoder in 0..10 {
                let repeated: String = secret.chars().map(|c| written(encoder, c)).collect();
                survives_nothing(&secret, &repeated, cut)?;
            }
        }

        #[test]
        fn nothing_of_a_secret_survives_encoders_that_take_turns(
            secret in "k[!-%'-Z^-~äÄß€😀/&<>]{7,24}k", turns in proptest::collection::vec(0_usize..10, 32), cut in 0_usize..400,
        ) {
            let repeated: String = secret.chars().zip(&turns).map(|(c, encoder)| written(*encoder, c)).collect();
            survives_nothing(&secret, &repeated, cut)?;
        }
    }

    fn survives_nothing(secret: &str, repeated: &str, cut: usize) -> Result<(), TestCaseError> {
        let text = format!("{{\"t\":\"{repeated}\"}}");
        let expect = format!("{{\"t\":\"{}\"}}", "*".repeat(repeated.len()));
        let mut bytes = text.clone().into_bytes();
        needles(secret).blank(&mut bytes);
        prop_assert_eq!(String::from_utf8_lossy(&bytes), expect.as_str(), "{} as {}", secret, repeated);
        prop_assert_eq!(needles(secret).name(&text), "{\"t\":\"(secret s)\"}");
        let (first, second) = text.as_bytes().split_at(cut.min(text.len()));
        let mut body = Blanked::new((), Arc::new(needles(secret)));
        let mut read = [body.certain(first), body.certain(second)].concat();
        body.needles.blank(&mut body.held);
        read.extend_from_slice(&body.held);
        prop_assert_eq!(String::from_utf8_lossy(&read), expect.as_str(), "{} as {}, cut at {}", secret, repeated, cut);
        Ok(())
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
