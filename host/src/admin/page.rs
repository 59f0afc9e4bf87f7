//! `/`: the status as a page without script, and without anything from elsewhere.
//!
//! Texts of messages stand in it, so that every value is escaped, and the browser is told to run and fetch nothing.

use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use hyper::http::StatusCode;

use super::answer::{Answer, body};
use super::report::{At, LetterReport, SenderReport, Status};
use crate::message::counted;

/// Nothing but the page itself and its own style.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;\
    color-scheme:light dark}table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}\
    th,td{text-align:left;padding:.25rem .75rem .25rem 0;vertical-align:top;overflow-wrap:anywhere}\
    th{border-bottom:1px solid}td.n,th.n{text-align:right}small{opacity:.7}";

/// The page.
pub(super) fn answer(status: &Status) -> Answer {
    let mut answer = body(StatusCode::OK, "text/html; charset=utf-8", html(status));
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

fn html(status: &Status) -> String {
    let groups: u64 = status.open.iter().map(|open| open.groups).sum();
    let messages: u64 = status.open.iter().map(|open| open.messages).sum();
    let since = status.started.map_or_else(String::new, |started| format!(", since {started}"));
    let ready = status.ready.as_deref().unwrap_or_default();
    let more = [intake(status), alerts(status), config(status)].concat();
    let senders: String = status.senders.iter().map(sender).collect();
    let recent: String = status.recent.iter().map(delivery).collect();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"10\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>mag</title><style>{STYLE}</style>\
         <h1>mag <small>{version}</small></h1><p>{ready}{since}. Counting {groups}, {messages}. \
         {dead}.</p>{more}\
         <h2>Senders</h2><table><tr><th>sender<th>health<th class=\"n\">waiting<th class=\"n\">under way\
         <th class=\"n\">dead<th>last delivered{senders}</table>\
         <h2>Last deliveries</h2><table><tr><th>ended<th>sender<th>state<th class=\"n\">messages<th>text{recent}</table>\n",
        version = escaped(&status.version),
        ready = escaped(ready),
        groups = counted(groups, "group"),
        messages = counted(messages, "message"),
        dead = counted(status.dead_letters, "dead letter"),
    )
}

/// What came in since the start.
fn intake(status: &Status) -> String {
    status.intake.as_ref().map_or_else(String::new, |intake| {
        format!(
            "<p>Intake: {}, {} since the start, {} refused.</p>",
            counted(intake.connections, "connection"),
            counted(intake.messages, "message"),
            intake.refused_lines + intake.refused_connections
        )
    })
}

/// What fires, and what is told to nobody.
fn alerts(status: &Status) -> String {
    let (active, pending) = (status.silences_active, status.silences_pending);
    if status.alerts + active + pending == 0 {
        return String::new();
    }
    let (firing, active) = (counted(status.alerts, "alert"), counted(active, "silence"));
    format!("<p>{firing} firing, {active} active, {pending} pending.</p>")
}

/// The config that mag runs with, and that a newer one is refused.
fn config(status: &Status) -> String {
    let Some(config) = &status.config else { return String::new() };
    let file = escaped(config.file.as_deref().unwrap_or("shipped defaults"));
    let refused = config.refused.map_or_else(String::new, |at| {
        let first = config.error.as_deref().and_then(|error| error.lines().next()).unwrap_or_default();
        format!(" A newer one is refused, {at}: {}", escaped(first))
    });
    format!("<p>Config: {file}, loaded {}.{refused}</p>", config.loaded)
}

fn sender(sender: &SenderReport) -> String {
    let failure = sender.last_failure.as_ref().filter(|failure| sender.last_delivered.is_none_or(|at| at < failure.at));
    let failure = failure.map_or_else(String::new, |failure| format!("<br><small>{}</small>", escaped(&failure.error)));
    format!(
        "<tr><td>{}<td>{}{failure}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td>{}",
        escaped(&sender.name),
        escaped(&sender.health),
        sender.queue_groups,
        sender.queued + sender.sending + sender.backoff,
        sender.dead_letters,
        time(sender.last_delivered),
    )
}

fn delivery(letter: &LetterReport) -> String {
    format!(
        "<tr><td>{}<td>{}<td>{}<td class=\"n\">{}<td>{}{}",
        time(letter.finished),
        escaped(&letter.sender),
        escaped(&letter.state),
        letter.messages,
        escaped(letter.text.as_deref().unwrap_or_default()),
        letter.more(),
    )
}

fn time(at: Option<At>) -> String {
    at.map_or_else(String::new, |at| at.to_string())
}

/// Text that no browser takes for anything else, in an element or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Names of senders and texts of messages can turn the direction of what stands around them.
            c if crate::message::acts(c) && c != '\n' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::admin::{Intake, LoadedReport};
    use crate::store::Overview;

    #[test]
    fn the_page_has_what_the_head_of_the_command_has() {
        let now = 1_700_000_000_000;
        let silences = vec![(now - 9, now + 9), (now + 1, now + 9), (now + 2, now + 9)];
        let overview = Overview { alerts: 3, silences, ..Overview::default() };
        let mut status = Status::of_file(overview, Path::new("mag.db"), (0, 0), now);
        let page = html(&status);
        assert!(page.contains("<p>3 alerts firing, 1 silence active, 2 pending.</p>"), "{page}");
        assert!(!page.contains("Intake") && !page.contains("Config"), "nothing of a mag that does not run: {page}");
        let (connections, messages, refused_lines, refused_connections) = (4, 118, 2, 1);
        status.intake = Some(Intake { connections, messages, refused_lines, refused_connections });
        let (file, error) = (Some("a&b.toml".to_owned()), Some("a&b.toml:1:1: error: <x>\nmore".to_owned()));
        status.config = Some(LoadedReport { file, loaded: At(now), refused: Some(At(now)), error });
        let page = html(&status);
        assert!(page.contains("<p>Intake: 4 connections, 118 messages since the start, 3 refused.</p>"), "{page}");
        let config = format!(
            "<p>Config: a&amp;b.toml, loaded {0}. A newer one is refused, {0}: a&amp;b.toml:1:1: error: &lt;x&gt;</p>",
            At(now)
        );
        assert!(page.contains(&config), "{page}");
    }

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(
            escaped("<script>alert(\"x\")</script>&'"),
            "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;&#39;"
        );
        assert_eq!(escaped("a\u{202e}b\u{1b}[31m"), "a\u{fffd}b\u{fffd}[31m");
    }
}
