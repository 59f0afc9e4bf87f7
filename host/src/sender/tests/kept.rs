//! Plugins as they were compiled for each released contract, which every later host must run as they are.

use super::*;
use crate::sender::{Delivered, FailureKind};

fn kept(version: &str, name: &str) -> Plugin {
    let path = format!("{}/../tests/data/plugins/{version}/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    Plugin::Path(path.into())
}

/// A sender of a kept plugin with this config, started.
async fn started(version: &str, name: &str, config: serde_json::Value) -> Result<Started, StartError> {
    let own = config::Sender { config, ..sender(kept(version, name)) };
    load(&host(), &own).unwrap_or_else(|error| panic!("{version}/{name}: {error}")).start().await
}

#[tokio::test]
async fn every_export_of_a_plugin_for_1_0_0_works() {
    let still = started("1.0.0", "still", json!({})).await.unwrap();
    let manifest = still.manifest();
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("still", "1.0.0"));
    assert_eq!((manifest.max_groups, manifest.overflow), (Some(7), crate::sender::Overflow::Split));
    let prepared = still.prepare().await.unwrap();
    assert_eq!((prepared.state.as_slice(), prepared.valid_for), (&b"signed in"[..], Some(Duration::from_secs(60))));
    let told = still.send(&prepared.state, &notification()).await.unwrap();
    let Delivered { receipt, updated_in_place } = told;
    let receipt = String::from_utf8(receipt.expect("a receipt")).unwrap();
    assert!(receipt.starts_with("signed in|1|"), "{receipt}");
    assert!(!updated_in_place);
}

#[tokio::test]
async fn what_a_plugin_for_1_0_0_refuses_and_what_fails_in_it_is_understood() {
    let wrong = started("1.0.0", "still", json!({ "wrong": 1 })).await.unwrap_err();
    let StartError::Config { mistakes, .. } = wrong else { panic!("{wrong}") };
    assert_eq!((mistakes[0].pointer.as_str(), mistakes[0].message.as_str()), ("/wrong", "this is wrong"));
    let away = started("1.0.0", "still", json!({ "away": 1 })).await.unwrap();
    let failure = away.prepare().await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Retry, "still"));
    let mut later = notification();
    later.groups[0].text = "later".to_owned();
    let still = started("1.0.0", "still", json!({})).await.unwrap();
    let failure = still.send(b"s", &later).await.unwrap_err();
    assert_eq!((failure.kind, failure.after), (FailureKind::RateLimited, Some(Duration::from_secs(90))));
    assert!(failure.progress.is_some_and(|progress| progress.starts_with(b"s|1|later|")));
}

#[tokio::test]
async fn a_plugin_for_1_0_0_posts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let post = started("1.0.0", "post", json!({ "url": url })).await.unwrap();
    let receiving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let title = notification().title;
        while !request.ends_with(title.as_bytes()) {
            let mut part = [0; 4096];
            let read = stream.read(&mut part).await.unwrap();
            assert_ne!(read, 0, "{}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&part[..read]);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8(request).unwrap().to_ascii_lowercase()
    });
    let prepared = post.prepare().await.unwrap();
    post.send(&prepared.state, &notification()).await.unwrap();
    let request = receiving.await.unwrap();
    assert!(request.starts_with("post /hook http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("idempotency-key: {}\r\n", notification().id.to_ascii_lowercase())), "{request}");
}

#[tokio::test]
async fn a_plugin_for_a_later_contract_that_only_adds_to_this_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later.wasm");
    std::fs::write(&path, Guest::default().build_for("1.1.0")).unwrap();
    let later = load(&host(), &sender(Plugin::Path(path))).unwrap().start().await.unwrap();
    later.send(&[], &notification()).await.unwrap();
}

#[test]
fn a_plugin_for_another_major_contract_hears_which_one_it_wants() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.wasm");
    std::fs::write(&path, Guest::default().build_for("2.0.0")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(async { load(&host(), &sender(Plugin::Path(path))).unwrap_err().to_string() });
    assert!(error.contains("made for another contract, mag:sender/sender@2.0.0, and this mag serves"), "{error}");
}
