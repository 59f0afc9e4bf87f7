//! What becomes of a request with placeholders in it: `{NAME}` in these tests stands for the placeholder of `NAME`.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use serde_json::json;
use url::Url;

use super::{Errand, Wire};
use crate::egress::Origin;
use crate::sender::failure::SecretUse;
use crate::sender::secrets::Secrets;
use crate::sender::secrets::tests::{config, declared};

const ID: &str = "0193c2f0-7d11-7000-8000-00000000002a";

/// A request, and a sender with secrets.
struct Asked {
    wire: Wire,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn given(secrets: &Secrets, text: &str) -> String {
    let config = config(secrets, &json!({}));
    let names = config["secrets"].as_object().unwrap();
    names
        .iter()
        .fold(text.to_owned(), |text, (name, shown)| text.replace(&format!("{{{name}}}"), shown.as_str().unwrap()))
}

fn asked(values: &[(&str, &str)], section: &str, uses: &[SecretUse]) -> Asked {
    let wire = Wire::new(Arc::new(declared(values, section)), uses);
    Asked { wire, url: "https://a.example/".to_owned(), headers: Vec::new(), body: String::new() }
}

impl Asked {
    fn at(self, url: &str) -> Self {
        Self { url: given(&self.wire.secrets, url), ..self }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, given(&self.wire.secrets, value)));
        self
    }

    fn saying(self, body: &str) -> Self {
        Self { body: given(&self.wire.secrets, body), ..self }
    }

    fn filled(&self) -> Result<(Parts, Bytes), String> {
        let url = Url::parse(&self.url).unwrap();
        let to = Origin::of(&url).unwrap();
        let mut request = http::Request::post(&self.url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let errand = Errand { url: &url, to: &to, id: Some(ID), now: 1_614_265_330_999, body_bytes: 100 };
        let body = self.wire.fill(&mut parts, Bytes::from(self.body.clone()), errand).map_err(|refusal| refusal.0)?;
        Ok((parts, body))
    }

    #[track_caller]
    fn is_refused(&self, why: &str) {
        assert_eq!(self.filled().map(|(parts, _)| parts.uri), Err(why.to_owned()));
    }

    #[track_caller]
    fn has_header(&self, name: &str, expect: Option<&str>) {
        let (parts, _) = self.filled().unwrap();
        assert_eq!(parts.headers.get(name).map(|value| value.to_str().unwrap()), expect, "{name}");
    }
}

/// What becomes of a URL with one secret.
#[track_caller]
fn check(value: &str, url: &str, expect: Result<&str, &str>) {
    let filled = asked(&[("s", value)], "", &[]).at(url).filled();
    let target = filled.map(|(parts, _)| parts.uri.path_and_query().unwrap().as_str().to_owned());
    assert_eq!(target.as_deref().map_err(String::as_str), expect, "{value} in {url}");
}

#[test]
fn a_value_in_a_url_is_one_piece_of_it_whatever_it_holds() {
    check("a b/ü", "https://a.example/x/{s}?q={s}", Ok("/x/a%20b%2F%C3%BC?q=a%20b%2F%C3%BC"));
    check("x/../../y", "https://a.example/b/{s}/z", Ok("/b/x%2F..%2F..%2Fy/z"));
    check("@evil.example", "https://a.example/{s}", Ok("/%40evil.example"));
    let encoded = |colon: &str| format!("a%3Fb%23c%26d%3D%0D%0AHost{colon}%20e");
    let both = format!("/{}?q={}", encoded(":"), encoded("%3A"));
    check("a?b#c&d=\r\nHost: e", "https://a.example/{s}?q={s}", Ok(&both));
    check("123:AB-c", "https://a.example/bot{s}/send", Ok("/bot123:AB-c/send"));
    check("x:y", "https://a.example/{s}", Ok("/x:y"));
    check("t", "https://a.example/plain?x", Ok("/plain?x"));
}

#[test]
fn a_value_that_would_be_a_step_of_the_path_is_refused() {
    let refused = Err("a secret would change where the request goes: it may be no step of a path");
    for value in ["..", "."] {
        check(value, "https://a.example/a/{s}/b", refused);
        check(value, "https://a.example/a/{s}", refused);
        check(value, "https://a.example/a?q={s}", Ok(&format!("/a?q={value}")));
    }
    check(".", "https://a.example/a/.{s}/b", refused);
}

#[test]
fn a_whole_url_goes_out_as_it_is_and_only_to_its_own_origin() {
    let hook = "https://chat.example/api/1/t%2Fk?thread=7";
    check(hook, "{s}", Ok("/api/1/t%2Fk?thread=7"));
    check(hook, "{s}/messages/9?wait=true", Ok("/api/1/t%2Fk/messages/9?thread=7&wait=true"));
    check("https://chat.example/", "{s}", Ok("/"));
    let elsewhere = asked(&[("s", hook)], "", &[]);
    let placeholder = given(&elsewhere.wire.secrets, "{s}").replace("https://chat.example/", "");
    elsewhere
        .at(&format!("https://a.example/{placeholder}"))
        .is_refused("secrets.s may not go to https://a.example: add origins = [\"https://a.example\"] to it");
}

#[test]
fn a_secret_goes_only_where_it_may() {
    let section = "config = { urls = [\"https://B.example/bot${secret:token}/x\"] }";
    let why = "secrets.token may not go to https://a.example: add origins = [\"https://a.example\"] to it";
    asked(&[("token", "xoxb")], section, &[]).with("authorization", "{token}").is_refused(why);
    let there = asked(&[("token", "xoxb")], section, &[]).at("https://b.example/").with("authorization", "{token}");
    there.has_header("authorization", Some("xoxb"));
    let section = "secrets.token.origins = [\"https://b.example\"]";
    asked(&[("token", "xoxb")], section, &[]).at("https://a.example/{token}").is_refused(why);
}

#[test]
fn a_value_in_a_header_is_sensitive_and_cannot_begin_another() {
    let token = asked(&[("token", "xoxb")], "", &[]).with("authorization", "Bearer {token}").with("x-plain", "p");
    token.has_header("authorization", Some("Bearer xoxb"));
    assert!(token.filled().unwrap().0.headers["authorization"].is_sensitive());
    asked(&[("line", "a\r\nX-Evil: b")], "", &[])
        .with("authorization", "{line}")
        .is_refused("a secret has a line end or a control character and cannot stand in a header");
}

#[test]
fn pieces_of_a_placeholder_are_nothing() {
    let asked = asked(&[("token", "xoxb")], "", &[]);
    let whole = given(&asked.wire.secrets, "{token}");
    let (first, second) = whole.split_at(10);
    let halves = Asked { headers: vec![("x-a", first.to_owned()), ("x-b", second.to_owned())], ..asked };
    halves.has_header("x-a", Some(first));
    halves.has_header("x-b", Some(second));
}

#[test]
fn a_body_is_filled_only_where_that_is_said() {
    let why = "secrets.key may not stand in body: add in = [\"body\"] to it";
    asked(&[("key", "k\"1")], "", &[]).saying("{\"key\":\"{key}\"}").is_refused(why);
    let said = || asked(&[("key", "k\" &1")], "secrets.key.in = [\"body\"]", &[]).with("content-length", "60");
    let body = |kind: &str, body: &str| {
        let asked = Asked { headers: [said().headers, vec![("content-type", kind.to_owned())]].concat(), ..said() };
        let (parts, body) = asked.saying(body).filled().unwrap();
        assert!(!parts.headers.contains_key("content-length"), "it is counted anew");
        String::from_utf8(body.to_vec()).unwrap()
    };
    assert_eq!(body("application/json; charset=utf-8", "[\"{key}\",\"{key}\"]"), r#"["k\" &1","k\" &1"]"#);
    assert_eq!(body("application/x-www-form-urlencoded", "a={key}&b=1"), "a=k%22%20%261&b=1");
    assert_eq!(body("text/plain", "{key}"), "k\" &1");
    said()
        .with("authorization", "{key}")
        .is_refused("secrets.key may not stand in header: add in = [\"header\"] to it");
    asked(&[("key", &"k".repeat(101))], "secrets.key.in = [\"body\"]", &[])
        .saying("{key}")
        .is_refused("with its secrets the body is longer than a plugin may send");
    assert_eq!(said().saying("plain").filled().unwrap().1, "plain");
}

#[test]
fn standard_webhooks_are_signed_as_their_specification_signs_them() {
    // The example of the specification's own libraries.
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let body = "{\"test\": 2432232314}";
    let asked = asked(&[("signing", key)], "", &[])
        .with("mag-sign", "standard-webhooks; secret=signing")
        .with("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
        .with("webhook-signature", "the guest's own")
        .saying(body);
    let (parts, _) = asked.filled().unwrap();
    assert_eq!(parts.headers["webhook-timestamp"], "1614265330");
    assert_eq!(parts.headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert!(!parts.headers.contains_key("mag-sign"));
}

#[test]
fn a_notification_that_names_no_id_of_its_own_is_signed_under_its_id() {
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let two = format!("{key} {key}");
    let asked = asked(&[("signing", &two)], "", &[]).with("mag-sign", "standard-webhooks;secret=signing").saying("b");
    asked.has_header("webhook-id", Some(ID));
    let (parts, _) = asked.filled().unwrap();
    let signatures: Vec<&str> = parts.headers["webhook-signature"].to_str().unwrap().split(' ').collect();
    assert!(signatures.len() == 2 && signatures[0] == signatures[1], "one for each key: {signatures:?}");
}

#[test]
fn a_hash_is_written_as_the_service_wants_it() {
    // GitHub's own example.
    let asked = || asked(&[("s", "It's a Secret to Everybody")], "", &[]).saying("Hello, World!");
    let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let base64 = "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=";
    let sign = |rest: &str, header: &str, expect: &str| {
        let mut asked = asked();
        asked.headers.push(("mag-sign", format!("hmac-sha256; secret=s; header={rest}")));
        asked.has_header(header, Some(expect));
        assert!(asked.filled().unwrap().0.headers[header].is_sensitive());
    };
    sign("X-Hub-Signature-256; prefix=sha256=", "x-hub-signature-256", &format!("sha256={hex}"));
    sign("X-Signature; encoding=base64", "x-signature", base64);
    sign("X-Signature; encoding=hex", "x-signature", hex);
}

#[test]
fn a_password_is_put_into_basic_by_the_host() {
    let asked = asked(&[("password", "pä:ss"), ("user", "SK1")], "", &[]);
    let basic = |value: &str| {
        let wire = Wire::new(Arc::clone(&asked.wire.secrets), &[]);
        Asked { wire, url: asked.url.clone(), headers: Vec::new(), body: String::new() }.with("mag-basic", value)
    };
    basic("ann; secret=password").has_header("authorization", Some("Basic YW5uOnDDpDpzcw=="));
    basic("{user}; secret=password").has_header("authorization", Some("Basic U0sxOnDDpDpzcw=="));
    basic("ann; secret=password").has_header("mag-basic", None);
    basic("a:b; secret=password").is_refused("mag-basic: a user has no colon and no control character");
    basic("ann; secret=other").is_refused("it asks for secrets.other, which there is not");
}

#[test]
fn what_mag_cannot_sign_does_not_leave() {
    let sign = |value: &str| asked(&[("s", "no key"), ("smtp_password", "p")], "", &[]).with("mag-sign", value);
    let forms = "mag-sign: expected `standard-webhooks; secret=NAME` or `hmac-sha256; secret=NAME; header=NAME`, \
                 with `prefix=TEXT` and `encoding=hex` or `base64` if need be";
    for wrong in [
        "",
        "md5; secret=s",
        "standard-webhooks",
        "hmac-sha256; secret=s",
        "hmac-sha256; secret=s; header=a; x=y",
        "hmac-sha256; secret=s; header=a b",
        "hmac-sha256; secret=s; header=a; encoding=bse64",
        "standard-webhooks; secret=s; header=a",
    ] {
        sign(wrong).is_refused(forms);
    }
    sign("hmac-sha256; secret=s; header=Content-Length").is_refused("mag-sign: no signature stands in content-length");
    sign("standard-webhooks; secret=smtp_password").is_refused("it asks for secrets.smtp_password, which there is not");
    sign("standard-webhooks; secret=s")
        .is_refused("secrets.s is no key of Standard Webhooks: it must be `whsec_` and base64, as the receiver shows it; several with spaces between");
    asked(&[("s", "k")], "secrets.s.in = [\"header\"]", &[])
        .with("mag-sign", "hmac-sha256; secret=s; header=x")
        .is_refused("secrets.s may not stand in sign: add in = [\"sign\"] to it");
    let uses =
        SecretUse { name: "s".to_owned(), required: false, uses: vec!["sign".to_owned()], description: String::new() };
    asked(&[("s", "k")], "", &[uses])
        .with("authorization", "{s}")
        .is_refused("secrets.s may not stand in header: add in = [\"header\"] to it");
}
