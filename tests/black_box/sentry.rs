//! Sentry's Python SDK, with a DSN that points to mag.

use serde_json::json;

use super::support::{Home, Python, Receiver};

const PROGRAM: &str = r#"
import os, sentry_sdk
sentry_sdk.init(dsn=os.environ["DSN"], release="shop@2", environment="prod", server_name="web-1", debug=True)
sentry_sdk.set_tag("site", "eu")

def checkout():
    return {}["price"]

for _ in range(2):
    try:
        checkout()
    except KeyError as error:
        sentry_sdk.capture_exception(error)
sentry_sdk.capture_message("queue is long", level="warning")
sentry_sdk.flush(30)
"#;

const CONFIG: &str = r#"
[[listen]]
address = "127.0.0.1:0"
protocol = "http"
token = { file = "token" }

[route]
group_by = ["text"]
max_messages = 2
senders = ["hook"]

[[route.routes]]
match = ['severity="warning"']
max_messages = 1

[senders.hook]
plugin = "webhook"
"#;

#[test]
fn the_python_sdk_tells_exceptions_and_messages() {
    let Some(python) = Python::with("sentry_sdk") else { return };
    let receiver = Receiver::start();
    let config = format!("{CONFIG}config = {{ url = \"{}\" }}\n", receiver.url("/"));
    let mag = Home::with(&config).file("token", b"public").start();
    let dsn = |key: &str| format!("http://{key}@{}/1", mag.address());
    let said = python.runs(PROGRAM, &[("DSN", &dsn("wrong"))]);
    assert!(said.contains("401"), "the SDK says in its debug log what it was answered: {said}");
    python.runs(PROGRAM, &[("DSN", &dsn("public"))]);
    let groups = receiver.gets("two notifications", |all| {
        let groups: Vec<_> =
            all.iter().flat_map(|told| told.json()["groups"].as_array().cloned().unwrap_or_default()).collect();
        (groups.len() == 2).then_some(groups)
    });
    let group = |severity: &str| groups.iter().find(|group| group["severity"] == severity).cloned().unwrap_or_default();
    let raised = group("error");
    assert_eq!(
        (&raised["text"], &raised["count"], &raised["source"]),
        (&json!("KeyError: 'price'"), &json!(2), &json!("web-1"))
    );
    let labels = &raised["labels"];
    for (name, value) in [("release", "shop@2"), ("environment", "prod"), ("site", "eu"), ("platform", "python")] {
        assert_eq!(labels[name], value, "{labels}");
    }
    assert_eq!(labels["culprit"], "checkout (<string>:7)");
    let told = group("warning");
    assert_eq!((&told["text"], &told["count"]), (&json!("queue is long"), &json!(1)));
    mag.stops();
}
