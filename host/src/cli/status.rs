//! `mag status`: one screen of what a running mag is at, or of what a stopped one left in its store.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::ask::{Mag, Where};
use super::words::{WIDTH, ago, count, line, size, span};
use super::{EXIT_TEMPORARY, complain, print, print_json};
use crate::admin::{LetterReport, LoadedReport, SenderReport, Status};
use crate::clock::Clock;
use crate::store;

/// Arguments of `mag status`.
#[derive(Args, Clone, Debug)]
pub(super) struct StatusArgs {
    /// As JSON, with everything there is
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// Shows it; exit status 0 when mag runs and is ready, 1 when it is not ready, 75 when it does not run.
pub(super) fn run(args: &StatusArgs, config: Option<&Path>) -> ExitCode {
    let mag = match Mag::find(&args.place, config) {
        Ok(mag) => mag,
        Err(exit) => return exit,
    };
    let (status, exit, holder) = match mag.get::<Status>("/api/v1/status") {
        Ok(status) => {
            let ready = status.ready.as_deref() == Some("ready");
            (Some(status), if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }, None)
        }
        Err(error) if error.is_away() => {
            complain(&format!("mag: {error}"));
            let (status, holder) = left_behind(&mag);
            (status, ExitCode::from(EXIT_TEMPORARY), holder)
        }
        Err(error) => {
            complain(&format!("mag: {error}"));
            (None, error.exit(), None)
        }
    };
    match status {
        Some(status) if args.json => print_json(&status),
        Some(status) => print(&screen(&status, holder.as_deref(), &Clock::system())),
        None => {}
    }
    exit
}

/// What the store's file says, when there is one, and which process has it.
fn left_behind(mag: &Mag) -> (Option<Status>, Option<String>) {
    let Some(path) = mag.config.as_ref().and_then(|config| config.store.path.clone()) else { return (None, None) };
    if !path.exists() {
        complain(&format!("mag: there is no store at {} either", path.display()));
        return (None, None);
    }
    match store::look(&path, |reader| Ok((reader.overview()?, reader.sizes()?))) {
        Ok((overview, sizes)) => {
            (Some(Status::of_file(overview, &path, sizes, Clock::system().now())), store::holder(&path))
        }
        Err(error) => {
            complain(&format!("mag: {error}"));
            (None, None)
        }
    }
}

/// All of it, in lines of 80 columns.
fn screen(status: &Status, holder: Option<&str>, clock: &Clock) -> String {
    let mut lines = vec![first(status, holder, clock)];
    let (groups, messages) = status.open.iter().fold((0, 0), |(g, m), open| (g + open.groups, m + open.messages));
    lines.push(format!("counting  {}, {}", count(groups, "group"), count(messages, "message")));
    if let Some(intake) = &status.intake {
        let refused = intake.refused_lines + intake.refused_connections;
        let refused = if refused == 0 { String::new() } else { format!(", {refused} refused") };
        let (open, taken) = (count(intake.connections, "connection"), count(intake.messages, "message"));
        lines.push(format!("intake    {open}, {taken} since the start{refused}"));
    }
    if status.alerts + status.silences_active + status.silences_pending > 0 {
        let (fire, active) = (count(status.alerts, "alert"), count(status.silences_active, "silence"));
        lines.push(format!("alerts    {fire} firing, {active} active, {} pending", status.silences_pending));
    }
    let store = &status.store;
    let file = line(store.path.as_deref().unwrap_or(":memory:"), 40);
    lines.push(format!(
        "store     {file}, {}, log {}, commit {}",
        size(store.bytes),
        size(store.wal_bytes),
        store.commit
    ));
    lines.extend(status.config.as_ref().map(|config| loaded(config, clock)));
    lines.push(String::new());
    lines.push(format!(
        "{:<16}{:<14}{:>9}{:>11}{:>7}  {}",
        "SENDER", "HEALTH", "WAITING", "UNDER WAY", "DEAD", "DELIVERED"
    ));
    for sender in &status.senders {
        lines.extend(sender_lines(sender, clock));
    }
    if !status.recent.is_empty() {
        lines.push(String::new());
        lines.push("LAST DELIVERIES".to_owned());
        lines.extend(status.recent.iter().map(|letter| delivery(letter, clock)));
    }
    if status.dead_letters > 0 {
        lines.push(String::new());
        let letters = count(status.dead_letters, "dead letter");
        lines.push(format!("{letters}: `mag dlq list` says why, `mag dlq replay --all` tells them"));
    }
    lines.join("\n") + "\n"
}

/// The config that mag runs with, and that a newer one is refused.
fn loaded(config: &LoadedReport, clock: &Clock) -> String {
    let file = config.file.as_deref().map_or_else(|| "shipped defaults".to_owned(), |file| line(file, 30));
    let since = format!("config    {file}, loaded {}", ago(config.loaded, clock));
    match (config.refused, &config.error) {
        (Some(at), Some(error)) => {
            line(&format!("{since}; refused {}: {}", ago(at, clock), error.lines().next().unwrap_or_default()), WIDTH)
        }
        _ => since,
    }
}

fn first(status: &Status, holder: Option<&str>, clock: &Clock) -> String {
    let Some(started) = status.started else {
        let who = holder
            .map_or_else(|| "is not running".to_owned(), |pid| format!("runs as process {pid} and cannot be asked"));
        return format!("mag {} {who}; this is what its store says", status.version);
    };
    let up = span(clock.now().saturating_sub(started.0));
    format!("mag {} runs for {up}, {}", status.version, status.ready.as_deref().unwrap_or("unknown"))
}

fn sender_lines(sender: &SenderReport, clock: &Clock) -> Vec<String> {
    let under_way = sender.queued + sender.sending + sender.backoff;
    let last = sender.last_delivered.map_or_else(|| "never".to_owned(), |at| ago(at, clock));
    let (name, health) = (line(&sender.name, 15), line(&sender.health, 13));
    let (waiting, dead) = (sender.queue_groups, sender.dead_letters);
    let mut lines = vec![format!("{name:<16}{health:<14}{waiting:>9}{under_way:>11}{dead:>7}  {last}")];
    let failed = sender.last_failure.as_ref().filter(|failure| sender.last_delivered.is_none_or(|at| at < failure.at));
    if let Some(failure) = failed {
        lines.push(format!("  {}", line(&format!("{}, {}", ago(failure.at, clock), failure.error), WIDTH - 2)));
    }
    lines
}

fn delivery(letter: &LetterReport, clock: &Clock) -> String {
    let ended = letter.finished.map_or_else(String::new, |at| ago(at, clock));
    let (sender, messages) = (line(&letter.sender, 15), count(letter.messages, "message"));
    let start = format!("{ended:<12}{sender:<16}{:<10}{messages:<14}", letter.state);
    let more = letter.more();
    let room = WIDTH.saturating_sub(start.chars().count() + more.len());
    format!("{start}{}{more}", line(letter.text.as_deref().unwrap_or_default(), room)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::store::{Letter, OpenRoute, Overview, SenderLine};

    #[test]
    fn a_screen_fits_80_columns_whatever_is_in_it() {
        let now = 1_700_000_000_000;
        let long = "x".repeat(500) + "\u{1b}[2J";
        let failed = Some((now - 3_000, "http-503".to_owned(), long.clone()));
        let line = SenderLine {
            name: long.clone(),
            queue_groups: 99_999,
            last_failed: failed,
            dead: 2,
            ..SenderLine::default()
        };
        let letter = Letter {
            id: String::new(),
            sender: long.clone(),
            state: "delivered".to_owned(),
            attempts: 1,
            groups: 1,
            messages: 12,
            created: now,
            finished: Some(now - 90_000),
            code: None,
            error: None,
            text: Some(long.clone()),
        };
        let overview = Overview {
            commit: 7,
            open: vec![OpenRoute { route: long.clone(), groups: 3, messages: 118 }],
            senders: vec![line],
            recent: vec![letter],
            alerts: 3,
            silences: vec![(now - 9, now - 1), (now, now + 1), (now + 1, now + 9), (now + 2, now + 9)],
            ..Overview::default()
        };
        let clock = Clock::derived(now);
        let screen = screen(&Status::of_file(overview, Path::new(&long), (1_234_567, 0), now), None, &clock);
        for line in screen.lines() {
            assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
        }
        expect![[r#"
            mag 0.1.0 is not running; this is what its store says
            counting  3 groups, 118 messages
            alerts    3 alerts firing, 1 silence active, 2 pending
            store     xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…, 1.2 MiB, log 0 B, commit 7

            SENDER          HEALTH          WAITING  UNDER WAY   DEAD  DELIVERED
            xxxxxxxxxxxxxx… unknown           99999          0      2  never
              3s ago, xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…

            LAST DELIVERIES
            1m ago      xxxxxxxxxxxxxx… delivered 12 messages   xxxxxxxxxxxxxxxxxxxxxxxxxxx…

            2 dead letters: `mag dlq list` says why, `mag dlq replay --all` tells them
        "#]]
        .assert_eq(&screen);
    }
}
