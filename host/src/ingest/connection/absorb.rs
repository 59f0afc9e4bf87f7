//! From bytes to merged messages: what a connection does with those that it has read.
//!
//! Never waits: whatever must be waited for it says.

use std::time::Duration;

use super::{Reader, Work};
use crate::ingest::merge::Merger;
use crate::limits;
use crate::message::Millis;
use crate::protocol::{Form, Parsed, Raws, Step};

/// Steps of a decoder between two looks at the clock: one can inflate a whole entry.
const LOOK_AT_CLOCK: u32 = 16;

/// How far the bytes at hand were used up.
pub(super) enum Absorbed {
    All,
    /// Merged messages must go on first, or the client must take its replies.
    Full,
    Close,
    /// The client said that it is done.
    End,
    /// Others must have a turn.
    Turn,
}

impl Reader<'_> {
    /// Decodes and merges what is at hand.
    pub(super) fn absorb(&mut self, work: &mut Work, now: Millis) -> Absorbed {
        let Work { buffer, merger } = work;
        let until = self.shared.clock.instant() + Duration::from_millis(limits::MERGE_MILLIS);
        let mut steps = 0_u32;
        loop {
            steps += 1;
            if steps.is_multiple_of(LOOK_AT_CLOCK) && self.shared.clock.instant() >= until {
                return Absorbed::Turn;
            }
            let (known, unknown) = self.recall(buffer.filled(), merger, now);
            buffer.consume(known);
            if merger.is_full() {
                return Absorbed::Full;
            }
            let line = unknown.and_then(|raw| buffer.filled().get(..raw));
            let (used, step) = self.decoder.next(buffer.filled());
            match step {
                Step::Message(message) => {
                    self.tally.note(&message);
                    self.accepted += 1;
                    take_line(merger, message, line, (self.accepted, now));
                    buffer.consume(used);
                    if merger.is_full() {
                        return Absorbed::Full;
                    }
                }
                Step::NeedMore => {
                    buffer.consume(used);
                    return Absorbed::All;
                }
                Step::Nothing => buffer.consume(used),
                Step::AckWanted => {
                    buffer.consume(used);
                    self.replies.want_acks(self.accepted);
                }
                Step::Promise(bytes) => {
                    buffer.consume(used);
                    self.replies.promise(self.accepted, bytes);
                    if self.replies.is_full() {
                        return Absorbed::Full;
                    }
                }
                Step::End => {
                    buffer.consume(usize::MAX);
                    return Absorbed::End;
                }
                Step::Refused(reply) => {
                    buffer.consume(used);
                    self.refuse(&reply);
                    if self.replies.is_full() {
                        return Absorbed::Full;
                    }
                }
                Step::Close(reply) => {
                    self.refuse(&reply);
                    // Whose protocol has no word for a mistake is told nothing: the log says it.
                    if reply.is_empty() {
                        self.shared.refusals.broken(&self.peer, self.shared.clock.instant());
                    }
                    buffer.consume(usize::MAX);
                    return Absorbed::Close;
                }
            }
        }
    }

    /// Counts the known messages at the front: nearly all, in a storm. Says how many bytes they take, and how long the
    /// line behind them is that is not known.
    fn recall(&mut self, bytes: &[u8], merger: &mut Merger, now: Millis) -> (usize, Option<usize>) {
        let (mut at, mut raws) = (0, Raws::new());
        loop {
            raws.want(self.stride);
            self.decoder.raws(bytes.get(at..).unwrap_or_default(), &mut raws);
            let (all, known) = (raws.all(), merger.recall(raws.all(), now));
            self.decoder.pass(known);
            at += all.iter().take(known).map(|raw| raw.used).sum::<usize>();
            self.tally.messages += known as u64;
            self.accepted += known as u64;
            if let Some(unknown) = all.get(known) {
                // What stands behind it will be looked at again.
                self.stride = 1;
                return (at, (unknown.form == Form::Line).then_some(unknown.bytes.len()));
            }
            if !raws.is_full() || merger.is_full() {
                return (at, None);
            }
            self.stride = (self.stride * 2).min(Raws::MOST);
        }
    }

    /// Tells the client that a line is not taken.
    pub(super) fn refuse(&mut self, reply: &str) {
        self.tally.refused_lines += 1;
        self.replies.push(reply);
    }
}

/// Merges one message, the `number`th of its connection or request.
#[inline]
pub(in crate::ingest) fn take(merger: &mut Merger, message: Parsed<'_>, number: u64, now: Millis) {
    take_line(merger, message, None, (number, now));
}

/// The same, with the line that it came in.
#[inline]
fn take_line(merger: &mut Merger, mut message: Parsed<'_>, line: Option<&[u8]>, (number, now): (u64, Millis)) {
    match message.identity.take() {
        None => merger.add(message, line, now),
        Some(identity) => merger.add_identified(message, *identity, number, now),
    }
}
