//! A sender that runs: every call of its plugin, and what each of the ways it can end means.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::call::{Broken, Call, Ended, State, Work};
use super::contract_v1::{self as contract, Plugin, Told};
use super::failure::{ConfigMistake, Delivered, Failure, FailureKind, Fault, Manifest, Prepared};
use super::hooks::{Note, Reach};
use super::limit::{CallLimits, Calling, Limit};
use super::load::Profile;
use super::look::Asked;
use super::output::{Capture, Lines};
use super::used::Used;
use super::{Runtime, text};
use crate::config::{self, Sha256};
use crate::egress::Origin;
use crate::limits;
use crate::message::Notification;

/// The bounds of what a destination may ask to wait.
const AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// A sender whose plugin is compiled and whose config is valid. Cheap to clone.
#[derive(Clone)]
pub struct Started(Arc<Parts>);

pub(super) struct Parts {
    pub(super) runtime: Arc<Runtime>,
    pub(super) profile: Arc<Profile>,
    pub(super) plugin: Arc<Plugin>,
    pub(super) manifest: Manifest,
    pub(super) asked: Vec<Asked>,
    pub(super) reach: Arc<Reach>,
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Started").field(&self.0.profile.name).finish()
    }
}

impl Started {
    pub(super) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The sender's name in `mag.toml`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.profile.name
    }

    /// What the plugin says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The hash of the plugin's file; `None` for a bundled one.
    #[must_use]
    pub fn sha256(&self) -> Option<Sha256> {
        self.0.profile.sha256
    }

    /// What the plugin asked for.
    #[must_use]
    pub fn asked(&self) -> &[Asked] {
        &self.0.asked
    }

    /// The origins that this sender may reach.
    #[must_use]
    pub fn origins(&self) -> Vec<String> {
        self.0.reach.client.grants().origins().map(ToString::to_string).collect()
    }

    /// For a person: the name of each secret, where it may stand in a request, and where it may go.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, String)> {
        let (parts, granted) = (&self.0, self.0.reach.client.grants());
        parts.profile.secrets.in_words(&parts.manifest.secrets, granted)
    }

    /// The secrets that never leave as its section is written, and why.
    #[must_use]
    pub fn kept_back(&self, section: &config::Sender) -> Vec<ConfigMistake> {
        self.0.profile.secrets.kept_back(&section.config, self.0.reach.client.grants())
    }

    /// Lets the plugin sign in and look names up.
    ///
    /// # Errors
    ///
    /// What the plugin reported, or what was wrong with it: [`Failure::fault`] tells the two apart.
    pub async fn prepare(&self) -> Result<Prepared, Failure> {
        let parts = Arc::clone(&self.0);
        let limits = self.0.profile.call_limits(Calling::Prepare);
        let (prepared, mut used) = self
            .call(limits, None, |store| {
                Box::pin(async move { parts.plugin.prepare(store, &parts.profile.config).await })
            })
            .await?;
        used.note(Limit::State, prepared.state.len());
        if prepared.state.len() > limits.of().state_bytes {
            let failure = self.past(Limit::State, &limits, false);
            failure.code.clone_into(&mut used.ended);
            self.keep(&limits, used);
            return Err(failure);
        }
        self.keep(&limits, used);
        Ok(prepared)
    }

    /// One attempt to tell a notification.
    ///
    /// # Errors
    ///
    /// What the plugin reported, or what was wrong with it: [`Failure::fault`] tells the two apart.
    pub async fn send(&self, state: &[u8], notification: &Notification) -> Result<Delivered, Failure> {
        let parts = Arc::clone(&self.0);
        let id = Some(notification.id.as_str().into());
        let (state, told) = (state.to_vec(), contract::notification(notification));
        let limits = self.0.profile.call_limits(Calling::Send);
        let (mut delivered, mut used) = self
            .call(limits, id, |store| {
                Box::pin(async move { parts.plugin.send(store, &parts.profile.config, &state, &told).await })
            })
            .await?;
        let receipt = delivered.receipt.as_ref().map_or(0, Vec::len);
        used.note(Limit::Receipt, receipt);
        if receipt > limits.of().receipt_bytes {
            // It is told; only updating it later will not work.
            let (sender, limit) = (&self.0.profile.name, limits.passed(Limit::Receipt, &self.0.profile.name));
            tracing::warn!(%sender, limit, "a receipt is too long and was dropped");
            delivered.receipt = None;
        }
        self.keep(&limits, used);
        Ok(delivered)
    }

    /// What the call gave back and what it used, which whoever called keeps; of a failure it is kept here.
    async fn call<R>(
        &self,
        limits: CallLimits,
        id: Option<Arc<str>>,
        work: impl for<'s> FnOnce(&'s mut wasmtime::Store<State>) -> Work<'s, Result<R, Told>>,
    ) -> Result<(R, Used), Failure> {
        let parts = &self.0;
        let began = Instant::now();
        let deadline = began + limits.timeout();
        // Whatever becomes of the secrets, half of the time is the plugin's.
        parts.profile.secrets.refresh(&parts.profile.name, began + limits.timeout() / 2).await;
        let limits = limits.after(began.elapsed());
        let stdout = parts.runtime.stdout(&parts.profile);
        let call = Call { limits, reach: Some(Arc::clone(&parts.reach)), id, stdout: stdout.clone() };
        let mut ended = Box::pin(parts.runtime.call(call, work)).await;
        parts.log(&ended.stderr, &limits);
        let mut used = std::mem::replace(&mut ended.used, Used::none(limits.call));
        let judged = match self.judge(ended, &limits) {
            Ok(value) => parts.print(&stdout, deadline, &limits).await.map(|()| value).map_err(|fault| match fault {
                Printed::Late => self.fault(Fault::Limit(Limit::Time), "standard output takes nothing", true),
                Printed::Not(reason) => self.failure(FailureKind::Retry, "stdout", &reason),
            }),
            Err(failure) => {
                parts.log_unprinted(&stdout, &limits);
                Err(failure)
            }
        };
        match judged {
            Ok(value) => Ok((value, used)),
            Err(failure) => {
                failure.code.clone_into(&mut used.ended);
                self.keep(&limits, used);
                Err(failure)
            }
        }
    }

    fn keep(&self, limits: &CallLimits, used: Used) {
        self.0.runtime.last_calls(&self.0.profile.name).add(limits, used);
    }

    fn judge<R>(&self, ended: Ended<Result<R, Told>>, limits: &CallLimits) -> Result<R, Failure> {
        let Ended { result, note, sent, stderr, .. } = ended;
        match (result, note) {
            // It got by without what it may not do.
            (Ok(Ok(value)), note) => {
                if let Some(note) = note {
                    tracing::warn!(sender = %self.0.profile.name, note = %self.noted(&note, limits, sent).message, "a plugin was refused something");
                }
                Ok(value)
            }
            (Err(Broken::Trap(_)), Some(note)) => Err(self.noted(&note, limits, sent)),
            // An answer is its destination's doing: what the plugin makes of it stays, with the reason beside it.
            (Ok(Err(told)), Some(Note::Limit(limit @ (Limit::AnswerSize | Limit::AnswerTime)))) => {
                let (failure, reason) = (self.told(told), limits.passed(limit, &self.0.profile.name));
                Err(Failure { message: format!("{} ({}: {reason})", failure.message, limit.code()), ..failure })
            }
            // What it did before stays true.
            (Ok(Err(told)), Some(note)) => {
                let Failure { progress, maybe_delivered, .. } = self.told(told);
                let noted = self.noted(&note, limits, sent);
                Err(Failure { progress, maybe_delivered: maybe_delivered || noted.maybe_delivered, ..noted })
            }
            (Ok(Err(told)), None) => Err(self.told(told)),
            // Whoever was asked did not answer in time: that is not the plugin's doing, and it may have arrived.
            (Err(Broken::Limit(Limit::Time)), _) if sent => {
                let (code, said) = (Limit::Time.code(), limits.passed(Limit::Time, &self.0.profile.name));
                let failure = self.failure(FailureKind::Retry, code, &format!("{code}: {said}"));
                Err(Failure { maybe_delivered: true, ..failure })
            }
            (Err(broken), _) => {
                let said = broken.said(limits, &self.0.profile.name);
                let words = last_words(&stderr.lines).filter(|_| matches!(broken, Broken::Trap(_)));
                let said = words.map_or_else(|| said.clone(), |words| format!("{said}; it said: {words}"));
                Err(self.fault(broken.fault(), &said, sent))
            }
        }
    }

    fn told(&self, told: Told) -> Failure {
        let said = if told.message.is_empty() { &told.code } else { &told.message };
        Failure {
            kind: told.kind,
            message: self.wrap(said),
            // A destination may have repeated a secret, and a plugin may make anything it heard its code.
            code: text::line(&self.0.profile.secrets.redact(&told.code), limits::PLUGIN_WORD_CHARS),
            after: told.after.map(|after| after.clamp(AFTER.0, AFTER.1)),
            maybe_delivered: told.maybe_delivered,
            progress: told.progress.filter(|progress| progress.len() <= self.0.profile.limits.receipt_bytes),
            fault: None,
        }
    }

    fn noted(&self, note: &Note, limits: &CallLimits, sent: bool) -> Failure {
        let name = &self.0.profile.name;
        match note {
            Note::Origin(origin) if self.is_held_back(origin) => {
                self.failure(FailureKind::Misconfigured, "forbidden-origin", &self.not_accepted(origin))
            }
            Note::Origin(origin) => {
                let said = format!(
                    "it wants {origin}, which it may not reach: add allow = [\"{origin}\"] to [senders.{name}]"
                );
                self.failure(FailureKind::Misconfigured, "forbidden-origin", &said)
            }
            Note::Private(origin) => {
                let said = format!(
                    "{origin} has only private or local addresses: add allow = [\"{origin}\"] or allow_private = true to [senders.{name}]"
                );
                self.failure(FailureKind::Misconfigured, "forbidden-address", &said)
            }
            Note::NoSmtp if self.0.profile.smtp.is_some() => {
                self.failure(FailureKind::Misconfigured, "forbidden-origin", &self.not_accepted("mag's mail service"))
            }
            Note::NoSmtp => {
                let said = format!("it wants to send mail: add smtp = {{ url = \"smtps://…\" }} to [senders.{name}]");
                self.failure(FailureKind::Misconfigured, "no-smtp", &said)
            }
            Note::Secret(why) => self.failure(FailureKind::Misconfigured, "secret", why),
            Note::Url(reason) => self.failure(
                FailureKind::Misconfigured,
                "forbidden-url",
                &format!("it made a request whose URL is not allowed: {reason}"),
            ),
            Note::Method(method) => self.failure(
                FailureKind::Misconfigured,
                "forbidden-method",
                &format!("it made a {method} request, which no plugin may"),
            ),
            Note::Limit(limit) => self.past(*limit, limits, sent),
            Note::Offline => self.fault(Fault::Offline, "it used the network where it has none", sent),
        }
    }

    /// Whether the operator typed an origin, and the lock alone keeps it from the plugin.
    fn is_held_back(&self, origin: &str) -> bool {
        let profile = &self.0.profile;
        profile.bound().is_some() && Origin::parse(origin).is_ok_and(|origin| profile.grants.permits(&origin))
    }

    fn not_accepted(&self, what: &str) -> String {
        format!(
            "it wants {what}, and is another file than mag.lock says, which did not ask for that: look at it, then accept \
             it with `mag sender lock`, and `mag reload`"
        )
    }

    /// It went past a limit.
    fn past(&self, limit: Limit, limits: &CallLimits, maybe_delivered: bool) -> Failure {
        self.fault(Fault::Limit(limit), &limits.passed(limit, &self.0.profile.name), maybe_delivered)
    }

    fn wrap(&self, said: &str) -> String {
        self.0.profile.wrap(Some(&self.0.manifest.version), said)
    }

    fn failure(&self, kind: FailureKind, code: &str, said: &str) -> Failure {
        let message = self.wrap(said);
        let code = code.to_owned();
        Failure { kind, code, message, after: None, maybe_delivered: false, progress: None, fault: None }
    }

    fn fault(&self, fault: Fault, said: &str, maybe_delivered: bool) -> Failure {
        let failure = self.failure(FailureKind::Retry, fault.code(), &format!("{}: {said}", fault.code()));
        Failure { fault: Some(fault), maybe_delivered, ..failure }
    }
}

/// Why a guest gave up, in its own words: what its panic said, else its last line.
pub(super) fn last_words(stderr: &[String]) -> Option<String> {
    let hint = |line: &&String| line.starts_with("note: run with `RUST_BACKTRACE");
    let lines: Vec<&str> = stderr.iter().filter(|line| !hint(line)).map(|line| line.trim()).collect();
    let panic = lines.iter().rposition(|line| line.contains("panicked at"));
    let words = lines.get(panic.unwrap_or(lines.len().saturating_sub(1))..).unwrap_or_default().join(" ");
    Some(words).filter(|words| !words.is_empty())
}

enum Printed {
    Late,
    Not(String),
}

impl Parts {
    fn log(&self, written: &Lines, limits: &CallLimits) {
        for line in &written.lines {
            let line = self.profile.secrets.redact(line);
            tracing::info!(sender = %self.profile.name, plugin = %self.profile.plugin, line, "plugin output");
        }
        if let Some(limit) = written.cut {
            let limit = limits.passed(limit, &self.profile.name);
            tracing::info!(sender = %self.profile.name, plugin = %self.profile.plugin, limit, "plugin output was cut");
        }
    }

    /// What a failed call wrote may say why; what it wanted printed is not printed by halves.
    fn log_unprinted(&self, stdout: &Capture, limits: &CallLimits) {
        if !self.profile.prints {
            self.log(&stdout.lines(limits.of().log_lines), limits);
        }
    }

    /// Prints what the guest left for standard output, or logs it; within what is left of the call's time.
    async fn print(&self, stdout: &Capture, deadline: Instant, limits: &CallLimits) -> Result<(), Printed> {
        if !self.profile.prints {
            self.log(&stdout.lines(limits.of().log_lines), limits);
            return Ok(());
        }
        let bytes = stdout.take();
        if bytes.is_empty() {
            return Ok(());
        }
        match tokio::time::timeout_at(deadline, self.runtime.printer.print(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Printed::Not(format!("cannot write to standard output: {error}"))),
            Err(_elapsed) => Err(Printed::Late),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::last_words;

    #[track_caller]
    fn check(stderr: &[&str], expect: Option<&str>) {
        let lines: Vec<String> = stderr.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(last_words(&lines).as_deref(), expect);
    }

    #[test]
    fn a_panic_is_told_with_its_place_and_without_the_hint_that_follows_it() {
        let hint = "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace";
        let panic = ["working", "thread '<unnamed>' panicked at src/lib.rs:9:5:", "no topic", hint];
        check(&panic, Some("thread '<unnamed>' panicked at src/lib.rs:9:5: no topic"));
        check(&["one", "two"], Some("two"));
        check(&[hint], None);
        check(&[], None);
    }
}
