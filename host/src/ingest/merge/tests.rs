//! Merging, against a count that knows nothing of numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Merged, Merger, Odd};
use crate::limits;
use crate::message::{Entry, Learned, Message, Severity};
use crate::protocol::syslog::message;
use crate::protocol::{Decoder, Extra, Form, Identity, Parsed, Raw, Raws, Spoken};

const MUCH: usize = 1 << 20;

fn plain(text: &[u8]) -> Parsed<'_> {
    Parsed::plain(text, None, false)
}

/// A merger and whoever counts what it gives out.
struct Pair {
    merger: Merger,
    learned: Learned<Vec<Arc<Message>>>,
}

impl Pair {
    fn new(room: usize) -> Self {
        let mut merger = Merger::new(room);
        merger.enter("10.0.0.1", 8);
        Self { merger, learned: Learned::default() }
    }

    fn add(&mut self, message: Parsed<'_>, now: u64) {
        self.merger.add(message, None, now);
    }

    fn recall(&mut self, bytes: &[u8], form: Form, now: u64) -> bool {
        self.merger.recall(&[Raw { bytes, form, time: None, used: bytes.len() }], now) == 1
    }

    fn drain(&mut self) -> (Vec<Entry>, Merged) {
        let mut merged = self.merger.drain();
        let mut entries = std::mem::take(&mut merged.entries);
        entries.extend(self.learned.entries(merged.numbered.take()));
        assert!(self.merger.is_empty());
        (entries, merged)
    }
}

fn told(entries: &[Entry]) -> Vec<(&str, u64, u64, u64)> {
    entries.iter().map(|e| (e.message.text.as_str(), e.count, e.first_seen, e.last_seen)).collect()
}

#[test]
fn equal_messages_become_one_entry_with_their_count_and_times() {
    for room in [0, MUCH] {
        let mut pair = Pair::new(room);
        pair.add(plain(b"a"), 20);
        pair.add(plain(b"b"), 20);
        pair.add(Parsed { count: 5, time: Some(3), ..plain(b"a") }, 30);
        pair.add(plain(b"a"), 40);
        let (entries, _) = pair.drain();
        assert_eq!(told(&entries), [("a", 7, 3, 40), ("b", 1, 20, 20)]);
        assert!(entries.iter().all(|e| e.message.source == "10.0.0.1" && e.message.kind == "default"));
    }
}

#[test]
fn a_message_that_was_told_is_told_again_by_its_number_alone() {
    let mut pair = Pair::new(MUCH);
    pair.add(plain(b"a"), 1);
    pair.drain();
    assert!(pair.recall(b"a", Form::Text, 2) && !pair.recall(b"b", Form::Text, 2));
    pair.add(plain(b"b"), 3);
    pair.add(plain(b"a"), 4);
    let merged = pair.merger.drain();
    let numbered = merged.numbered.unwrap();
    assert_eq!(numbered.new.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(
        numbered.counts.iter().map(|count| (count.number, count.times.count)).collect::<Vec<_>>(),
        [(0, 2), (1, 1)]
    );
}

#[test]
fn messages_differ_by_severity_kind_labels_source_peer_form_and_whether_they_are_cut() {
    let extra = |extra: Extra<'static>| Parsed { extra: Some(Box::new(extra)), ..plain(b"a") };
    for room in [0, MUCH] {
        let mut pair = Pair::new(room);
        for _ in 0..2 {
            pair.add(plain(b"a"), 1);
            pair.add(Parsed::plain(b"a", Some(Severity::Error), false), 1);
            pair.add(Parsed::plain(b"a", None, true), 1);
            pair.add(extra(Extra { kind: Some("k".into()), ..Extra::default() }), 1);
            pair.add(extra(Extra { source: Some("k".into()), ..Extra::default() }), 1);
            pair.add(extra(Extra { labels: vec![("n".into(), "v".into())], ..Extra::default() }), 1);
        }
        let (entries, _) = pair.drain();
        assert_eq!(entries.iter().map(|e| e.count).collect::<Vec<_>>(), [2; 6]);
        assert_eq!(entries[2].message.labels.get("truncated"), Some("true"));
        pair.merger.enter("10.0.0.2", 8);
        assert!(!pair.recall(b"a", Form::Text, 1) && !pair.recall(b"a", Form::Line, 1));
        pair.add(plain(b"a"), 1);
        let (entries, _) = pair.drain();
        assert_eq!((entries[0].message.source.as_str(), entries[0].count), ("10.0.0.2", 1));
    }
}

#[test]
fn what_is_not_utf8_is_replaced_counted_and_still_bounded() {
    for room in [0, MUCH] {
        let mut pair = Pair::new(room);
        for _ in 0..2 {
            pair.add(plain(b"a\xffb"), 1);
            pair.add(plain(b"a\xffb"), 1);
            pair.add(plain(&[0xFF; 8]), 1);
            let (entries, merged) = pair.drain();
            assert_eq!((merged.odd.replaced, merged.odd.truncated), (3, 1));
            assert_eq!(entries[0].message.text, "a\u{fffd}b");
            assert_eq!(entries[1].message.text, "\u{fffd}\u{fffd}");
            assert_eq!(entries[1].message.labels.get("truncated"), Some("true"));
        }
    }
}

#[test]
fn copies_of_a_syslog_message_are_one_whatever_their_dates() {
    for room in [0, MUCH] {
        let mut pair = Pair::new(room);
        for second in 10..20 {
            pair.add(message(format!("<34>Oct 11 22:14:{second} web-1 su[7]: failed").as_bytes()), 1);
            pair.add(message(format!("<35>Oct 11 22:14:{second} web-1 su[7]: failed").as_bytes()), 1);
        }
        pair.add(message(b"<34>Oct 11 22:14:15 app: too long a text"), 1);
        pair.add(message(b"<34>Oct 11 22:14:15 \xff app: a"), 1);
        let (entries, merged) = pair.drain();
        let of = |e: &Entry| (e.message.text.clone(), e.count, e.message.severity, e.message.source.clone());
        let told: Vec<_> = entries.iter().map(of).collect();
        let told: Vec<_> =
            told.iter().map(|(text, count, severity, source)| (&**text, *count, *severity, &**source)).collect();
        let expect = [
            ("failed", 10, Some(Severity::Critical), "web-1"),
            ("failed", 10, Some(Severity::Error), "web-1"),
            ("too long", 1, Some(Severity::Critical), "10.0.0.1"),
            ("a", 1, Some(Severity::Critical), "\u{fffd}"),
        ];
        assert_eq!(told, expect);
        assert_eq!((merged.odd.truncated, merged.odd.replaced), (1, 1));
        let labels = |at: usize| entries[at].message.labels.iter().collect::<Vec<_>>();
        assert_eq!(labels(0), [("app", "su"), ("facility", "auth"), ("host", "web-1"), ("pid", "7")]);
        assert_eq!(labels(2), [("app", "app"), ("facility", "auth"), ("truncated", "true")]);
    }
}

#[test]
fn a_syslog_message_that_came_before_is_known_behind_its_date() {
    let mut pair = Pair::new(MUCH);
    pair.add(message(b"<34>1 2024-05-01T12:00:00Z h a - - - a"), 1);
    let mut again = |line: &[u8]| {
        let mut raws = Raws::new();
        raws.want(1);
        Decoder::speaking(Spoken::Syslog, 99).raws(line, &mut raws);
        pair.merger.recall(raws.all(), 7) == 1
    };
    assert!(again(b"<34>1 2024-05-01T12:00:01Z h a - - - a\n"));
    assert!(again(b"38 <34>1 2024-05-01T11:00:00Z h a - - - a"));
    assert!(!again(b"<35>1 2024-05-01T12:00:00Z h a - - - a\n"));
    assert!(!again(b"<34>Oct 11 22:14:15 h a - - - a\n"));
    let (entries, _) = pair.drain();
    assert_eq!(told(&entries), [("a", 3, 1_714_561_200_000, 1_714_564_801_000)]);
}

#[test]
fn it_says_when_it_is_full() {
    for room in [0, 1 << 30] {
        let mut pair = Pair::new(room);
        for n in 0..limits::MERGE_ENTRIES {
            assert!(!pair.merger.is_full());
            pair.add(plain(n.to_string().as_bytes()), 1);
        }
        assert!(pair.merger.is_full());
        assert_eq!(pair.drain().0.len(), limits::MERGE_ENTRIES);
        pair.add(plain(&vec![b'x'; limits::MERGE_BYTES]), 1);
        assert!(pair.merger.is_full());
    }
}

#[test]
fn without_room_messages_are_told_in_full_until_most_are_unknown() {
    let one = super::known::KNOWN_BYTES + 1;
    let mut pair = Pair::new(one * 3 + limits::PEER_BYTES + "10.0.0.1".len());
    for text in [b"a", b"b", b"c"] {
        pair.add(plain(text), 1);
    }
    pair.drain();
    pair.add(plain(b"d"), 1);
    pair.add(plain(b"a"), 1);
    let (entries, _) = pair.drain();
    assert_eq!(told(&entries), [("d", 1, 1, 1), ("a", 1, 1, 1)]);
    assert!(!pair.recall(b"d", Form::Text, 1) && pair.recall(b"b", Form::Text, 1));
    for text in [b"e", b"f", b"g"] {
        pair.add(plain(text), 1);
    }
    assert_eq!(pair.drain().0.len(), 4);
    assert!(!pair.recall(b"a", Form::Text, 1), "it begins anew");
    pair.add(plain(b"d"), 1);
    assert!(pair.recall(b"d", Form::Text, 1));
    assert_eq!(told(&pair.drain().0), [("d", 2, 1, 1)]);
}

#[test]
fn what_is_withdrawn_counts_nothing_and_what_it_taught_is_told_with_what_comes_next() {
    for room in [0, MUCH] {
        let mut pair = Pair::new(room);
        pair.add(plain(b"a"), 1);
        pair.add(plain(b"\xff"), 1);
        pair.merger.add_identified(plain(b"b"), Identity { id: "i".into(), line: 1 }, 1, 1);
        pair.merger.withdraw();
        assert!(pair.merger.is_empty());
        pair.add(plain(b"c"), 2);
        pair.add(plain(b"a"), 2);
        let (entries, merged) = pair.drain();
        assert_eq!(told(&entries), [("c", 1, 2, 2), ("a", 1, 2, 2)]);
        assert_eq!((merged.odd, merged.ids.len()), (Odd::default(), 0));
    }
}

#[test]
fn what_is_withdrawn_leaves_room_for_what_comes_next() {
    let mut pair = Pair::new(1 << 30);
    for n in 0..limits::MERGE_ENTRIES {
        pair.add(plain(n.to_string().as_bytes()), 1);
    }
    pair.merger.withdraw();
    assert!(pair.merger.is_empty() && !pair.merger.is_full());
    pair.add(plain(b"1"), 2);
    assert_eq!(told(&pair.drain().0), [("1", 1, 2, 2)]);
}

#[derive(Clone, Debug)]
enum Step {
    Add {
        text: u8,
        severity: bool,
        count: u64,
    },
    Line {
        text: u8,
    },
    /// As many as are looked up together.
    Recall {
        texts: Vec<u8>,
        form: Form,
    },
    Identified {
        text: u8,
    },
    Enter {
        peer: u8,
    },
    /// What came since the last drain is refused.
    Withdraw,
    Drain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..9_u8, any::<bool>(), 1..3_u64)
            .prop_map(|(text, severity, count)| Step::Add { text, severity, count }),
        3 => (0..9_u8).prop_map(|text| Step::Line { text }),
        4 => (proptest::collection::vec(0..9_u8, 0..=Raws::MOST), any::<bool>())
            .prop_map(|(texts, line)| Step::Recall { texts, form: if line { Form::Line } else { Form::Text } }),
        1 => (0..9_u8).prop_map(|text| Step::Identified { text }),
        1 => (0..3_u8).prop_map(|peer| Step::Enter { peer }),
        1 => Just(Step::Withdraw),
        2 => Just(Step::Drain),
    ];
    proptest::collection::vec(step, 0..120)
}

/// Messages by peer and text.
type Sums = BTreeMap<(String, String), u64>;

fn named(peer: &str, text: u8) -> (String, String) {
    (peer.to_owned(), format!("t{text}"))
}

/// Does what the steps say; gives out what was told, and what a simple count makes of the same messages. Those with an
/// id are told beside the counts.
fn run(steps: Vec<Step>, room: usize, hash_bits: u32) -> (Sums, Sums) {
    let (mut pair, mut peer) = (Pair::new(room), "10.0.0.1".to_owned());
    pair.merger.known.hash_bits = hash_bits;
    let (mut sum, mut simple) = (BTreeMap::new(), BTreeMap::new());
    let mut since: Vec<((String, String), u64)> = Vec::new();
    for step in steps.into_iter().chain([Step::Drain]) {
        match step {
            Step::Add { text, severity, count: n } => {
                let severity = severity.then_some(Severity::Error);
                let spelled = format!("t{text}");
                pair.add(Parsed { count: n, ..Parsed::plain(spelled.as_bytes(), severity, false) }, 1);
                since.push((named(&peer, text), n));
            }
            Step::Line { text } => {
                let spelled = format!("t{text}");
                pair.merger.add(plain(spelled.as_bytes()), Some(format!("line {text}").as_bytes()), 1);
                since.push((named(&peer, text), 1));
            }
            Step::Recall { texts, form } => {
                let word = if form == Form::Line { "line " } else { "t" };
                let spelled: Vec<String> = texts.iter().map(|text| format!("{word}{text}")).collect();
                let bytes = spelled.iter().map(|text| text.as_bytes());
                let raws: Vec<_> = bytes.map(|bytes| Raw { bytes, form, time: None, used: 0 }).collect();
                let known = pair.merger.recall(&raws, 1);
                for text in &texts[..known] {
                    since.push((named(&peer, *text), 1));
                }
                let stops = spelled.get(known).is_none_or(|next| !pair.recall(next.as_bytes(), form, 1));
                assert!(stops, "it goes on until one is not known");
            }
            Step::Identified { text } => {
                let identity = Identity { id: "i".into(), line: 1 };
                pair.merger.add_identified(plain(format!("t{text}").as_bytes()), identity, 1, 1);
                since.push((named(&peer, text), 1));
            }
            Step::Withdraw => {
                pair.merger.withdraw();
                since.clear();
            }
            Step::Enter { .. } | Step::Drain => {
                for (message, count) in since.drain(..) {
                    *simple.entry(message).or_default() += count;
                }
                let (mut entries, merged) = pair.drain();
                for id in merged.ids {
                    entries[id.entry].count += id.count;
                }
                for entry in entries {
                    let Message { source, text, .. } = entry.message;
                    *sum.entry((source.into(), text)).or_default() += entry.count;
                }
                if let Step::Enter { peer: next } = step {
                    peer = format!("10.0.0.{next}");
                    pair.merger.enter(&peer, 8);
                }
            }
        }
    }
    (sum, simple)
}

proptest! {
    #[test]
    fn whatever_is_known_and_whatever_collides_each_message_is_counted_once(
        steps in steps(),
        room in prop_oneof![Just(0), Just(MUCH), 200..3_000_usize],
        hash_bits in prop_oneof![Just(u32::MAX), Just(1), Just(0)],
    ) {
        let (told, simple) = run(steps, room, hash_bits);
        prop_assert_eq!(told, simple);
    }
}
