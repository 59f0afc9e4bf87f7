//! What is said about alerts reaches whoever is told of them.

use super::*;

fn says(name: &str, host: &str, said: &[(&str, &str)], ends: Ends) -> OwnPosted {
    OwnPosted { annotations: pairs(said), ..posted(name, host, ends) }
}

fn pairs(said: &[(&str, &str)]) -> Labels {
    Labels::new(said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

const RUNBOOK: (&str, &str) = ("runbook_url", "https://example.org/disk");
const AT_97: &[(&str, &str)] = &[("description", "97 %"), RUNBOOK];
const AT_98: &[(&str, &str)] = &[("description", "98 %"), RUNBOOK];

impl Rig {
    async fn told_and_said(&self) -> (u64, Reason, Labels) {
        let group = self.told("console").await.groups.remove(0);
        (group.count, group.reason, group.annotations)
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_last_said_about_an_alert_is_told_when_its_window_closes_and_when_it_is_over() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(30), &path);
    rig.posts(vec![says("Disk", "a", AT_97, Ends::Unsaid)]).await;
    rig.posts(vec![says("Disk", "a", AT_98, Ends::Unsaid)]).await;
    rig.pass(Duration::from_secs(30)).await;
    assert_eq!(rig.told_and_said().await, (1, Reason::Time, pairs(AT_98)));
    rig.posts(vec![says("Disk", "a", AT_97, Ends::Unsaid)]).await;
    rig.posts(vec![says("Disk", "a", AT_98, OVER)]).await;
    assert_eq!(rig.told_and_said().await, (0, Reason::Resolved, pairs(AT_97)), "as it was while it fired");
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn of_several_alerts_is_said_what_is_said_of_all_that_are_told() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(2), &path);
    rig.posts(vec![says("Disk", "a", AT_97, Ends::Unsaid), says("Disk", "b", AT_98, Ends::Unsaid)]).await;
    assert_eq!(rig.told_and_said().await, (2, Reason::Count, pairs(&[RUNBOOK])));
    rig.posts(vec![says("Disk", "c", AT_98, Ends::Unsaid), says("Disk", "d", AT_98, Ends::Unsaid)]).await;
    assert_eq!(rig.told_and_said().await, (2, Reason::Count, pairs(AT_98)), "those of before were told");
    rig.posts(["a", "b", "c", "d"].map(|host| says("Disk", host, &[], OVER)).to_vec()).await;
    assert_eq!(rig.told_and_said().await, (0, Reason::Resolved, pairs(&[RUNBOOK])));
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_goes_on_after_a_restart_whether_alerts_fire_or_are_over() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(30), &path);
    rig.posts(vec![says("Disk", "a", AT_97, Ends::Unsaid)]).await;
    rig.posts(vec![says("Link", "a", AT_98, Ends::Unsaid)]).await;
    rig.posts(vec![posted("Link", "a", OVER)]).await;
    rig.stop().await;
    let rig = Rig::start(&by_name(30), &path);
    rig.pass(Duration::from_secs(30)).await;
    let mut told: Vec<_> = rig.told("console").await.groups;
    told.sort_by(|a, b| a.text.cmp(&b.text));
    let said: Vec<_> = told.iter().map(|group| (group.text.as_str(), group.annotations.clone())).collect();
    assert_eq!(said, [("Disk on a", pairs(AT_97)), ("Link on a", pairs(AT_98))]);
    assert_eq!(rig.told_and_said().await, (0, Reason::Resolved, pairs(AT_98)));
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn what_fires_anew_in_an_open_window_is_told_with_what_was_said_both_times() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(2), &path);
    rig.posts(vec![says("Disk", "a", AT_97, Ends::Unsaid)]).await;
    rig.posts(vec![posted("Disk", "a", OVER)]).await;
    rig.posts(vec![says("Disk", "a", AT_98, Ends::Unsaid)]).await;
    assert_eq!(rig.told_and_said().await, (2, Reason::Count, pairs(&[RUNBOOK])));
    rig.stop().await;
    balanced(&path);
}
