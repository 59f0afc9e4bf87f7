//! CloudEvents by curl, in both modes: the second of two equal events is known by its id.

use serde_json::json;

use super::support::{Mag, Receiver, curl};

#[test]
fn an_event_in_either_mode_is_told_once() {
    let receiver = Receiver::start();
    let url = receiver.url("/");
    let mag = Mag::with(&format!(
        "[route]\nmax_messages = 2\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    ));
    let events = format!("http://{}/api/v1/events", mag.address());
    let header = |text: &'static str| ["--header", text];
    let binary = [
        header("ce-specversion: 1.0"),
        header("ce-type: order.failed"),
        header("ce-source: /shop"),
        header("ce-id: 1"),
        header("Content-Type: application/json"),
        ["--data", r#"{"message":"cannot pay","level":"error"}"#],
    ];
    let structured = [
        header("Content-Type: application/cloudevents+json"),
        [
            "--data",
            r#"{"specversion":"1.0","type":"order.failed","source":"/shop","id":"2","data":{"message":"cannot pay","level":"error"}}"#,
        ],
    ];
    let accepted = Some("{\"accepted\":1,\"errors\":[]}\n".to_owned());
    for _ in 0..2 {
        let told = curl("http", &[&[events.as_str()], binary.as_flattened()].concat());
        if told.is_none() {
            return;
        }
        assert_eq!(told, accepted);
    }
    assert_eq!(curl("http", &[&[events.as_str()], structured.as_flattened()].concat()), accepted);
    let group = &receiver.request(1).json()["groups"][0];
    assert_eq!((&group["text"], &group["count"], &group["source"]), (&json!("cannot pay"), &json!(2), &json!("/shop")));
    assert_eq!((&group["severity"], &group["labels"]["type"]), (&json!("error"), &json!("order.failed")));
    mag.stops();
}
