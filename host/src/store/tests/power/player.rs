//! Plays a scenario as the engine and the senders would, and notes what was answered and when.

use super::scenario::{CONFIGS, End, ROUTES, SENDERS, Scenario, Step, text};
use super::*;

/// Why a play ended early.
#[derive(Debug)]
pub(super) enum Ended {
    /// The store did not open.
    Refused(OpenError),
    /// It stopped, and said this.
    Stopped(String),
}

/// An answer that the store gave.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    /// Operations in the log at that moment.
    pub(super) at: usize,
    /// Messages of each route that it had taken in by then.
    pub(super) accepted: BTreeMap<&'static str, u64>,
}

/// A config that was in force from some operation on.
#[derive(Clone, Copy, Debug)]
pub(super) struct InForce {
    pub(super) from: usize,
    pub(super) config: usize,
}

struct OpenWindow {
    row: i64,
    count: u64,
    opened: Millis,
    severity: Option<Severity>,
}

/// What a play leaves: the log is with the file system.
pub(super) struct Played {
    pub(super) answered: Vec<Answered>,
    pub(super) configs: Vec<InForce>,
    pub(super) ended: Option<Ended>,
}

pub(super) struct Player<'a> {
    fs: &'a FaultFs,
    settings: Settings,
    clock: clock::Clock,
    store: Option<(Store, Running)>,
    config: usize,
    windows: BTreeMap<(usize, usize), OpenWindow>,
    next_row: i64,
    sweeps: u64,
    under_way: Vec<Delivery>,
    armed: BTreeMap<String, oneshot::Receiver<Delivery>>,
    accepted: BTreeMap<&'static str, u64>,
    played: Played,
}

/// Opens a store the way that all plays and the oracle do.
pub(super) fn start(
    settings: &Settings,
    config: usize,
    clock: clock::Clock,
    fs: Option<&FaultFs>,
) -> Result<(Store, Running, Recovered), OpenError> {
    let (routes, senders) = CONFIGS[config];
    let senders: Vec<String> = senders.iter().map(|&sender| sender.to_owned()).collect();
    let notes = fs.map(FaultFs::notes);
    let watch: Watch = Arc::new(move |deed, bytes| {
        if let Some(notes) = &notes {
            notes(of_deed(deed, bytes));
        }
    });
    open_with(settings, &super::super::config(routes), &senders, clock, &watch)
}

/// What is done past SQLite, as an operation of the disk.
fn of_deed(deed: mark::Deed, bytes: &[u8]) -> Operation {
    let part = Part::Mark;
    match deed {
        mark::Deed::LogRewritten => Operation::Rewrite { part: Part::Wal },
        mark::Deed::MarkMade => Operation::Open { part, created: true },
        mark::Deed::MarkWritten => Operation::Write { part, offset: 0, bytes: bytes.into() },
        mark::Deed::MarkSynced => Operation::Sync { part, folder: false },
        mark::Deed::MarkRemoved => Operation::Delete { part, folder: true },
    }
}

/// Plays a scenario over a database in `folder`, until its end or until the store stops.
pub(super) fn play(scenario: &Scenario, fs: &FaultFs, folder: &Path) -> Played {
    let path = folder.join("mag.db");
    scenario.start.write(&path).expect("the files are written");
    let settings = Settings {
        vfs: Some(fs.name().to_owned()),
        // So that checkpoints happen on the way, and a full disk is tried again at once.
        checkpoint_pages: 40,
        full_pause: Duration::from_millis(1),
        ..Settings::new(Some(&path))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut player = Player {
            fs,
            settings,
            clock: clock::Clock::derived(NOON),
            store: None,
            config: 0,
            windows: BTreeMap::new(),
            next_row: 1,
            sweeps: 0,
            under_way: Vec::new(),
            armed: BTreeMap::new(),
            accepted: scenario.accepted.clone(),
            played: Played { answered: Vec::new(), configs: Vec::new(), ended: None },
        };
        player.played.ended = player.all(&scenario.steps).await.err();
        player.stop();
        player.played
    })
}

impl Player<'_> {
    async fn all(&mut self, steps: &[Step]) -> Result<(), Ended> {
        self.open(0).await?;
        for step in steps {
            tokio::time::advance(Duration::from_secs(1)).await;
            if let Step::Reopen { config } = *step {
                self.stop();
                self.open(config).await?;
            } else if self.step(*step).await.is_err() {
                return Err(self.stopped().await);
            }
            self.take_frozen();
        }
        Ok(())
    }

    /// The store's own words, and the proof that it takes nothing more.
    async fn stopped(&mut self) -> Ended {
        let (store, _) = self.store.as_ref().expect("it was open");
        assert_eq!(store.change(Changes::default()).await, Err(Stopped), "no further commit after an unknown outcome");
        Ended::Stopped(store.failure().await)
    }

    async fn open(&mut self, config: usize) -> Result<(), Ended> {
        self.config = config;
        self.played.configs.push(InForce { from: self.fs.logged(), config });
        let (store, running, found) =
            start(&self.settings, config, self.clock.clone(), Some(self.fs)).map_err(Ended::Refused)?;
        self.store = Some((store, running));
        self.answered();
        self.next_row = found.next_row;
        self.under_way = found.deliveries;
        self.windows.clear();
        let mut gone = Vec::new();
        for saved in found.windows {
            let route = ROUTES.iter().position(|route| *route == saved.route).expect("a route");
            let goes_on = CONFIGS[config].0.iter().any(|(route, _)| *route == saved.route);
            let text = (0..6).find(|n| text(*n) == saved.shared.text).unwrap_or(6);
            let window = OpenWindow {
                row: saved.row,
                count: saved.count,
                opened: saved.opened,
                severity: saved.shared.severity,
            };
            if goes_on && !self.windows.contains_key(&(route, text)) {
                self.windows.insert((route, text), window);
            } else {
                gone.push(self.closed((route, text), &window, 0, Reason::Time));
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        let changes = Changes { closed: gone, ..Changes::default() };
        match self.change(changes).await {
            Ok(()) => Ok(()),
            Err(Stopped) => Err(self.stopped().await),
        }
    }

    fn stop(&mut self) {
        self.armed.clear();
        if let Some((store, running)) = self.store.take() {
            drop(store);
            running.wait();
        }
    }

    fn answered(&mut self) {
        self.played.answered.push(Answered { at: self.fs.logged(), accepted: self.accepted.clone() });
    }

    fn store(&self) -> Result<&Store, Stopped> {
        self.store.as_ref().map(|(store, _)| store).ok_or(Stopped)
    }

    async fn change(&mut self, changes: Changes) -> Result<(), Stopped> {
        self.store()?.change(changes).await?;
        self.answered();
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<(), Stopped> {
        match step {
            Step::Take { route, .. } | Step::Close { route, .. } | Step::Together { route, .. }
                if !CONFIGS[self.config].0.iter().any(|(name, _)| *name == ROUTES[route]) =>
            {
                Ok(())
            }
            Step::Take { route, text, count, severity } => self.take(route, text, count, severity).await,
            Step::Close { route, text, count } => {
                let changes = self.close(route, text, count);
                self.change(changes).await
            }
            Step::Ring { route, parts } => self.ring(route, parts).await,
            Step::Next { sender, max_groups, split } => {
                self.next(Freeze { sender: SENDERS[sender].to_owned(), max_groups, split, living: None }).await
            }
            Step::NextLiving { sender } => {
                let living = Some(Duration::from_secs(600));
                self.next(Freeze { sender: SENDERS[sender].to_owned(), max_groups: 1, split: true, living }).await
            }
            Step::Escalate { .. } | Step::Letters { .. } | Step::Test { .. } => self.by_a_person(step).await,
            Step::End { sender, end } => self.end(SENDERS[sender], end).await,
            Step::Again { sender } => self.again(SENDERS[sender]).await,
            Step::Together { route, count } => self.together(route, count).await,
            Step::Trim => {
                let now = self.clock.now();
                self.store()?.trim(now).await?;
                self.answered();
                Ok(())
            }
            Step::Reopen { .. } => unreachable!("it is no command"),
        }
    }

    async fn take(&mut self, route: usize, n: usize, count: u64, severity: Option<Severity>) -> Result<(), Stopped> {
        let (now, next) = (self.clock.now(), self.next_row);
        let first_of_route = !self.windows.keys().any(|(of, _)| *of == route);
        let opened = OpenWindow { row: next, count: 0, opened: now, severity: None };
        let window = self.windows.entry((route, n)).or_insert(opened);
        let saved = window.count;
        let worse = severity > window.severity;
        window.count += count;
        window.severity = window.severity.max(severity);
        let all = || {
            let shared = Message { severity: window.severity, ..message(&text(n)) };
            let group = group(ROUTES[route], &text(n), window.count);
            Window { saved, opened: window.opened, ..restart::window(window.row, &group, shared) }
        };
        let name: Arc<str> = ROUTES[route].into();
        let change = if saved == 0 {
            WindowChange::Opened { route: name.clone(), window: all() }
        } else if worse {
            WindowChange::Reshaped { route: name.clone(), window: all() }
        } else {
            let (row, all) = (window.row, window.count);
            let (first_seen, last_seen) = (NOON, now);
            WindowChange::Grew { route: name.clone(), row, added: count, count: all, first_seen, last_seen }
        };
        self.next_row += i64::from(saved == 0);
        let running = Some(Clock { started: now, rings: now + 30_000 });
        let clocks = if first_of_route { vec![SavedClock { route: name, running }] } else { Vec::new() };
        *self.accepted.entry(ROUTES[route]).or_default() += count;
        self.change(Changes { windows: vec![change], clocks, ..Changes::default() }).await
    }

    fn closed(&self, (route, n): (usize, usize), window: &OpenWindow, added: u64, reason: Reason) -> Closed {
        let group = Group {
            severity: window.severity,
            opened: window.opened,
            closed: self.clock.now(),
            reason,
            samples: vec![format!("sample of {n}")],
            ..group(ROUTES[route], &text(n), window.count + added)
        };
        Closed { row: window.row, added, group }
    }

    fn close(&mut self, route: usize, n: usize, count: u64) -> Changes {
        let new = OpenWindow { row: self.next_row, count: 0, opened: self.clock.now(), severity: None };
        let window = self.windows.remove(&(route, n)).unwrap_or(new);
        self.next_row += i64::from(window.row == self.next_row);
        *self.accepted.entry(ROUTES[route]).or_default() += count;
        let closed = vec![self.closed((route, n), &window, count, Reason::Count)];
        Changes { closed, ..Changes::default() }
    }

    async fn ring(&mut self, route: usize, parts: usize) -> Result<(), Stopped> {
        let keys: Vec<_> = self.windows.keys().filter(|(of, _)| *of == route).copied().collect();
        self.sweeps += 1;
        let number = self.sweeps;
        let mut rest: Vec<Closed> = Vec::new();
        for key in keys {
            let window = self.windows.remove(&key).expect("its key was just read");
            rest.push(self.closed(key, &window, 0, Reason::Time));
        }
        let clocks = vec![SavedClock { route: ROUTES[route].into(), running: None }];
        for part in 1..=parts {
            let whole = part == parts;
            let here = if whole { rest.len() } else { rest.len().div_ceil(parts) };
            let closed = rest.drain(..here).collect();
            let clocks = if part == 1 { clocks.clone() } else { Vec::new() };
            self.change(Changes { sweep: Some(SweepPart { number, closed, whole }), clocks, ..Changes::default() })
                .await?;
        }
        Ok(())
    }

    async fn by_a_person(&mut self, step: Step) -> Result<(), Stopped> {
        let store = self.store()?;
        match step {
            Step::Escalate { sender } => {
                let Some(fallback) = self.fallback(SENDERS[sender]) else { return Ok(()) };
                let (sender, code, error) = (SENDERS[sender].to_owned(), "http-500".to_owned(), "no".to_owned());
                store.escalate(Escalation { sender, fallback, code, error }).await?;
            }
            // That there is none, or no such sender, is an answer too.
            Step::Letters { sender, deed } => {
                drop(store.letters(Which::Sender(SENDERS[sender].to_owned()), deed).await?)
            }
            Step::Test { sender } => drop(store.test(SENDERS[sender].to_owned(), Duration::from_secs(60)).await?),
            _ => unreachable!("no person does that"),
        }
        self.answered();
        Ok(())
    }

    /// Only `two` tells for another, so that what `one` accepted is what was sent.
    fn fallback(&self, sender: &str) -> Option<String> {
        (sender == "one" && CONFIGS[self.config].1.contains(&"two")).then(|| "two".to_owned())
    }

    async fn next(&mut self, freeze: Freeze) -> Result<(), Stopped> {
        let sender = freeze.sender.clone();
        if self.armed.contains_key(&sender) || !CONFIGS[self.config].1.contains(&sender.as_str()) {
            return Ok(());
        }
        self.fs.hold_syncs();
        let frozen = self.store()?.arm(freeze).await?;
        self.wait_until_held()?;
        self.fs.release_syncs();
        self.armed.insert(sender, frozen);
        // The answer to a later command says that this one is done.
        self.store()?.trim(0).await?;
        self.answered();
        Ok(())
    }

    /// Waits until the writer stands at a sync, so that what is sent from now on is not in its transaction; or until a
    /// fault kept it from getting there.
    fn wait_until_held(&self) -> Result<(), Stopped> {
        let failed = &self.store()?.failed;
        while failed.borrow().is_none() && !self.fs.wait_until_sync_is_held(Duration::from_millis(5)) {}
        Ok(())
    }

    /// What armed senders were given by now is under way.
    fn take_frozen(&mut self) {
        let (mut given, mut still) = (Vec::new(), BTreeMap::new());
        for (sender, mut frozen) in std::mem::take(&mut self.armed) {
            match frozen.try_recv() {
                Ok(delivery) => given.push(delivery),
                Err(_not_yet) => drop(still.insert(sender, frozen)),
            }
        }
        self.armed = still;
        self.under_way.extend(given);
    }

    async fn end(&mut self, sender: &str, end: End) -> Result<(), Stopped> {
        let sending = |delivery: &Delivery| delivery.sender == sender && delivery.next_attempt.is_none();
        let Some(at) = self.under_way.iter().position(sending) else { return Ok(()) };
        let mut delivery = self.under_way.remove(at);
        let outcome = match end {
            End::Delivered => {
                let updated_in_place = delivery.previous.is_some();
                Outcome::Delivered { receipt: Some(vec![7; 40]), updated_in_place }
            }
            End::Backoff => backoff(),
            End::Dead | End::Escalated => dead(),
        };
        let fallback = if matches!(end, End::Escalated) { self.fallback(sender) } else { None };
        delivery.tries.failures += u32::from(!matches!(end, End::Delivered));
        let (id, attempt, sender, tries) = (delivery.id.clone(), delivery.attempt, sender.to_owned(), delivery.tries);
        if matches!(end, End::Backoff) {
            delivery.next_attempt = Some(self.clock.now() + 1_000);
            self.under_way.push(delivery);
        }
        self.store()?.finish(Attempted { id, attempt, sender, outcome, tries, fallback }).await?;
        self.answered();
        Ok(())
    }

    async fn again(&mut self, sender: &str) -> Result<(), Stopped> {
        let waits = |delivery: &&mut Delivery| delivery.sender == sender && delivery.next_attempt.is_some();
        let Some(delivery) = self.under_way.iter_mut().find(waits) else { return Ok(()) };
        delivery.attempt += 1;
        delivery.next_attempt = None;
        let delivery = delivery.clone();
        self.store()?.begin(delivery).await?;
        self.answered();
        Ok(())
    }

    /// The first one is held at its sync until the others wait, so that it is certain who shares a transaction.
    async fn together(&mut self, route: usize, count: u64) -> Result<(), Stopped> {
        let changes: Vec<Changes> = (0..4).map(|n| self.close(route, n, count)).collect();
        let store = self.store()?.clone();
        self.fs.hold_syncs();
        let mut running = Vec::new();
        for changes in changes {
            let store = store.clone();
            running.push(tokio::spawn(async move { store.change(changes).await }));
            tokio::task::yield_now().await;
            if running.len() == 1 {
                self.wait_until_held()?;
            }
        }
        self.fs.release_syncs();
        for change in running {
            change.await.expect("the task ends")?;
        }
        self.answered();
        Ok(())
    }
}
