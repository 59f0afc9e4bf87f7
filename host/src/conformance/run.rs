//! The run itself: one plugin, one call after the other.

use std::path::PathBuf;

use serde_json::Value;

use super::answers::{self, AnswerCase, NO_CONNECTION, SLOW_TIMEOUT, outcome};
use super::config::{is_closed, is_one_of, wrong};
use super::double::{Asked, Does, Double, Instead, status};
use super::report::{Check, Outcome, Part, Report};
use super::script::{Script, Scripted};
use super::{told, wire};
use crate::clock::Clock;
use crate::config::{Plugin, SecretPlace, SecretSource, SecretValue, Sender, SenderSecret, Values};
use crate::message::{Notification, counted};
use crate::sender::{Delivered, Failure, Host, HostError, HostOptions, LoadError, Manifest, StartError, Started};

/// What is tried out.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The component.
    pub plugin: Plugin,
    /// What it is tried with.
    pub script: Script,
    /// Where compiled plugins are kept.
    pub cache_dir: Option<PathBuf>,
}

/// Why nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum NotRun {
    /// The plugin host does not run here.
    #[error(transparent)]
    Host(#[from] HostError),
    /// There is no local server.
    #[error("cannot listen on the loopback: {0}")]
    Double(#[from] std::io::Error),
    /// The plugin does not load.
    #[error("{0}")]
    Load(#[from] LoadError),
    /// It does not take the config that it should be tried with.
    #[error("{0}: write a config that it takes into conformance.toml, under [config] and [secrets]")]
    Config(StartError),
    /// It does not even start.
    #[error("{0}")]
    Start(StartError),
    /// The script names cases that there are not.
    #[error("[expect] has a case that there is not: {}", .0.join(", "))]
    Cases(Vec<String>),
}

/// Tries a plugin out.
///
/// # Errors
///
/// When it cannot be tried at all; what it does wrong is in the report.
pub async fn run(subject: &Subject) -> Result<Report, NotRun> {
    let unknown = answers::unknown_names(&subject.script);
    if !unknown.is_empty() {
        return Err(NotRun::Cases(unknown));
    }
    let mut run = Run::start(subject).await?;
    let started = run.begin().await?;
    let state = Box::pin(run.exports(&started)).await;
    Box::pin(run.config(&started)).await;
    if let Some(state) = state {
        Box::pin(run.notifications(&started, &state)).await;
        Box::pin(run.answers(&started, &state)).await;
        Box::pin(run.living(&started, &state)).await;
    }
    Ok(run.report(&started))
}

struct Run<'a> {
    script: &'a Script,
    host: Host,
    double: Double,
    sender: Sender,
    /// When the notifications were formed.
    now: u64,
    checks: Vec<Check>,
}

/// A call of `send`, and what the double got from it.
struct Sent {
    ended: Result<Delivered, Failure>,
    asked: Vec<Asked>,
}

impl<'a> Run<'a> {
    async fn start(subject: &'a Subject) -> Result<Self, NotRun> {
        let script = &subject.script;
        let double = Double::start(script.answers.clone()).await?;
        let mut options = HostOptions::new(subject.cache_dir.clone());
        // What `console` prints is told as well as what others post; nobody has to see it.
        options.stdout = Box::new(std::io::sink());
        options.stdout_is_terminal = false;
        options.double = Some(double.for_host());
        let host = Host::new(options)?;
        let mut sender = Sender::new("conformance", subject.plugin.clone(), "conformance.toml");
        sender.config = Value::Object(script.config.clone());
        // As an operator who lets each stand wherever the plugin wants it.
        let secret = |value: &String| SenderSecret {
            places: Some(SecretPlace::ALL.to_vec()),
            ..SecretSource::Value(SecretValue(value.clone())).into()
        };
        sender.secrets = script.secrets.iter().map(|(name, value)| (name.clone(), secret(value))).collect();
        Ok(Self { script, host, double, sender, now: Clock::system().now(), checks: Vec::new() })
    }

    /// Starts the plugin with the config that it should take; the operator grants whatever that makes it want.
    async fn begin(&mut self) -> Result<Started, NotRun> {
        let mut refused = 0;
        loop {
            match self.try_start(&self.sender).await? {
                Ok(started) => return Ok(started),
                Err(StartError::Refused { asked, .. }) if refused == 0 => {
                    refused += 1;
                    self.sender.allow.extend(asked.into_iter().map(|asked| asked.origin));
                }
                Err(error @ StartError::Config { .. }) => return Err(NotRun::Config(error)),
                Err(error) => return Err(NotRun::Start(error)),
            }
        }
    }

    async fn try_start(&self, sender: &Sender) -> Result<Result<Started, StartError>, LoadError> {
        let value = |(name, secret): (&String, &SenderSecret)| match &secret.source {
            SecretSource::Value(value) => Some((name.clone(), value.clone().into())),
            // The script has no other ones.
            _ => None,
        };
        let values: Values = sender.secrets.iter().filter_map(value).collect();
        let loaded = self.host.load(sender, &values)?;
        Ok(Box::pin(loaded.start()).await)
    }

    fn check(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// The exports that are called before anything is told; the state of `prepare`, unless it failed.
    async fn exports(&mut self, started: &Started) -> Option<Vec<u8>> {
        let manifest = started.manifest();
        let said = about(manifest);
        self.check(Check::new(Part::Exports, "describe", said.is_ok(), said.clone().unwrap_or_else(|why| why)));
        let origins = started.origins();
        let wants =
            if origins.is_empty() { "wants no origin".to_owned() } else { format!("wants {}", origins.join(", ")) };
        self.check(Check::new(Part::Exports, "validate", true, wants));
        drop(self.double.take());
        let prepared = Box::pin(started.prepare()).await;
        let asked = self.double.take();
        match prepared {
            Ok(prepared) => {
                let told = format!("{}, {} of state", requests(&asked), bytes(prepared.state.len()));
                self.check(Check::new(Part::Exports, "prepare", true, told));
                if !asked.is_empty() {
                    self.failing_prepare(started).await;
                }
                Some(prepared.state)
            }
            Err(failure) => {
                let note = format!(
                    "{}: its provider's answers belong into conformance.toml, under [[answers]]",
                    failure.message
                );
                self.check(Check::new(Part::Exports, "prepare", false, failure.kind.as_str()).noting(note));
                None
            }
        }
    }

    async fn failing_prepare(&mut self, started: &Started) {
        for (code, expect) in [(401, "misconfigured"), (429, "rate-limited"), (500, "retry")] {
            self.double.does(Some(Instead::always(Does::Answer(status(code)))));
            let ended = Box::pin(started.prepare()).await;
            self.double.does(None);
            let told = outcome(&ended.map(|_| Delivered::default()), false);
            let name = format!("prepare, answered {code}");
            self.check(Check::new(Part::Exports, name, told == expect, told).expecting(expect));
        }
        drop(self.double.take());
    }

    /// Every mistake must be refused, and found where it is.
    async fn config(&mut self, started: &Started) {
        let schema: Value = serde_json::from_str(&started.manifest().config_schema).unwrap_or_default();
        if !is_closed(&schema) {
            let why = "its schema takes any key: with \"additionalProperties\": false a misspelled one is found";
            self.check(Check::skipped(Part::Config, "an unknown key", why));
        }
        for wrong in wrong(&schema, self.script) {
            let sender = Sender { config: wrong.config.clone(), ..self.sender.clone() };
            let check = match self.try_start(&sender).await {
                Err(error) => Check::new(Part::Config, wrong.name, false, error.to_string()),
                Ok(Err(StartError::Config { mistakes, .. })) => {
                    let found = mistakes.iter().find(|mistake| is_one_of(&mistake.pointer, &wrong.pointers));
                    let shown = found.or(mistakes.first());
                    let told = shown.map_or_else(String::new, |said| format!("{}: {}", said.pointer, said.message));
                    let check = Check::new(Part::Config, wrong.name, found.is_some(), told);
                    if found.is_some() {
                        check
                    } else {
                        check.expecting(format!("a mistake at {}", pointers(&wrong.pointers)))
                    }
                }
                Ok(Err(StartError::Plugin(said))) => Check::new(Part::Config, wrong.name, false, said),
                Ok(_) => {
                    let expect = format!("a mistake at {}", pointers(&wrong.pointers));
                    Check::new(Part::Config, wrong.name, false, "accepted").expecting(expect)
                }
            };
            self.check(check);
        }
    }

    async fn send(&self, started: &Started, state: &[u8], notification: &Notification) -> Sent {
        drop(self.double.take());
        let timeout_ms = u32::try_from(self.sender.timeout.as_millis()).unwrap_or(u32::MAX);
        let notification = Notification { timeout_ms, ..notification.clone() };
        let ended = Box::pin(started.send(state, &notification)).await;
        Sent { ended, asked: self.double.take() }
    }

    async fn notifications(&mut self, started: &Started, state: &[u8]) {
        for telling in told::all(self.now, started.manifest().max_groups, &self.script.never) {
            let sent = self.send(started, state, &telling.notification).await;
            let told = outcome(&sent.ended, false);
            let wrong = sent.ended.as_ref().err().map(|failure| failure.message.clone());
            let wrong = wrong.or_else(|| wire::mistakes(&sent.asked, self.script));
            let told = format!("{told}, {}", requests(&sent.asked));
            self.check(
                Check::new(Part::Notifications, telling.name, wrong.is_none(), told).noting(wrong.unwrap_or_default()),
            );
        }
        let first = told::one(self.now, "disk full");
        let second = Notification { attempt: 2, ..first.clone() };
        let (first, second) = (self.send(started, state, &first).await, self.send(started, state, &second).await);
        let same = wire::is_same_again(&first.asked, &second.asked);
        let is_ok = same.is_ok() && second.ended.is_ok();
        self.check(Check::new(Part::Notifications, "the same once more", is_ok, same.unwrap_or_else(|why| why)));
    }

    async fn answers(&mut self, started: &Started, state: &[u8]) {
        let one = told::one(self.now, "disk full");
        let usual = self.send(started, state, &one).await;
        let cases = answers::cases(self.script);
        if usual.asked.is_empty() {
            for case in cases {
                self.check(Check::skipped(Part::Answers, case.name, "it asks nobody"));
            }
            return;
        }
        let told = outcome(&usual.ended, false);
        self.check(Check::new(Part::Answers, "200", told == "delivered", told).expecting("delivered"));
        let mut impatient = Sender { timeout: SLOW_TIMEOUT, ..self.sender.clone() };
        impatient.name = "impatient".to_owned();
        for case in cases {
            let check = if case.is_slow {
                match self.try_start(&impatient).await {
                    Ok(Ok(impatient)) => self.answer(&impatient, state, case).await,
                    _ => Check::new(Part::Answers, case.name, false, "it did not start a second time"),
                }
            } else {
                self.answer(started, state, case).await
            };
            self.check(check);
        }
        let check = self.no_connection(started, state, &one).await;
        self.check(check);
    }

    async fn answer(&self, started: &Started, state: &[u8], case: AnswerCase) -> Check {
        let only = case.only.clone();
        let to = move |asked: &Asked| only.as_ref().is_none_or(|only: &Scripted| only.fits(&asked.method, &asked.path));
        self.double.does(Some(Instead { to: std::sync::Arc::new(to), does: case.does }));
        let one = told::one(self.now, "disk full");
        let sent = if case.is_slow {
            let timeout_ms = u32::try_from(SLOW_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
            let one = Notification { timeout_ms, ..one };
            Sent { ended: Box::pin(started.send(state, &one)).await, asked: self.double.take() }
        } else {
            self.send(started, state, &one).await
        };
        self.double.does(None);
        let told = outcome(&sent.ended, case.with_pause);
        judged(case.name, told, &case.expect, case.by_script).noting(code(&sent.ended))
    }

    async fn no_connection(&self, started: &Started, state: &[u8], one: &Notification) -> Check {
        if let Err(error) = self.double.goes_away().await {
            return Check::skipped(Part::Answers, NO_CONNECTION, &error.to_string());
        }
        let sent = self.send(started, state, one).await;
        self.double.comes_back();
        let own = self.script.expect.get(NO_CONNECTION);
        let expect = own.cloned().unwrap_or_else(|| "retry".to_owned());
        judged(NO_CONNECTION.to_owned(), outcome(&sent.ended, false), &[expect], own.is_some())
            .noting(code(&sent.ended))
    }

    /// For plugins that change what they told before.
    async fn living(&mut self, started: &Started, state: &[u8]) {
        if !started.manifest().updates_in_place {
            return;
        }
        let one = told::one(self.now, "disk full");
        let posted = self.send(started, state, &one).await;
        let Some(receipt) = posted.ended.ok().and_then(|delivered| delivered.receipt) else {
            self.check(Check::new(Part::Living, "a receipt", false, "none"));
            return;
        };
        self.check(Check::new(Part::Living, "a receipt", true, bytes(receipt.len())));
        let update = Notification { previous: Some(receipt), ..told::one(self.now, "disk full") };
        let changed = self.send(started, state, &update).await;
        let (told, is_ok) = in_place(&changed.ended, true);
        self.check(Check::new(Part::Living, "an update", is_ok, told).expecting("changed in place"));

        if self.script.never_gone {
            return;
        }
        // What only an update asks is what finds no message.
        let (gone, posts) = (self.script.gone.clone(), posted.asked);
        let does = Does::Answer(gone.clone().unwrap_or_else(|| status(404)));
        let to = move |asked: &Asked| match &gone {
            Some(gone) => gone.fits(&asked.method, &asked.path),
            None => !posts.iter().any(|post| (&post.method, &post.path) == (&asked.method, &asked.path)),
        };
        self.double.does(Some(Instead { to: std::sync::Arc::new(to), does }));
        let anew = self.send(started, state, &update).await;
        self.double.does(None);
        let (told, is_ok) = in_place(&anew.ended, false);
        self.check(Check::new(Part::Living, "an update of what is gone", is_ok, told).expecting("posted anew"));
    }

    fn report(self, started: &Started) -> Report {
        let manifest = started.manifest();
        Report {
            plugin: manifest.name.clone(),
            version: manifest.version.clone(),
            description: manifest.description.clone(),
            origins: started.origins(),
            conforms: self.checks.iter().all(|check| check.result != Outcome::Wrong),
            checks: self.checks,
        }
    }
}

fn judged(name: String, told: String, expect: &[String], by_script: bool) -> Check {
    let expected = expect.join(" or ") + if by_script { " (its conformance.toml)" } else { "" };
    Check::new(Part::Answers, name, expect.contains(&told), told).expecting(expected)
}

/// The plugin's own word for what went wrong.
fn code(ended: &Result<Delivered, Failure>) -> String {
    ended.as_ref().err().map(|failure| failure.code.clone()).unwrap_or_default()
}

fn in_place(ended: &Result<Delivered, Failure>, updated: bool) -> (String, bool) {
    match ended {
        Ok(delivered) if delivered.updated_in_place => ("changed in place".to_owned(), updated),
        Ok(delivered) if delivered.receipt.is_none() => ("posted anew, without a receipt".to_owned(), false),
        Ok(_) => ("posted anew".to_owned(), !updated),
        failed => (outcome(failed, false), false),
    }
}

fn requests(asked: &[Asked]) -> String {
    match asked.len() {
        0 => "no request".to_owned(),
        some => counted(some as u64, "request"),
    }
}

fn bytes(length: usize) -> String {
    counted(length as u64, "byte")
}

fn pointers(all: &[String]) -> String {
    all.iter().map(|pointer| if pointer.is_empty() { "\"\"" } else { pointer }).collect::<Vec<_>>().join(" or ")
}

/// What a plugin says of itself, or what it should say and does not.
fn about(manifest: &Manifest) -> Result<String, String> {
    if manifest.name.is_empty() || manifest.version.is_empty() {
        return Err("it has no name or no version".to_owned());
    }
    match serde_json::from_str::<Value>(&manifest.config_schema) {
        Ok(Value::Object(_)) => {}
        Ok(_) => return Err("its config-schema is no object".to_owned()),
        Err(error) => return Err(format!("its config-schema is no JSON: {error}")),
    }
    if manifest.max_groups == Some(0) {
        return Err("it takes no groups: max-groups is 0".to_owned());
    }
    Ok(format!("{} {}", manifest.name, manifest.version))
}
