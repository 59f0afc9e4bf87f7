//! `mag test notify SENDER`: a real notification, and what became of it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ask::{Mag, Unanswered, Where};
use super::words::line;
use super::{complain, print};
use crate::admin::{Decided, DeliveryReport, Queued, Status};
use crate::clock::Clock;

/// Tests.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum TestCommand {
    /// Lets a sender tell a test notification, and waits for the outcome
    Notify(NotifyArgs),
}

/// Arguments of `mag test notify`.
#[derive(Args, Clone, Debug)]
pub(super) struct NotifyArgs {
    /// The sender's name
    sender: String,
    /// How long to wait for the outcome
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    place: Where,
}

/// Between two looks at the delivery.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Tests a sender; exit status 0 told, 1 failed or not told in time, 2 config, 75 mag is not reached.
pub(super) fn run(command: &TestCommand, config: Option<&Path>) -> ExitCode {
    let TestCommand::Notify(args) = command;
    let mag = match Mag::find(&args.place, config) {
        Ok(mag) => mag,
        Err(exit) => return exit,
    };
    match notify(&mag, args) {
        Ok(told) => {
            print(&told);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("mag: {error}"));
            error.exit()
        }
    }
}

fn notify(mag: &Mag, args: &NotifyArgs) -> Result<String, Unanswered> {
    let sender = &args.sender;
    let segment: String = percent_encoding::utf8_percent_encode(sender, percent_encoding::NON_ALPHANUMERIC).collect();
    let wait: String = humantime::format_duration(args.timeout).to_string().split(' ').collect();
    let queued: Queued = mag.post(&format!("/api/v1/senders/{segment}/test?wait={wait}"), &serde_json::Value::Null)?;
    let clock = Clock::system();
    let begun = clock.instant();
    loop {
        let seen: DeliveryReport = mag.get(&format!("/api/v1/deliveries/{}", queued.id))?;
        if let Some(tried) = seen.tries.iter().find(|tried| tried.outcome.is_some()) {
            if tried.outcome.as_deref() == Some("delivered") {
                let took = tried.finished.unwrap_or(tried.started).0.saturating_sub(tried.started.0);
                return Ok(format!("sender {sender}: told in {took} ms, id {}\n", queued.id));
            }
            let why = tried.error.as_deref().unwrap_or("no reason is known");
            return Err(Unanswered::Refused(line(why, 1_000)));
        }
        let dropped = seen.letter.state == "dropped";
        if begun.elapsed() >= args.timeout || dropped {
            return Err(too_late(mag, args, &queued.id, dropped));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Why nothing was told yet, as far as the sender says it. Nobody waits for it from now on, so it is dropped.
fn too_late(mag: &Mag, args: &NotifyArgs, id: &str, dropped: bool) -> Unanswered {
    let dropped = dropped || mag.post::<Decided>("/api/v1/dlq/drop", &serde_json::json!({ "ids": [id] })).is_ok();
    let status = mag.get::<Status>("/api/v1/status").ok();
    let sender = status.and_then(|status| status.senders.into_iter().find(|sender| sender.name == args.sender));
    let state = sender.as_ref().map_or("unknown", |sender| sender.health.as_str());
    let failure = sender.as_ref().and_then(|sender| sender.last_failure.as_ref());
    let failure = failure.map_or_else(String::new, |failure| format!(", {}", line(&failure.error, 1_000)));
    let waited = humantime::format_duration(args.timeout);
    let now = if dropped { "the test is dropped" } else { "it may be telling it now" };
    Unanswered::Refused(format!(
        "sender {} has not told it in {waited}, it is {state}{failure}; {now}, id {id}",
        args.sender
    ))
}
