//! Holds the README to the example that is compiled, and the example to what it promises.

use mag_plugin_sdk::testing::{FakeHttp, group, notification};
use mag_plugin_sdk::{FailureKind, adapter};

#[expect(unreachable_pub, reason = "the example is a crate of its own, where `pub` is right")]
#[path = "../examples/chat.rs"]
mod chat;

#[test]
fn the_readme_shows_the_example_that_is_compiled() {
    let example = include_str!("../examples/chat.rs");
    let (_heading, code) = example.split_once("\n\n").expect("the example has a heading");
    assert!(include_str!("../README.md").contains(code.trim_end()), "README.md and examples/chat.rs differ");
}

#[test]
fn the_example_tells_a_message() {
    let http = FakeHttp::answering(200, "");
    let config = r#"{"url":"https://chat.example.org/rooms/7","secrets":{"token":"PLACEHOLDER"}}"#;
    let told = notification(vec![group("disk full", 30)]);
    adapter::send::<chat::Chat>(config, b"", &told, &http, 0).expect("it was taken");
    let [request] = http.requests().try_into().expect("one request");
    assert_eq!(request.body, br#"{"text":"Message \"disk full\" was repeated 30 time(s)."}"#);
    assert_eq!(request.header_value("authorization"), Some("Bearer PLACEHOLDER"));
    let origins = adapter::validate::<chat::Chat>(config).expect("a good config");
    assert_eq!(origins.first().map(|egress| egress.origin.as_str()), Some("https://chat.example.org"));
}

#[test]
fn the_example_says_what_it_is_and_what_it_does_not_take() {
    let manifest = adapter::describe::<chat::Chat>();
    let schema: serde_json::Value = serde_json::from_str(&manifest.config_schema).expect("a schema is JSON");
    assert_eq!((manifest.name.as_str(), &schema["required"][0]), ("chat", &serde_json::json!("url")));
    let failure = adapter::send::<chat::Chat>("{}", b"", &notification(vec![group("x", 1)]), &FakeHttp::default(), 0);
    assert_eq!(failure.expect_err("url is missing").kind, FailureKind::Misconfigured);
}
