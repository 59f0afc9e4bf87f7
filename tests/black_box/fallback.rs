//! What one sender cannot tell, another one tells.

use super::support::{Answer, Home, Mag, Receiver, classic};

fn config(broken: &str, mail: &Receiver) -> String {
    format!(
        "[route]\nmax_messages = 2\nsenders = [\"team\"]\n[senders.team]\n{broken}\nfallback = \"second\"\n\
         fallback_after = \"1s\"\n[senders.second]\nplugin = \"webhook\"\nconfig = {{ url = \"{}\" }}\n",
        mail.url("/")
    )
}

fn webhook(receiver: &Receiver) -> String {
    format!("plugin = \"webhook\"\nconfig = {{ url = \"{}\" }}", receiver.url("/"))
}

#[test]
fn a_notification_that_is_given_up_is_told_by_the_fallback_with_the_reason() {
    let (team, second) = (Receiver::start().answers_next(Answer::status(400)), Receiver::start());
    let mag = Mag::with(&config(&webhook(&team), &second));
    mag.takes(&classic(&["a", "a"]));
    let told = second.request(1).json();
    assert_eq!((&told["reason"], &told["groups"][0]["count"]), (&"escalated".into(), &2.into()));
    assert_eq!(told["title"], "escalated from team: a (2 times)");
    let from = &told["escalated_from"];
    assert_eq!((&from["sender"], &from["code"]), (&"team".into(), &"400".into()));
    let error = from["error"].as_str().expect("the reason in words");
    assert!(error.starts_with("sender team (plugin webhook "), "{error}");
    let home = mag.stops();
    assert_eq!(home.store().account("root", "team").dead, 2);
    assert_eq!(home.store().account("root", "second").told, 2);
    home.store().must_balance();
}

#[test]
fn a_destination_that_is_down_is_told_by_the_fallback_and_by_itself_when_it_is_back() {
    let down = || Answer::status(503);
    let team = Receiver::start().answers_next(down()).answers_next(down()).answers_next(down());
    let second = Receiver::start();
    let mag = Mag::with(&config(&webhook(&team), &second));
    mag.takes(&classic(&["a", "a"]));
    let copy = second.request(1);
    let original = team.request(4);
    assert_eq!(copy.json()["groups"][0]["count"], original.json()["groups"][0]["count"]);
    assert_ne!(copy.header("webhook-id"), original.header("webhook-id"));
    assert_eq!(original.json()["reason"], "count");
    let home = mag.stops();
    assert_eq!(second.requests().len(), 1, "told once by each");
    home.store().must_balance();
}

#[test]
fn a_sender_that_does_not_start_is_told_by_its_fallback() {
    let second = Receiver::start();
    let mag = Mag::with(&config("plugin = \"webhook\"\nconfig = { url = \"no address\" }", &second));
    mag.takes(&classic(&["a", "a"]));
    let told = second.request(1).json();
    assert_eq!((&told["reason"], &told["escalated_from"]["code"]), (&"escalated".into(), &"not-started".into()));
    let home = mag.stops();
    assert_eq!(home.store().account("root", "team").waiting, 2, "and its queue waits");
    home.store().must_balance();
}

#[test]
fn the_console_says_why_it_is_told_of_it() {
    let team = Receiver::start().answers_next(Answer::status(410));
    let config = config(&webhook(&team), &team);
    let (before, _) = config.split_once("[senders.second]").expect("the second sender");
    let mag = Home::with(&format!("{before}[senders.second]\nplugin = \"console\"\n")).start();
    mag.takes(&classic(&["a", "a"]));
    let said = mag.prints("Escalated: sender team (plugin webhook ");
    assert!(said.contains("410"), "{said}");
    mag.prints("Message \"a\" was repeated 2 time(s).");
    mag.stops();
}

#[test]
fn a_living_style_that_the_plugin_cannot_keep_is_a_mistake() {
    let config = "[senders.a]\nplugin = \"console\"\nstyle = \"living\"\n";
    let ended = Home::with_exactly(config).runs(&["check", "--config", "mag.toml"]);
    ended.must_fail_with(2, &["mag.toml:1:10: error: sender a: its plugin cannot change what it told before"]);
}
