//! What is said about alerts is kept with what is told of them.

use super::*;

const ROUTES: &[(&str, &[&str])] = &[("root", &["team"])];

fn said(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

fn alert(text: &str, pairs: &[(&str, &str)]) -> Group {
    Group { annotations: said(pairs), ..group("root", text, 1) }
}

const BOTH: &[(&str, &str)] = &[("description", "97 %"), ("runbook_url", "https://example.org/\"disk\"")];

#[tokio::test]
async fn what_is_said_is_told_on_every_attempt_after_a_restart_and_by_a_fallback() {
    let (_folder, path) = file();
    let rig = Rig::open(Some(&path), ROUTES, &["team", "mail"]);
    rig.close(vec![alert("under way", BOTH)]).await;
    let frozen = rig.next("team").await.expect("something waits");
    assert_eq!(frozen.groups[0].annotations, said(BOTH));
    rig.finish(&frozen, backoff()).await;
    rig.close(vec![alert("waits", BOTH)]).await;
    rig.stop();
    let rig = Rig::open(Some(&path), ROUTES, &["team", "mail"]);
    assert_eq!(rig.recovered.deliveries[0].groups[0].annotations, said(BOTH));
    let (sender, fallback) = ("team".to_owned(), "mail".to_owned());
    let escalation = Escalation { sender, fallback, code: "http-500".to_owned(), error: "no".to_owned() };
    assert_eq!(rig.store.escalate(escalation).await.expect("the store runs"), 1);
    let copy = rig.next("mail").await.expect("a copy");
    assert_eq!(copy.groups.iter().map(|group| group.annotations.clone()).collect::<Vec<_>>(), [said(BOTH), said(BOTH)]);
    assert_eq!(rig.next("team").await.expect("it waited").groups[0].annotations, said(BOTH));
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn windows_that_wait_together_say_what_is_said_of_both() {
    let rig = Rig::open(None, ROUTES, &["team"]);
    rig.close(vec![alert("a", BOTH), alert("b", BOTH)]).await;
    rig.close(vec![alert("a", &[("description", "98 %"), BOTH[1]])]).await;
    let told = rig.next("team").await.expect("something waits");
    let said_of = |text: &str| told.groups.iter().find(|group| group.text == text).map(|g| g.annotations.clone());
    assert_eq!((said_of("a"), said_of("b")), (Some(said(&BOTH[1..])), Some(said(BOTH))));
    rig.stop();
}

#[tokio::test]
async fn a_group_of_the_longest_words_fits_into_a_notification() {
    let pair = |n: usize, bytes: usize| (format!("{n:0>width$}", width = limits::LABEL_NAME_BYTES), "x".repeat(bytes));
    let labels = Labels::new((0..limits::LABELS).map(|n| pair(n, limits::LABEL_VALUE_BYTES)).collect());
    let each = limits::ANNOTATIONS_BYTES / limits::LABELS - limits::LABEL_NAME_BYTES;
    let annotations = Labels::new((0..limits::LABELS).map(|n| pair(n, each)).collect());
    let samples = vec!["y".repeat(limits::SAMPLE_BYTES); limits::SAMPLES];
    let text = "x".repeat(limits::TEXT_BYTES);
    let group = Group { labels, annotations, samples, ..group("root", &text, 1) };
    let rig = Rig::open(None, ROUTES, &["team"]);
    rig.close(vec![group]).await;
    let told = rig.next("team").await.expect("something waits");
    let pairs = told.groups[0].labels.iter().chain(told.groups[0].annotations.iter());
    let bytes: usize = pairs.map(|(name, value)| name.len() + value.len() + 16).sum();
    assert!(bytes + limits::TEXT_BYTES + limits::SAMPLES * limits::SAMPLE_BYTES < limits::NOTIFICATION_BYTES);
    rig.stop();
}
