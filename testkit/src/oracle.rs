//! The oracle: knows what was sent and acknowledged, and finds what became of it.
//!
//! After every run of mag it counts, for each sender and text, what is told, given up, under way or still open. That must
//! be what it was before the run, plus at least what the run acknowledged, plus at most what was sent to it. A message
//! that is missing is lost; one too many is counted twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::books::{Books, Counts};
use crate::destination::Heard;

/// What was sent to one run of mag, by text.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    texts: BTreeMap<String, Tally>,
    /// Answers of mag's that must not be.
    pub wrong: Vec<String>,
}

/// Stands for all texts where only sums are compared.
const ALL: &str = "all of them";

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    sent: u64,
    acknowledged: u64,
}

impl Sent {
    /// These messages are about to be sent.
    pub fn sends(&mut self, text: &str, count: u64) {
        self.texts.entry(text.to_owned()).or_default().sent += count;
    }

    /// mag said that it has these.
    pub fn acknowledged(&mut self, text: &str, count: u64) {
        self.texts.entry(text.to_owned()).or_default().acknowledged += count;
    }

    /// Adds what another connection sent.
    pub fn add(&mut self, other: Self) {
        for (text, tally) in other.texts {
            let own = self.texts.entry(text).or_default();
            own.sent += tally.sent;
            own.acknowledged += tally.acknowledged;
        }
        self.wrong.extend(other.wrong);
    }

    fn summed(&self) -> Self {
        let mut sum = Self::default();
        for tally in self.texts.values() {
            sum.sends(ALL, tally.sent);
            sum.acknowledged(ALL, tally.acknowledged);
        }
        sum
    }

    fn of(&self, text: &str) -> Tally {
        self.texts.get(text).copied().unwrap_or_default()
    }
}

/// What it knows so far.
#[derive(Debug)]
pub struct Oracle {
    senders: Vec<String>,
    /// Senders, and who is told what they could not tell.
    fallbacks: Vec<(String, String)>,
    /// Whether every text must be there by itself, or only the sum of all.
    by_text: bool,
    /// After the last run: told, given up, under way and open.
    accounted: Counts,
    /// In deliveries that have ended.
    ended: Counts,
    /// In those of them that were given up.
    given_up: Counts,
    ended_ids: BTreeSet<String>,
    /// Notifications whose content was compared with the file.
    compared: BTreeSet<String>,
    last_end: i64,
    /// Messages that mag said it has.
    pub acknowledged: u64,
    /// Messages that were sent.
    pub sent: u64,
    /// Acknowledged messages that are nowhere.
    pub lost: u64,
    /// Messages that are somewhere and were never sent.
    pub twice: u64,
    /// What must not happen and did.
    pub wrong: Vec<String>,
}

impl Oracle {
    /// Nothing was sent yet. Every message is for all of these senders; `fallbacks` name some of them, and others who
    /// are told only what those could not tell.
    #[must_use]
    pub fn new(senders: &[&str], fallbacks: &[(&str, &str)]) -> Self {
        let owned = |&(sender, fallback): &(&str, &str)| (sender.to_owned(), fallback.to_owned());
        Self {
            senders: senders.iter().map(|&sender| sender.to_owned()).collect(),
            fallbacks: fallbacks.iter().map(owned).collect(),
            by_text: true,
            given_up: Counts::new(),
            accounted: Counts::new(),
            ended: Counts::new(),
            ended_ids: BTreeSet::new(),
            compared: BTreeSet::new(),
            last_end: 0,
            acknowledged: 0,
            sent: 0,
            lost: 0,
            twice: 0,
            wrong: Vec::new(),
        }
    }

    /// The same for a mag that runs into its limits: it counts what finds no room together, so only sums can be compared.
    #[must_use]
    pub fn of_sums(self) -> Self {
        Self { by_text: false, ..self }
    }

    /// Looks at the file after a run to which `sent` was sent, and at what the senders' destinations heard so far.
    ///
    /// # Errors
    /// The file cannot be read. What is wrong with it stands in [`Oracle::wrong`].
    pub fn look(&mut self, run: u32, books: &Books, sent: &Sent, heard: &[(&str, &Heard)]) -> anyhow::Result<()> {
        let mut wrong = sent.wrong.clone();
        wrong.extend(books.mistakes()?);
        let mut accounted = self.account(books, heard, &mut wrong)?;
        if self.by_text {
            self.compare(sent, &accounted, &mut wrong);
        } else {
            accounted = summed(&accounted);
            self.compare(&sent.summed(), &accounted, &mut wrong);
        }
        self.accounted = accounted;
        self.acknowledged += sent.texts.values().map(|tally| tally.acknowledged).sum::<u64>();
        self.sent += sent.texts.values().map(|tally| tally.sent).sum::<u64>();
        self.wrong.extend(wrong.into_iter().map(|what| format!("after run {run}: {what}")));
        Ok(())
    }

    /// Where every message is now.
    fn account(&mut self, books: &Books, heard: &[(&str, &Heard)], wrong: &mut Vec<String>) -> anyhow::Result<Counts> {
        let mut under_way = books.open_windows()?;
        add(&mut under_way, books.waiting()?);
        for (id, delivery) in books.deliveries_since(self.last_end)? {
            if self.ended_ids.contains(&id) {
                continue;
            }
            let arrived = heard.iter().filter(|(sender, _)| *sender == delivery.sender);
            let arrived = arrived.filter_map(|(_, heard)| heard.notifications.get(&id)).next();
            match arrived {
                None if delivery.state == "delivered" => wrong.push(format!("{id} is delivered, but never arrived")),
                Some(arrived) if delivery.state == "delivered" && !arrived.is_taken() => {
                    wrong.push(format!("{id} is delivered, but its destination never took it"));
                }
                Some(arrived) if self.compared.insert(id.clone()) => {
                    let omitted: u64 = delivery.omitted.values().sum();
                    if arrived.groups != delivery.told || arrived.omitted != omitted {
                        wrong.push(format!("{id} was told with other counts than the file has"));
                    }
                }
                _ => {}
            }
            let counts = delivery.told.into_iter().chain(delivery.omitted);
            let counts = counts.map(|(text, count)| ((delivery.sender.clone(), text), count)).collect::<Vec<_>>();
            if let Some(finished) = delivery.finished {
                self.last_end = self.last_end.max(finished);
                self.ended_ids.insert(id);
                if delivery.state == "dead" {
                    add(&mut self.given_up, counts.clone());
                }
                add(&mut self.ended, counts);
            } else {
                add(&mut under_way, counts);
            }
        }
        for (sender, heard) in heard {
            let unknown = heard.notifications.keys().filter(|id| !self.compared.contains(*id));
            wrong.extend(unknown.map(|id| format!("{sender} was told {id}, which the file does not know")));
        }
        add(&mut under_way, self.ended.clone());
        Ok(under_way)
    }

    fn compare(&mut self, sent: &Sent, accounted: &Counts, wrong: &mut Vec<String>) {
        let texts: BTreeSet<&str> =
            sent.texts.keys().map(String::as_str).chain(accounted.keys().map(|(_, text)| text.as_str())).collect();
        for text in texts {
            let tally = sent.of(text);
            let mut of_all = Vec::new();
            for sender in &self.senders {
                let key = (sender.clone(), text.to_owned());
                let (before, now) = (count(&self.accounted, &key), count(accounted, &key));
                let (least, most) = (before + tally.acknowledged, before + tally.sent);
                if now < least {
                    self.lost += least - now;
                    wrong.push(format!("{sender}, {text:?}: {} acknowledged messages are lost", least - now));
                }
                if now > most {
                    self.twice += now - most;
                    wrong.push(format!("{sender}, {text:?}: {} messages more than were sent", now - most));
                }
                of_all.push(now);
            }
            if of_all.iter().any(|other| Some(other) != of_all.first()) {
                wrong.push(format!("{text:?}: senders of one route were given different counts: {of_all:?}"));
            }
        }
        self.compare_fallbacks(accounted, wrong);
        let is_fallback = |sender: &String| self.fallbacks.iter().any(|(_, fallback)| fallback == sender);
        let strangers = accounted.keys().filter(|(sender, _)| !self.senders.contains(sender) && !is_fallback(sender));
        wrong.extend(strangers.map(|(sender, text)| format!("{sender} was given {text:?}, and is no sender")));
    }
}

impl Oracle {
    /// A fallback is told everything that was given up, and nothing twice.
    fn compare_fallbacks(&self, accounted: &Counts, wrong: &mut Vec<String>) {
        let given_up = if self.by_text { &self.given_up } else { &summed(&self.given_up) };
        for ((from, text), count_from) in accounted {
            for (_, to) in self.fallbacks.iter().filter(|(sender, _)| sender == from) {
                let dead = count(given_up, &(from.clone(), text.clone()));
                let told = count(accounted, &(to.clone(), text.clone()));
                if told < dead || told > *count_from {
                    wrong.push(format!(
                        "{to}, {text:?}: has {told} messages of {from}, which gave up {dead} and has {count_from}"
                    ));
                }
            }
        }
    }

    /// Each of these texts must be there exactly so often, for every sender.
    pub fn must_be_exactly(&mut self, counts: &BTreeMap<String, u64>) {
        for (sender, (text, expected)) in self.senders.iter().flat_map(|sender| counts.iter().map(move |c| (sender, c)))
        {
            let found = count(&self.accounted, &(sender.clone(), text.clone()));
            self.lost += expected.saturating_sub(found);
            self.twice += found.saturating_sub(*expected);
            if found != *expected {
                self.wrong.push(format!("{sender}, {text:?}: {found} messages, exactly {expected} were sent"));
            }
        }
    }

    /// Messages that were given up, for all senders.
    #[must_use]
    pub fn dead(&self) -> u64 {
        self.given_up.values().sum()
    }
}

fn summed(counts: &Counts) -> Counts {
    let mut sums = Counts::new();
    add(&mut sums, counts.iter().map(|((sender, _), count)| ((sender.clone(), ALL.to_owned()), *count)));
    sums
}

fn count(counts: &Counts, key: &(String, String)) -> u64 {
    counts.get(key).copied().unwrap_or(0)
}

fn add(counts: &mut Counts, more: impl IntoIterator<Item = ((String, String), u64)>) {
    for (key, count) in more {
        *counts.entry(key).or_insert(0) += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with what the oracle reads, and one open window of `count` messages.
    fn file(count: u64) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let conn = rusqlite::Connection::open(file.path()).unwrap();
        conn.execute_batch(&format!(
            "CREATE TABLE windows (route, text, count); CREATE TABLE routes (route, senders);
             CREATE TABLE queue (sender, route, text, count);
             CREATE TABLE deliveries (id, sender, state, finished);
             CREATE TABLE delivery_groups (delivery, route, text, count, omitted);
             CREATE TABLE ledger (route, sender, accepted, open, held, waiting, frozen, told, dead, dropped);
             INSERT INTO routes VALUES ('root', '[\"hook\"]');
             INSERT INTO windows VALUES ('root', 'a', {count});
             INSERT INTO ledger VALUES ('root', 'hook', {count} + 2, {count}, 0, 0, 0, 2, 0, 0);
             INSERT INTO deliveries VALUES ('n1', 'hook', 'delivered', 5);
             INSERT INTO delivery_groups VALUES ('n1', 'root', 'a', 2, 0);"
        ))
        .unwrap();
        file
    }

    /// Nine sent, of them six acknowledged; one notification of two told; `open` messages in the file's window.
    fn look(open: u64, heard: &Heard) -> Oracle {
        let mut sent = Sent::default();
        sent.sends("a", 9);
        sent.acknowledged("a", 6);
        let mut oracle = Oracle::new(&["hook"], &[]);
        let file = file(open);
        oracle.look(1, &Books::open(file.path()).unwrap(), &sent, &[("hook", heard)]).unwrap();
        oracle
    }

    #[test]
    fn between_acknowledged_and_sent_all_is_well() {
        let heard = Heard::with_taken("n1", &[("a", 2)]);
        for open in 4..=7 {
            assert_eq!(look(open, &heard).wrong, [""; 0], "{open} open");
        }
    }

    #[test]
    fn what_is_missing_is_lost_and_what_was_never_sent_is_counted_twice() {
        let heard = Heard::with_taken("n1", &[("a", 2)]);
        let (few, many) = (look(3, &heard), look(8, &heard));
        assert_eq!((few.lost, few.twice, few.wrong.len()), (1, 0, 1), "{:?}", few.wrong);
        assert_eq!((many.lost, many.twice, many.wrong.len()), (0, 1, 1), "{:?}", many.wrong);
    }

    #[test]
    fn what_must_be_there_exactly_is_neither_more_nor_less() {
        let check = |expected: u64| {
            let mut oracle = look(5, &Heard::with_taken("n1", &[("a", 2)]));
            oracle.must_be_exactly(&BTreeMap::from([("a".to_owned(), expected)]));
            (oracle.lost, oracle.twice, oracle.wrong.len())
        };
        assert_eq!([check(7), check(8), check(6)], [(0, 0, 0), (1, 0, 1), (0, 1, 1)]);
    }

    #[test]
    fn the_file_and_the_destination_must_agree() {
        for (heard, part) in [
            (Heard::default(), "never arrived"),
            (Heard::with_taken("n1", &[("a", 3)]), "other counts"),
            (Heard::with_taken("n2", &[("a", 2)]), "which the file does not know"),
        ] {
            let wrong = look(5, &heard).wrong;
            assert!(wrong.iter().any(|wrong| wrong.contains(part)), "{part}: {wrong:?}");
        }
    }
}
