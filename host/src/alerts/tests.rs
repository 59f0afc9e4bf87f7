//! What counts, what does not, and when an alert is over.

use super::*;
use crate::message::{ALERT_KIND, OwnPosted};

const NOON: Millis = 1_700_000_000_000;
const MINUTE: Duration = Duration::from_secs(60);

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

fn posted(host: &str, starts: Option<Millis>, ends: Ends) -> OwnPosted {
    let message = Message {
        text: "disk full".to_owned(),
        kind: ALERT_KIND.into(),
        severity: None,
        labels: labels(&[("alertname", "DiskFull"), ("host", host)]),
        source: "10.0.0.1".into(),
    };
    OwnPosted { message, annotations: Labels::default(), generator: String::new(), starts, ends }
}

/// Alerts and the time, which both clocks share.
struct Rig {
    alerts: Alerts,
    now: Millis,
    at: Instant,
}

impl Rig {
    fn with(bounds: Bounds) -> Self {
        Self { alerts: Alerts::new(bounds), now: NOON, at: Instant::now() }
    }

    fn new() -> Self {
        Self::with(Bounds::default())
    }

    fn decide(&mut self, posted: &OwnPosted) -> Verdict {
        self.alerts.take(posted.view(), &posted.message.source, self.now, self.at)
    }

    fn take(&mut self, posted: &OwnPosted) -> &'static str {
        match self.decide(posted) {
            Verdict::Fires { .. } => "fires",
            Verdict::Fired(_) => "fired",
            Verdict::Over(_) => "over",
            Verdict::Unknown => "unknown",
            Verdict::NoRoom(_) => "no room",
        }
    }

    fn pass(&mut self, time: Duration) -> usize {
        self.now += millis(time);
        self.at += time;
        self.alerts.over(self.at).len()
    }
}

#[tokio::test]
async fn an_alert_counts_once_for_its_labels_and_its_beginning() {
    let mut rig = Rig::new();
    let ends = Ends::At(NOON + 240_000);
    assert_eq!(rig.take(&posted("a", Some(NOON), ends)), "fires");
    assert_eq!(rig.take(&posted("a", Some(NOON), ends)), "fired");
    assert_eq!(rig.take(&posted("a", None, Ends::Unsaid)), "fired", "whoever says no beginning means what fires");
    assert_eq!(rig.take(&posted("b", Some(NOON), ends)), "fires");
    assert_eq!(rig.take(&posted("a", Some(NOON + 7), ends)), "fires");
    for _ in 0..3 {
        // Two that watch the same thing and began to at different times.
        assert_eq!(rig.take(&posted("a", Some(NOON), ends)), "fired");
        assert_eq!(rig.take(&posted("a", Some(NOON + 7), ends)), "fired");
    }
    assert_eq!(rig.alerts.len(), 3);
}

#[tokio::test]
async fn an_alert_is_over_when_its_client_says_so() {
    let mut rig = Rig::new();
    assert_eq!(rig.take(&posted("a", Some(NOON), Ends::At(NOON))), "unknown");
    assert_eq!(rig.take(&posted("a", Some(NOON), Ends::Unsaid)), "fires");
    assert_eq!(rig.take(&posted("a", Some(NOON), Ends::At(NOON))), "over");
    assert_eq!(rig.take(&posted("a", Some(NOON), Ends::At(NOON))), "unknown", "it is told over and over");
    assert_eq!(rig.take(&posted("a", Some(NOON), Ends::Unsaid)), "fires", "people were told that it is over");
    assert_eq!(rig.take(&posted("a", Some(NOON + 1), Ends::Unsaid)), "fires");
    let over = rig.decide(&posted("a", None, Ends::At(1)));
    assert!(matches!(over, Verdict::Over(alerts) if alerts.len() == 2), "all of them without a beginning");
    assert!(rig.alerts.is_empty());
}

#[tokio::test]
async fn an_old_end_ends_nothing_that_began_later() {
    let mut rig = Rig::new();
    assert_eq!(rig.take(&posted("a", Some(NOON), Ends::Unsaid)), "fires");
    assert_eq!(rig.take(&posted("a", Some(NOON - 60_000), Ends::At(NOON - 1_000))), "unknown");
    assert_eq!(rig.take(&posted("a", Some(NOON - 7), Ends::At(NOON))), "unknown");
    rig.now += 1_000;
    assert_eq!(
        rig.take(&posted("a", Some(NOON - 7), Ends::At(NOON + 500))),
        "over",
        "another one that watches the same"
    );
}

#[tokio::test]
async fn of_two_that_watch_the_same_one_may_repeat_its_end_while_the_other_goes_on() {
    let mut rig = Rig::new();
    let (one, other) = (posted("a", Some(NOON), Ends::Unsaid), posted("a", Some(NOON + 5), Ends::Unsaid));
    assert_eq!((rig.take(&one), rig.take(&other)), ("fires", "fires"));
    rig.pass(Duration::from_secs(60));
    let end = posted("a", Some(NOON + 5), Ends::At(rig.now));
    assert_eq!(rig.take(&end), "over");
    for _ in 0..3 {
        rig.pass(Duration::from_secs(60));
        assert_eq!((rig.take(&one), rig.take(&end)), ("fired", "unknown"));
    }
}

#[tokio::test]
async fn of_many_that_began_at_different_times_the_oldest_goes() {
    let mut rig = Rig::new();
    for n in 0..limits::ALERT_STARTS as u64 {
        assert_eq!(rig.take(&posted("a", Some(NOON + n), Ends::Unsaid)), "fires");
    }
    let verdict = rig.decide(&posted("a", Some(NOON + 100), Ends::Unsaid));
    assert!(matches!(verdict, Verdict::Fires { replaced: Some(oldest), .. } if oldest.starts == NOON));
    assert_eq!(rig.alerts.len(), limits::ALERT_STARTS);
}

#[tokio::test]
async fn an_alert_that_nobody_posts_again_is_over_after_a_while() {
    let mut rig = Rig::new();
    rig.take(&posted("unsaid", Some(NOON), Ends::Unsaid));
    rig.take(&posted("said", Some(NOON), Ends::At(NOON + 60_000)));
    rig.take(&posted("told", Some(NOON), Ends::Told));
    assert_eq!(rig.pass(Duration::from_millis(59_999)), 0);
    assert_eq!(rig.pass(Duration::from_millis(1)), 1, "when its client said");
    assert_eq!(rig.pass(3 * MINUTE), 0);
    rig.take(&posted("unsaid", Some(NOON), Ends::Unsaid));
    assert_eq!(rig.pass(4 * MINUTE), 0, "it was posted again");
    assert_eq!(rig.pass(MINUTE), 1);
    assert_eq!(rig.pass(6 * 24 * 60 * MINUTE), 0, "whoever tells what is over is believed for long");
    assert_eq!(rig.pass(24 * 60 * MINUTE), 1);
    assert_eq!(rig.alerts.next_end(), None);
}

#[tokio::test]
async fn an_end_that_is_posted_anew_holds_whether_it_is_later_or_earlier() {
    let mut rig = Rig::new();
    rig.take(&posted("a", Some(NOON), Ends::At(NOON + 60_000)));
    assert_eq!(rig.take(&posted("a", Some(NOON), Ends::At(NOON + 600_000))), "fired");
    assert_eq!(rig.pass(MINUTE), 0);
    assert_eq!(rig.alerts.next_end(), Some(rig.at + 9 * MINUTE));
    assert_eq!(rig.take(&posted("a", Some(NOON), Ends::At(NOON + 120_000))), "fired");
    assert_eq!(rig.take(&posted("b", Some(NOON), Ends::At(NOON + 60_001))), "fires");
    rig.alerts.wait(MINUTE);
    assert_eq!(rig.pass(Duration::from_millis(1)), 0, "there was time to post it again");
    assert_eq!(rig.pass(MINUTE), 1);
    assert_eq!(rig.pass(MINUTE), 1);
    assert_eq!((rig.alerts.len(), rig.alerts.next_end()), (0, None));
}

#[tokio::test]
async fn after_a_restart_and_after_a_time_without_taking_in_there_is_time_to_post_again() {
    let mut before = Rig::new();
    before.take(&posted("a", Some(NOON), Ends::At(NOON + 60_000)));
    let (saved, gone) = before.alerts.changes();
    assert_eq!((saved.len(), gone.len(), before.alerts.has_changes()), (1, 0, false));
    let mut rig = Rig::new();
    rig.now += 3_600_000;
    for alert in saved {
        rig.alerts.restore(alert, rig.now, rig.at);
    }
    assert_eq!(rig.pass(4 * MINUTE), 0);
    assert_eq!(rig.take(&posted("a", Some(NOON), Ends::At(rig.now + 60_000))), "fired");
    rig.alerts.wait(2 * MINUTE);
    assert_eq!(rig.pass(2 * MINUTE), 0);
    assert_eq!(rig.pass(MINUTE), 1);
    assert_eq!(rig.take(&posted("b", None, Ends::Unsaid)), "fires");
    let (saved, gone) = rig.alerts.changes();
    assert_eq!((saved[0].n, gone), (2, vec![1]), "rows go on behind those that were there");
}

#[tokio::test]
async fn the_store_hears_of_what_is_new_and_not_of_each_time_that_it_is_posted() {
    let mut rig = Rig::new();
    rig.take(&posted("a", Some(NOON), Ends::At(NOON + 240_000)));
    drop(rig.alerts.changes());
    rig.now += 30_000;
    rig.take(&posted("a", Some(NOON), Ends::At(NOON + 270_000)));
    assert!(!rig.alerts.has_changes());
    rig.now += 30_000;
    rig.take(&posted("a", Some(NOON), Ends::At(NOON + 300_000)));
    assert_eq!(rig.alerts.changes().0[0].ends, NOON + 300_000);
    let annotations = labels(&[("summary", "now 97 %")]);
    rig.take(&OwnPosted { annotations: annotations.clone(), ..posted("a", Some(NOON), Ends::At(NOON + 300_000)) });
    assert_eq!(rig.alerts.changes().0[0].annotations, annotations);
}

#[tokio::test]
async fn what_finds_no_room_is_not_kept() {
    let mut rig = Rig::with(Bounds { alerts: 2, ..Bounds::default() });
    assert_eq!(rig.take(&posted("a", None, Ends::Unsaid)), "fires");
    assert_eq!(rig.take(&posted("b", None, Ends::Unsaid)), "fires");
    assert_eq!(rig.take(&posted("c", None, Ends::Unsaid)), "no room");
    assert_eq!(rig.take(&posted("b", None, Ends::Unsaid)), "fired");
    assert_eq!(rig.take(&posted("a", None, Ends::At(1))), "over");
    assert_eq!(rig.take(&posted("c", None, Ends::Unsaid)), "fires");
    let mut large = Rig::with(Bounds { alerts: usize::MAX, ..Bounds::default() });
    let text = "x".repeat(8 * 1024 * 1024);
    let with_text = |host: &str| {
        let small = posted(host, None, Ends::Unsaid);
        OwnPosted { message: Message { text: text.clone(), ..small.message }, ..small }
    };
    let taken: Vec<_> = (0..9).map(|n| large.take(&with_text(&n.to_string()))).collect();
    assert_eq!((taken[6], taken[8]), ("fires", "no room"), "so many bytes in all");
}

#[test]
fn a_fingerprint_is_the_one_that_alertmanager_shows() {
    assert_eq!(fingerprint(&Labels::default()), "cbf29ce484222325");
    assert_eq!(fingerprint(&labels(&[("severity", "page"), ("alertname", "Always")])), "abc866895e782c1f");
}
