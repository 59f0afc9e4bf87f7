//! Bundled plugins conform, and what does not is told so.

use std::path::PathBuf;

use super::{Outcome, Part, Report, Script, Subject, run};
use crate::config::Plugin;
use crate::sender;

fn cache() -> Option<PathBuf> {
    Some(std::env::temp_dir().join("mag-test-plugins"))
}

async fn bundled(name: &str, script: Script) -> Report {
    let subject = Subject { plugin: Plugin::Bundled(name.to_owned()), script, cache_dir: cache() };
    Box::pin(run(&subject)).await.unwrap()
}

fn outcome(report: &Report, name: &str) -> (Outcome, String) {
    let check = report.checks.iter().find(|check| check.name == name);
    check.map(|check| (check.result, check.told.clone())).unwrap_or_else(|| panic!("no check {name} in {report:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_means_otherwise_its_script_may_say() {
    let webhook = "[config]\nurl = \"https://hooks.example.org/x\"\n";
    let script = Script::parse(&format!("{webhook}[expect]\n\"404\" = \"retry\""), "x").unwrap();
    let report = bundled("webhook", script).await;
    assert_eq!(outcome(&report, "404"), (Outcome::Wrong, "misconfigured".to_owned()));
    assert!(!report.conforms, "the script asks for what the plugin does not do");
    assert!(report.text().contains("WRONG    404") && report.text().contains("does not conform"), "{}", report.text());
    assert_eq!(outcome(&report, "no connection"), (Outcome::Ok, "retry".to_owned()));
    assert_eq!(report.origins, ["https://hooks.example.org"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_of_the_provider_alone_goes_to_the_requests_that_it_names() {
    let text = sender::bundled_conformance("slack").unwrap().to_owned()
        + "\n[[cases]]\nname = \"elsewhere\"\nexpect = \"permanent\"\nanswer = { path = \"/api/nowhere\", status = 400 }";
    let report = bundled("slack", Script::parse(&text, "x").unwrap()).await;
    assert_eq!(outcome(&report, "elsewhere"), (Outcome::Wrong, "delivered".to_owned()));
    assert!(report.checks.iter().any(|check| check.part == Part::Living && check.result == Outcome::Ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_asks_nobody_has_no_answers_to_judge() {
    let report = bundled("console", Script::default()).await;
    assert_eq!(outcome(&report, "404").0, Outcome::Skipped);
    assert!(report.conforms, "{}", report.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_that_the_plugin_does_not_take_is_said_before_anything_is_tried() {
    let subject =
        Subject { plugin: Plugin::Bundled("webhook".to_owned()), script: Script::default(), cache_dir: cache() };
    let error = Box::pin(run(&subject)).await.unwrap_err().to_string();
    assert!(error.contains("url") && error.contains("conformance.toml"), "{error}");
}
