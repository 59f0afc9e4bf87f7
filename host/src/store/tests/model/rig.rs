//! The store and the model side by side.

use super::simple::{Closing, Frozen, Model, Open};
use super::*;

/// Windows that a route's clock closed, by row, and that are not all with the store yet.
struct Sweep {
    number: u64,
    left: VecDeque<i64>,
}

/// A store, what the engine would know of it, and the model of it.
pub(super) struct Checked {
    folder: tempfile::TempDir,
    path: PathBuf,
    clock: clock::Clock,
    rig: Rig,
    model: Model,
    config: Config,
    /// Windows that still count, by route and text.
    table: BTreeMap<(usize, usize), i64>,
    next_row: i64,
    sweep: Option<Sweep>,
    sweeps: u64,
    armed: BTreeMap<&'static str, oneshot::Receiver<Delivery>>,
}

impl Checked {
    pub(super) fn start() -> Self {
        let (folder, path) = file();
        let clock = clock::Clock::derived(NOON);
        let (routes, senders) = CONFIGS[0];
        let rig = Rig::with(&settings(&path), routes, senders, clock.clone());
        let mut model = Model::default();
        model.reopen(CONFIGS[0]);
        let (table, armed) = (BTreeMap::new(), BTreeMap::new());
        let config = CONFIGS[0];
        Self { folder, path, clock, rig, model, config, table, next_row: 1, sweep: None, sweeps: 0, armed }
    }

    pub(super) async fn apply(&mut self, operation: &Operation) {
        match *operation {
            Operation::Count(counting) if self.has_route(counting) => {
                let changes = self.count(counting);
                self.change(changes).await;
            }
            Operation::CloseByCount(counting) if self.has_route(counting) => {
                let changes = self.close_by_count(counting);
                self.change(changes).await;
            }
            Operation::Ring { route } => self.ring(route),
            Operation::SweepPart { windows } => self.sweep_part(windows).await,
            Operation::Arm { sender, max_groups, split } => self.arm(SENDERS[sender], max_groups, split).await,
            Operation::Disarm { sender } => self.disarm(SENDERS[sender]).await,
            Operation::Finish { nth, end } => self.finish(nth, end).await,
            Operation::Begin { nth } => self.begin(nth).await,
            Operation::Escalate { from, to } => self.escalate(SENDERS[from], SENDERS[to]).await,
            Operation::Letter { nth, deed } => self.letter(nth, deed).await,
            Operation::Reopen { config } => self.reopen(config).await,
            Operation::Crash { config, during } => self.crash(config, during).await,
            Operation::Count(_) | Operation::CloseByCount(_) => {}
        }
    }

    fn has_route(&self, counting: Counting) -> bool {
        self.config.0.iter().any(|(route, _)| *route == ROUTES[counting.route])
    }

    async fn change(&self, changes: Changes) {
        self.rig.store.change(changes).await.expect("the store runs");
    }

    /// Counts in the model and says to the store what changed.
    fn count(&mut self, counting: Counting) -> Changes {
        let next = self.next_row;
        let row = *self.table.entry((counting.route, counting.text)).or_insert(next);
        let before = self.model.windows.get(&row).cloned();
        self.model.count(row, counting, self.clock.now());
        self.next_row += i64::from(before.is_none());
        let (route, after) = (ROUTES[counting.route].into(), &self.model.windows[&row]);
        let change = match before {
            None => WindowChange::Opened { route, window: window(row, after, 0) },
            Some(before) if before.severity == after.severity => WindowChange::Grew {
                route,
                row,
                added: counting.count,
                count: after.count,
                first_seen: NOON,
                last_seen: NOON,
            },
            Some(before) => WindowChange::Reshaped { route, window: window(row, after, before.count) },
        };
        Changes { windows: vec![change], ..Changes::default() }
    }

    /// Closes the group's window together with messages that were never written; there may be no window yet.
    fn close_by_count(&mut self, counting: Counting) -> Changes {
        let now = self.clock.now();
        let next = self.next_row;
        let row = self.table.remove(&(counting.route, counting.text)).unwrap_or(next);
        self.next_row += i64::from(row == next);
        self.model.count(row, counting, now);
        let group = self.model.close(row, Closing { reason: Reason::Count, sweep: 0, at: now });
        Changes { closed: vec![Closed { row, added: counting.count, group }], ..Changes::default() }
    }

    fn ring(&mut self, route: usize) {
        let rows: BTreeSet<i64> = self.table.iter().filter(|((at, _), _)| *at == route).map(|(_, row)| *row).collect();
        if self.sweep.is_none() && !rows.is_empty() {
            self.table.retain(|_, row| !rows.contains(row));
            self.sweeps += 1;
            self.sweep = Some(Sweep { number: self.sweeps, left: rows.into_iter().collect() });
        }
    }

    async fn sweep_part(&mut self, windows: usize) {
        let Some(mut sweep) = self.sweep.take() else { return };
        let how = Closing { reason: Reason::Time, sweep: sweep.number, at: self.clock.now() };
        let rows: Vec<i64> = sweep.left.drain(..windows.min(sweep.left.len())).collect();
        let closed = rows.into_iter().map(|row| Closed { row, added: 0, group: self.model.close(row, how) }).collect();
        let (number, whole) = (sweep.number, sweep.left.is_empty());
        if whole {
            self.model.sweeping.remove(&number);
        } else {
            self.model.sweeping.insert(number);
            self.sweep = Some(sweep);
        }
        self.change(Changes { sweep: Some(SweepPart { number, closed, whole }), ..Changes::default() }).await;
    }

    async fn arm(&mut self, sender: &'static str, max_groups: u32, split: bool) {
        if self.armed.contains_key(sender) || !self.config.1.contains(&sender) {
            return;
        }
        let freeze = Freeze { sender: sender.to_owned(), max_groups, split, living: None };
        self.model.armed.insert(sender.to_owned(), freeze.clone());
        self.armed.insert(sender, self.rig.store.arm(freeze).await.expect("the store runs"));
        // The answer to a later command says that this one is done.
        self.rig.store.trim(0).await.expect("the store runs");
    }

    async fn disarm(&mut self, sender: &'static str) {
        self.rig.store.disarm(sender.to_owned()).await.expect("the store runs");
        self.armed.remove(sender);
        self.model.armed.remove(sender);
    }

    /// A delivery that stands in that state.
    fn pick(&self, nth: usize, in_backoff: bool) -> Option<Delivery> {
        let fitting: Vec<&Delivery> = self.model.under_way.values().map(|frozen| &frozen.delivery).collect();
        let fitting: Vec<_> = fitting.into_iter().filter(|d| d.next_attempt.is_some() == in_backoff).collect();
        fitting.get(nth.checked_rem(fitting.len())?).map(|delivery| (*delivery).clone())
    }

    async fn finish(&mut self, nth: usize, end: End) {
        let Some(delivery) = self.pick(nth, false) else { return };
        let outcome = match end {
            End::Delivered => Outcome::Delivered { receipt: Some(vec![7]), updated_in_place: false },
            End::Backoff => backoff(),
            End::Dead | End::Escalated(_) => dead(),
        };
        let fallback = match end {
            End::Escalated(to) => Some(SENDERS[to]).filter(|to| self.has_both(&delivery.sender, to)),
            _ => None,
        };
        self.model.finish(&delivery.id, &outcome, fallback, self.clock.now());
        let attempted = Attempted { fallback: fallback.map(str::to_owned), ..attempted(&delivery, outcome) };
        self.rig.store.finish(attempted).await.expect("the store runs");
    }

    fn has_both(&self, from: &str, to: &str) -> bool {
        from != to && [from, to].iter().all(|sender| self.config.1.contains(sender))
    }

    async fn escalate(&mut self, from: &'static str, to: &'static str) {
        if self.has_both(from, to) {
            let made = self.model.escalate(from, to, self.clock.now());
            assert_eq!(self.rig.store.escalate(escalation(from, to)).await, Ok(made));
        }
    }

    async fn letter(&mut self, nth: usize, deed: Deed) {
        let known = |frozen: &&Frozen| self.config.1.contains(&frozen.delivery.sender.as_str());
        let ids: Vec<String> = self.model.letters.values().filter(known).map(|f| f.delivery.id.clone()).collect();
        let Some(id) = nth.checked_rem(ids.len()).and_then(|nth| ids.get(nth)) else { return };
        self.model.letter(id, deed);
        let moved = self.rig.store.letters(Which::Ids(vec![id.clone()]), deed).await.expect("the store runs");
        assert_eq!(moved.map(|moved| moved.letters), Ok(1));
    }

    async fn begin(&mut self, nth: usize) {
        let Some(delivery) = self.pick(nth, true) else { return };
        let again = &mut self.model.under_way.get_mut(&delivery.id).expect("it was picked").delivery;
        again.attempt += 1;
        again.next_attempt = None;
        self.rig.store.begin(again.clone()).await.expect("the store runs");
    }

    pub(super) async fn reopen(&mut self, config: usize) {
        self.restart(CONFIGS[config], None).await;
    }

    /// Goes on with a copy of what is on disk, without the order of a stop.
    async fn crash(&mut self, config: usize, during: Option<Counting>) {
        self.compare();
        let copied = tempfile::tempdir().expect("a folder");
        let mut under_way = None;
        let before = self.model.clone();
        if let Some(counting) = during.filter(|counting| self.has_route(*counting)) {
            // Nobody may be given a delivery whose id the model cannot know.
            for sender in SENDERS {
                self.disarm(sender).await;
            }
            let (changes, store) = (self.close_by_count(counting), self.rig.store.clone());
            under_way = Some(tokio::spawn(async move { store.change(changes).await }));
            tokio::task::yield_now().await;
        }
        for name in ["mag.db", "mag.db-wal"] {
            std::fs::copy(self.folder.path().join(name), copied.path().join(name)).expect("the file is copied");
        }
        if let Some(commit) = under_way {
            commit.await.expect("the task ends").expect("the store runs");
            if reading::ledger(&copied.path().join("mag.db")) != self.model.ledger() {
                self.model = before;
                self.model.armed.clear();
            }
        }
        self.restart(CONFIGS[config], Some(copied)).await;
    }

    async fn restart(&mut self, config: Config, copied: Option<tempfile::TempDir>) {
        self.armed.clear();
        let path = copied.as_ref().map_or_else(|| self.path.clone(), |folder| folder.path().join("mag.db"));
        let idle = Rig::simple(None);
        std::mem::replace(&mut self.rig, idle).stop();
        let buried = self.model.reopen(config);
        let rig = Rig::with(&settings(&path), config.0, config.1, self.clock.clone());
        std::mem::replace(&mut self.rig, rig).stop();
        (self.path, self.config) = (path, config);
        self.folder = copied.unwrap_or(std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder")));
        let found = std::mem::take(&mut self.rig.recovered);
        assert_eq!(found.buried, buried);
        let under_way: Vec<Delivery> = self.model.under_way.values().map(|frozen| frozen.delivery.clone()).collect();
        assert_eq!(found.deliveries, under_way);
        self.restore(found).await;
    }

    /// What the engine does: windows go on, except those whose route is gone or whose group has one already.
    async fn restore(&mut self, found: Recovered) {
        assert_eq!(found.windows.len(), self.model.windows.len());
        self.table.clear();
        self.sweep = None;
        self.next_row = found.next_row;
        let how = Closing { reason: Reason::Time, sweep: 0, at: self.clock.now() };
        let mut closed = Vec::new();
        for saved in found.windows {
            let open = &self.model.windows[&saved.row];
            assert_eq!((saved.count, saved.shared.severity, saved.opened), (open.count, open.severity, open.opened));
            assert!(saved.row < found.next_row);
            let route = ROUTES.iter().position(|route| *route == saved.route).expect("a route");
            let text = (0..2).find(|text| format!("text {text}") == saved.shared.text).expect("a text");
            let goes_on = self.config.0.iter().any(|(route, _)| *route == saved.route);
            if goes_on && !self.table.contains_key(&(route, text)) {
                self.table.insert((route, text), saved.row);
            } else {
                closed.push(Closed { row: saved.row, added: 0, group: self.model.close(saved.row, how) });
            }
        }
        self.change(Changes { closed, ..Changes::default() }).await;
    }

    /// The promises that hold after every operation.
    pub(super) fn compare(&mut self) {
        let now = self.clock.now();
        for (sender, frozen) in std::mem::take(&mut self.armed) {
            self.compare_frozen(sender, frozen, now);
        }
        balanced(&self.path);
        assert_eq!(reading::ledger(&self.path), self.model.ledger());
        assert_eq!(reading::waiting(&self.path), self.waiting());
        assert_eq!(reading::under_way(&self.path), self.under_way());
        assert_eq!(reading::queued(&self.path), self.queued());
        for sender in SENDERS {
            let of_sender = self.model.under_way.values().filter(|frozen| frozen.delivery.sender == *sender);
            let each = of_sender.flat_map(|frozen| frozen.groups());
            let (mut all, mut once) = (0, BTreeSet::new());
            each.for_each(|group| {
                all += 1;
                once.insert(group);
            });
            assert_eq!(once.len(), all, "a group is in at most one delivery under way of a sender");
        }
    }

    fn compare_frozen(&mut self, sender: &'static str, mut frozen: oneshot::Receiver<Delivery>, now: Millis) {
        let given = frozen.try_recv().ok();
        let mut expect = self.model.freeze(sender, now);
        if let (Some(expect), Some(given)) = (&mut expect, &given)
            && expect.delivery.id.is_empty()
        {
            expect.delivery.id.clone_from(&given.id);
        }
        assert_eq!(given.as_ref(), expect.as_ref().map(|frozen| &frozen.delivery));
        match expect {
            Some(expect) => drop(self.model.under_way.insert(expect.delivery.id.clone(), expect)),
            None => drop(self.armed.insert(sender, frozen)),
        }
    }

    fn waiting(&self) -> Vec<reading::Waiting> {
        self.model.waiting.iter().map(|e| (e.sender.clone(), e.group.id.to_string(), e.group.count)).collect()
    }

    fn queued(&self) -> Vec<(String, u32, u64)> {
        let row = |frozen: &Frozen| {
            let delivery = &frozen.delivery;
            let told = delivery.groups.iter().chain(&frozen.omitted).map(|group| group.count).sum();
            (delivery.sender.clone(), delivery.attempt, told)
        };
        self.model.queued.iter().map(row).collect()
    }

    fn under_way(&self) -> Vec<reading::UnderWay> {
        let row = |Frozen { delivery, omitted, .. }: &Frozen| {
            let state = if delivery.next_attempt.is_some() { "backoff" } else { "sending" };
            let groups = (delivery.groups.len() + omitted.len()) as u64;
            (delivery.id.clone(), delivery.sender.clone(), state.to_owned(), delivery.attempt, groups)
        };
        self.model.under_way.values().map(row).collect()
    }
}

fn settings(path: &Path) -> Settings {
    Settings { queue: QUEUE, ..Settings::new(Some(path)) }
}

fn window(row: i64, open: &Open, saved: u64) -> Window {
    let shared = Message { severity: open.severity, ..message(&open.text) };
    Window {
        count: open.count,
        saved,
        opened: open.opened,
        ..restart::window(row, &group(open.route, &open.text, open.count), shared)
    }
}
