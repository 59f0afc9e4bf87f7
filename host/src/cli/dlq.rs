//! `mag dlq …`: dead letters. A running mag is asked; of a stopped one the store is read, and nothing changed.

use std::path::Path;
use std::process::ExitCode;

use clap::{ArgGroup, Args, Subcommand};

use super::ask::{Mag, Unanswered, Where};
use super::words::{WIDTH, ago, count, line};
use super::{complain, print, print_json};
use crate::admin::{Decided, DeliveryReport, LetterList, LetterReport, Selection};
use crate::clock::Clock;
use crate::{limits, store};

/// Commands about dead letters.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum DlqCommand {
    /// Lists dead letters, newest first, with the reason of each
    List(ListArgs),
    /// Shows one: what it says, and how each attempt ended
    Show(ShowArgs),
    /// Tells them again, under the same id; asks a running mag
    Replay(DecideArgs),
    /// Gives them up for good; asks a running mag
    Drop(DecideArgs),
}

/// Arguments of `mag dlq list`.
#[derive(Args, Clone, Debug)]
pub(super) struct ListArgs {
    /// Only those of this sender
    #[arg(long)]
    sender: Option<String>,
    /// Only those older than this one, as the end of a long list says
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::LETTER_PAGE)))]
    limit: u32,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// Arguments of `mag dlq show`.
#[derive(Args, Clone, Debug)]
pub(super) struct ShowArgs {
    /// The notification's id
    id: String,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// Arguments of `mag dlq replay` and `mag dlq drop`.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("which").required(true).args(["ids", "sender", "all"])))]
pub(super) struct DecideArgs {
    /// Which ones
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All of this sender
    #[arg(long)]
    sender: Option<String>,
    /// All there are
    #[arg(long)]
    all: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// Runs a command about dead letters; exit status 0 done, 1 refused or nothing there, 2 config, 75 not reached.
pub(super) fn run(command: &DlqCommand, config: Option<&Path>) -> ExitCode {
    let place = match command {
        DlqCommand::List(args) => &args.place,
        DlqCommand::Show(args) => &args.place,
        DlqCommand::Replay(args) | DlqCommand::Drop(args) => &args.place,
    };
    let done = Mag::find(place, config).and_then(|mag| match command {
        DlqCommand::List(args) => list(&mag, args),
        DlqCommand::Show(args) => show(&mag, args),
        DlqCommand::Replay(args) => decide(&mag, args, "replay"),
        DlqCommand::Drop(args) => decide(&mag, args, "drop"),
    });
    done.err().unwrap_or(ExitCode::SUCCESS)
}

fn list(mag: &Mag, args: &ListArgs) -> Result<(), ExitCode> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &args.limit.to_string());
    for (key, value) in [("sender", &args.sender), ("before", &args.before)] {
        query.extend_pairs(value.iter().map(|value| (key, value)));
    }
    let (sender, before, limit) = (args.sender.clone(), args.before.clone(), args.limit);
    let letters: LetterList = read(mag, &format!("/api/v1/dlq?{}", query.finish()), move |reader| {
        Ok(Some(reader.letters(sender.as_deref(), before.as_deref(), limit)?.into()))
    })?;
    if args.json {
        print_json(&letters);
        return Ok(());
    }
    let clock = Clock::system();
    let mut text = String::new();
    for letter in &letters.letters {
        text.push_str(&entry(letter, &clock));
    }
    text.push_str(&count(letters.total, "dead letter"));
    if let Some(next) = &letters.next {
        text.push_str(&format!(", older ones with --before {next}"));
    }
    print(&(text + "\n"));
    Ok(())
}

fn entry(letter: &LetterReport, clock: &Clock) -> String {
    let died = letter.finished.map_or_else(String::new, |at| ago(at, clock));
    let tries = count(letter.attempts.into(), "attempt");
    let messages = count(letter.messages, "message");
    let why = letter.error.as_deref().or(letter.code.as_deref()).unwrap_or("no reason is known");
    let text = letter.text.as_deref().unwrap_or_default();
    format!(
        "{}  {}\n  died {died} after {tries}; {}, {messages}: {}\n  {}\n",
        letter.id,
        line(&letter.sender, 40),
        count(letter.groups, "group"),
        line(text, 30),
        line(why, WIDTH - 2),
    )
}

fn show(mag: &Mag, args: &ShowArgs) -> Result<(), ExitCode> {
    let id = args.id.clone();
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        complain(&format!("mag: {id:?} is no id of a dead letter, `mag dlq list` shows them"));
        return Err(ExitCode::FAILURE);
    }
    let found: DeliveryReport = read(mag, &format!("/api/v1/dlq/{id}"), move |reader| {
        let found = reader.delivery(&id)?.filter(|found| found.letter.state == "dead");
        Ok(found.map(DeliveryReport::from))
    })?;
    if args.json {
        print_json(&found);
    } else {
        print(&whole(&found));
    }
    Ok(())
}

/// Lines of any length: a person wants to read the whole reason.
fn whole(found: &DeliveryReport) -> String {
    const LONG: usize = 1_000;
    let letter = &found.letter;
    let mut text = format!("{}  {}\n", letter.id, line(&letter.sender, LONG));
    let died = letter.finished.map_or_else(String::new, |at| format!(", died {at}"));
    text.push_str(&format!("frozen {}{died}\n", letter.created));
    let code = letter.code.as_deref().unwrap_or("unknown");
    text.push_str(&format!("{}: {}\n", line(code, LONG), line(letter.error.as_deref().unwrap_or_default(), LONG)));
    text.push_str(&format!("\n{}\n", count(found.tries.len() as u64, "attempt")));
    for tried in &found.tries {
        let outcome = tried.outcome.as_deref().unwrap_or("cut off");
        let why = line(tried.error.as_deref().unwrap_or_default(), LONG);
        text.push_str(format!("  {} {} {outcome} {why}", tried.attempt, tried.started).trim_end());
        text.push('\n');
    }
    text.push_str(&format!("\n{}, {}\n", count(letter.groups, "group"), count(letter.messages, "message")));
    for group in &found.told {
        let severity = group.severity.as_deref().map(|word| format!("{word} ")).unwrap_or_default();
        let labels: Vec<_> = group.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!(" ({})", labels.join(", ")) };
        let said = line(&format!("{severity}{}{labels}", group.text), LONG);
        text.push_str(&format!("  {}x {said}\n", group.count));
    }
    let more = letter.groups.saturating_sub(found.told.len() as u64);
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    text
}

fn decide(mag: &Mag, args: &DecideArgs, deed: &str) -> Result<(), ExitCode> {
    let ids = (!args.ids.is_empty()).then(|| args.ids.clone());
    let selection = Selection { ids, sender: args.sender.clone(), all: args.all };
    let body = serde_json::to_value(&selection).map_err(|_never| ExitCode::FAILURE)?;
    let decided: Decided = mag.post(&format!("/api/v1/dlq/{deed}"), &body).map_err(|error| {
        complain(&format!("mag: {error}"));
        error.exit()
    })?;
    if args.json {
        print_json(&decided);
        return Ok(());
    }
    let done = if deed == "drop" { "dropped" } else { "replayed: queued again" };
    let nothing = decided.letters == 0 && !decided.left.is_empty();
    let (letters, messages) = (count(decided.letters, "dead letter"), count(decided.messages, "message"));
    print(&format!("{letters}, {messages}, {done}\n"));
    for (sender, left) in &decided.left {
        let letters = count(*left, "dead letter");
        complain(&format!("mag: {letters} left alone: sender {} is not in the config", line(sender, 40)));
    }
    if nothing { Err(ExitCode::FAILURE) } else { Ok(()) }
}

/// Asks the running mag, else reads the store that a stopped one left.
fn read<T: serde::de::DeserializeOwned>(
    mag: &Mag,
    path: &str,
    reading: impl FnOnce(&store::Reader<'_>) -> Result<Option<T>, store::LookError>,
) -> Result<T, ExitCode> {
    let error = match mag.get(path) {
        Ok(answer) => return Ok(answer),
        Err(error) => error,
    };
    let file = mag.config.as_ref().and_then(|config| config.store.path.clone()).filter(|_| error.is_away());
    let Some(file) = file else {
        complain(&format!("mag: {error}"));
        return Err(error.exit());
    };
    from_file(&file, &error, reading)
}

fn from_file<T>(
    file: &Path,
    away: &Unanswered,
    reading: impl FnOnce(&store::Reader<'_>) -> Result<Option<T>, store::LookError>,
) -> Result<T, ExitCode> {
    complain(&format!("mag: {away}; this is what {} says", file.display()));
    match store::look(file, reading) {
        Ok(Some(found)) => Ok(found),
        Ok(None) => {
            complain("mag: there is no such dead letter");
            Err(ExitCode::FAILURE)
        }
        Err(error) => {
            complain(&format!("mag: {error}"));
            Err(ExitCode::FAILURE)
        }
    }
}
