//! Decoders of connections: they give out the same however their bytes are cut, and never hold more than a line.

use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hasher};

use super::Verdict;
use crate::limits;
use crate::protocol::forward::greeting::{Answer, answer};
use crate::protocol::{Decoder, Last, Raws, Spoken, Step, detect};

/// What a few bytes are inflated to has no end worth waiting for.
const MOST_TOLD: u64 = 4_000;
/// An input begins with the sizes into which the rest is cut.
const SIZES: usize = 2;

/// All that a decoder said: how much, whether all of it was good, and a hash of it.
#[derive(Default)]
struct Transcript {
    told: u64,
    is_bad: bool,
    hash: DefaultHasher,
}

impl Write for Transcript {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.hash.write(text.as_bytes());
        Ok(())
    }
}

impl Transcript {
    fn note(&mut self, said: &dyn fmt::Debug) {
        self.told += 1;
        writeln!(self, "{said:?}").expect("a hash takes everything");
    }

    fn step(&mut self, step: &Step<'_>) {
        match step {
            Step::NeedMore | Step::Nothing => return,
            Step::Refused(_) | Step::Close(_) => self.is_bad = true,
            Step::Message(message) => {
                let of = message.envelope.map(|envelope| envelope.open(message.text, limits::TEXT_BYTES));
                assert!(of.is_some() || message.text.len() <= limits::TEXT_BYTES, "a text is cut");
                self.is_bad |= message.truncated || message.replaced;
                self.note(&of);
            }
            Step::AckWanted | Step::Promise(_) | Step::End => {}
        }
        self.note(step);
    }

    fn last(&mut self, last: &Last<'_>) {
        self.is_bad |= matches!(last, Last::Partial | Last::Refused(_));
        if *last != Last::Nothing {
            self.note(last);
        }
    }
}

/// What a decoder says of `bytes` that come in pieces of these sizes.
fn transcript(spoken: Option<Spoken>, bytes: &[u8], sizes: [usize; SIZES]) -> Transcript {
    let mut decoder = match spoken {
        None => Decoder::new(limits::TEXT_BYTES),
        Some(spoken) => Decoder::speaking(spoken, limits::TEXT_BYTES),
    };
    let (mut transcript, mut held, mut rest) = (Transcript::default(), Vec::new(), bytes);
    for size in sizes.into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (more, later) = rest.split_at(size.clamp(1, rest.len()));
        held.extend_from_slice(more);
        rest = later;
        let mut at = 0;
        loop {
            let front = held.get(at..).unwrap_or_default();
            let mut raws = Raws::new();
            raws.want(1);
            decoder.raws(front, &mut raws);
            let raw = raws.all().first().map(|raw| raw.used);
            let (used, step) = decoder.next(front);
            assert!(used <= front.len(), "no more is used than there is");
            assert!(raw.is_none_or(|raw| raw == used), "what is shown and what is taken are the same");
            transcript.step(&step);
            let (waits, ended) = (step == Step::NeedMore, matches!(step, Step::Close(_) | Step::End));
            at += used;
            if ended || transcript.told > MOST_TOLD {
                return transcript;
            }
            if waits {
                break;
            }
        }
        held.drain(..at);
        assert!(held.len() <= limits::NDJSON_LINE_BYTES, "no more is kept than a line");
    }
    transcript.last(&decoder.finish(&held));
    transcript
}

fn check(spoken: Option<Spoken>, input: &[u8]) -> Verdict {
    let Some((sizes, bytes)) = input.split_first_chunk::<SIZES>() else { return Verdict::Read };
    let whole = transcript(spoken, bytes, [bytes.len(); SIZES]);
    let cut = transcript(spoken, bytes, sizes.map(|size| usize::from(size) + 1));
    assert_eq!(whole.told, cut.told, "as much is told however the bytes are cut");
    assert_eq!(whole.hash.finish(), cut.hash.finish(), "the same is told however the bytes are cut");
    Verdict::malformed_if(whole.is_bad)
}

/// A port that finds out what is spoken.
pub(super) fn auto(input: &[u8]) -> Verdict {
    check(None, input)
}

pub(super) fn classic(input: &[u8]) -> Verdict {
    check(Some(Spoken::Classic), input)
}

pub(super) fn ndjson(input: &[u8]) -> Verdict {
    check(Some(Spoken::Ndjson), input)
}

pub(super) fn syslog(input: &[u8]) -> Verdict {
    check(Some(Spoken::Syslog), input)
}

pub(super) fn relp(input: &[u8]) -> Verdict {
    check(Some(Spoken::Relp), input)
}

pub(super) fn gelf(input: &[u8]) -> Verdict {
    check(Some(Spoken::Gelf), input)
}

pub(super) fn forward(input: &[u8]) -> Verdict {
    check(Some(Spoken::Forward), input)
}

/// What a client answers to the greeting of Forward, which is looked at again with whatever more of it came.
pub(super) fn greeting(input: &[u8]) -> Verdict {
    let Some((sizes, bytes)) = input.split_first_chunk::<SIZES>() else { return Verdict::Read };
    let whole = answer(bytes);
    if let Answer::Whole(used, ping) = whole {
        assert!(used <= bytes.len().min(limits::FORWARD_GREETING_BYTES), "no more is used than there is and may be");
        assert!(ping.name.len() + ping.salt.len() + ping.proof.len() < used, "what it says is of what it sent");
    }
    assert!(whole != Answer::Short || bytes.len() <= limits::FORWARD_GREETING_BYTES, "no more is kept than may be");
    let mut end = 0;
    for size in sizes.map(usize::from).into_iter().cycle() {
        let early = answer(bytes.get(..end).unwrap_or_default());
        assert!(early == Answer::Short || early == whole, "{early:?} after {end} bytes, then {whole:?}");
        if early != Answer::Short || end >= bytes.len() {
            break;
        }
        end = bytes.len().min(end + size + 1);
    }
    Verdict::malformed_if(!matches!(whole, Answer::Whole(..)))
}

/// What is found out never changes with what follows. What nobody speaks ends up as classic, so only what cannot be told
/// yet is not whole.
pub(super) fn detection(input: &[u8]) -> Verdict {
    let whole = detect(input);
    for end in 0..input.len().min(limits::DETECT_BYTES) {
        let known = input.get(..end).and_then(detect);
        assert!(known.is_none() || known == whole, "{known:?} after {end} bytes, then {whole:?}");
    }
    Verdict::malformed_if(matches!(whole, None | Some(Spoken::Classic)))
}
