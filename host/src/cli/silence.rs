//! `mag silence …`: what is counted and told to nobody for a while. A running mag is asked; of a stopped one the store is
//! read, and nothing changed.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::ask::{Mag, Where};
use super::words::{WIDTH, count, line, span};
use super::{complain, env, print, print_json};
use crate::admin::{At, SilenceList, SilenceMade, SilenceReport, SilenceWanted, SilencesNamed};
use crate::clock::{Clock, as_millis};
use crate::matcher::Matcher;
use crate::message::Millis;
use crate::protocol::time::moment;
use crate::store;
use clap::{Args, Subcommand};

/// Commands about silences.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum SilenceCommand {
    /// Makes one, and prints its id
    Add(AddArgs),
    /// Lists those that hold or will
    List(ListArgs),
    /// Ends some at once
    Expire(ExpireArgs),
}

/// Arguments of `mag silence add`.
#[derive(Args, Clone, Debug)]
pub(super) struct AddArgs {
    /// Matchers, all of which must hold: 'alertname="DiskFull"', 'host=~"web-.*"', 'text!="x"'
    #[arg(required = true, value_name = "MATCHER")]
    matchers: Vec<String>,
    /// For how long
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// From when, as RFC 3339; now unless given
    #[arg(long, value_name = "TIME", value_parser = time)]
    start: Option<Millis>,
    /// Until when, as RFC 3339, instead of --duration
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "duration")]
    end: Option<Millis>,
    /// Why
    #[arg(long, default_value = "")]
    comment: String,
    /// Who; the name of the user who asks unless given
    #[arg(long)]
    author: Option<String>,
    #[command(flatten)]
    place: Where,
}

/// Arguments of `mag silence list`.
#[derive(Args, Clone, Debug)]
pub(super) struct ListArgs {
    /// Also those that are over
    #[arg(long)]
    expired: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// Arguments of `mag silence expire`.
#[derive(Args, Clone, Debug)]
pub(super) struct ExpireArgs {
    /// Which ones
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    place: Where,
}

fn time(text: &str) -> Result<Millis, String> {
    let millis = moment(text).ok_or_else(|| "expected a time such as 2026-05-01T12:00:00Z".to_owned())?;
    Millis::try_from(millis).map_err(|_error| "expected a time after 1970".to_owned())
}

/// Runs a command about silences; exit status 0 done, 1 refused, 2 arguments or config, 75 not reached.
pub(super) fn run(command: &SilenceCommand, config: Option<&Path>) -> ExitCode {
    let done = match command {
        SilenceCommand::Add(args) => add(args, config),
        SilenceCommand::List(args) => list(args, config),
        SilenceCommand::Expire(args) => expire(args, config),
    };
    done.err().unwrap_or(ExitCode::SUCCESS)
}

fn add(args: &AddArgs, config: Option<&Path>) -> Result<(), ExitCode> {
    for text in &args.matchers {
        if let Err(error) = Matcher::parse(text) {
            complain(&format!("mag: {text}: {error}"));
            return Err(ExitCode::from(super::EXIT_USAGE));
        }
    }
    let mag = Mag::find(&args.place, config)?;
    let from = args.start.unwrap_or_else(|| Clock::system().now());
    let wanted = SilenceWanted {
        matchers: args.matchers.clone(),
        starts: args.start.map(At),
        ends: At(args.end.unwrap_or_else(|| from.saturating_add(as_millis(args.duration)))),
        created_by: args.author.clone().or_else(user).unwrap_or_default(),
        comment: args.comment.clone(),
    };
    let made: SilenceMade = post(&mag, "/api/v1/silences", &wanted)?;
    print(&format!("{}\n", made.id));
    Ok(())
}

/// Whoever asks: the name that a login leaves in the environment, else, as in a container or for cron, the system's.
fn user() -> Option<String> {
    let filled = |name: &str| env(name).filter(|name| !name.is_empty());
    filled("USER").or_else(|| filled("LOGNAME")).or_else(|| {
        let own = std::fs::metadata("/proc/self").ok()?.uid();
        let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Some(name_of(own, &known).unwrap_or_else(|| format!("uid {own}")))
    })
}

/// A user's name by the lines of `/etc/passwd`.
fn name_of(uid: u32, passwd: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

fn expire(args: &ExpireArgs, config: Option<&Path>) -> Result<(), ExitCode> {
    let mag = Mag::find(&args.place, config)?;
    let named = SilencesNamed { ids: args.ids.clone() };
    let expired: SilencesNamed = post(&mag, "/api/v1/silences/expire", &named)?;
    print(&format!("{} expired\n", count(expired.ids.len() as u64, "silence")));
    Ok(())
}

fn post<T: serde::de::DeserializeOwned>(mag: &Mag, path: &str, body: &impl serde::Serialize) -> Result<T, ExitCode> {
    let body = serde_json::to_value(body).map_err(|_never| ExitCode::FAILURE)?;
    mag.post(path, &body).map_err(|error| {
        complain(&format!("mag: {error}"));
        error.exit()
    })
}

fn list(args: &ListArgs, config: Option<&Path>) -> Result<(), ExitCode> {
    let (mag, now) = (Mag::find(&args.place, config)?, Clock::system().now());
    let mut list: SilenceList = match mag.get("/api/v1/silences") {
        Ok(list) => list,
        Err(error) => {
            let file = mag.config.as_ref().and_then(|config| config.store.path.clone()).filter(|_| error.is_away());
            let Some(file) = file else {
                complain(&format!("mag: {error}"));
                return Err(error.exit());
            };
            complain(&format!("mag: {error}; this is what {} says", file.display()));
            let silences = store::look(&file, |reader| reader.silences()).map_err(|error| {
                complain(&format!("mag: {}: {error}", file.display()));
                ExitCode::FAILURE
            })?;
            SilenceList::new(&silences, now)
        }
    };
    list.silences.retain(|silence| args.expired || silence.state != "expired");
    if args.json {
        print_json(&list);
        return Ok(());
    }
    let text: String = list.silences.iter().map(|silence| entry(silence, now)).collect();
    print(&format!("{text}{}\n", count(list.silences.len() as u64, "silence")));
    Ok(())
}

fn entry(silence: &SilenceReport, now: Millis) -> String {
    let SilenceReport { id, state, starts, ends, messages, .. } = silence;
    let when = match state.as_str() {
        "pending" => format!("begins in {}", span(starts.0.saturating_sub(now))),
        "active" => format!("ends in {}", span(ends.0.saturating_sub(now))),
        _ => format!("ended {} ago", span(now.saturating_sub(ends.0))),
    };
    let by = [silence.created_by.as_str(), silence.comment.as_str()];
    let by = by.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(": ");
    let mut text = format!("{id}  {state}, {when}, held {}\n", count(*messages, "message"));
    text.push_str(&format!("  {}\n", line(&silence.matchers.join(", "), 1_000)));
    if !by.is_empty() {
        text.push_str(&format!("  {}\n", line(&by, WIDTH - 2)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_name_that_the_system_knows() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nodd line\n:x:7:7::/:\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n";
        assert_eq!(name_of(1_000, passwd).as_deref(), Some("ann"));
        assert_eq!(name_of(0, passwd).as_deref(), Some("root"));
        assert_eq!(name_of(7, passwd), None);
    }
}
