//! `mag test notify SENDER`: a real notification, and what became of it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ask::{Mag, Unanswered, Where};
use super::words::line;
use super::{complain, print};
use crate::admin::{DeliveryReport, Queued};
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
    let queued: Queued = mag.post(&format!("/api/v1/senders/{segment}/test"), &serde_json::Value::Null)?;
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
        if begun.elapsed() >= args.timeout {
            let waited = humantime::format_duration(args.timeout);
            return Err(Unanswered::Refused(format!(
                "sender {sender} has not told it in {waited}, `mag status` shows how it is; the test stays queued, id {}",
                queued.id
            )));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
