//! A stream decoder never panics, never asks for more than it may, and gives out the same however its bytes are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mag_fuzz::limits;
use mag_fuzz::protocol::{Decoder, Last, Spoken, Step};

/// What a port may speak; the first stands for a port that finds out by itself.
const SPOKEN: &[Option<Spoken>] =
    &[None, Some(Spoken::Classic), Some(Spoken::Ndjson), Some(Spoken::Syslog), Some(Spoken::Relp), Some(Spoken::Gelf)];

/// What a decoder says of `bytes` that come in pieces of these sizes.
fn transcript(spoken: Option<Spoken>, bytes: &[u8], sizes: &[usize]) -> String {
    let mut decoder = match spoken {
        None => Decoder::new(limits::TEXT_BYTES),
        Some(spoken) => Decoder::speaking(spoken, limits::TEXT_BYTES),
    };
    let (mut out, mut held, mut rest) = (String::new(), Vec::new(), bytes);
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().map_or(1, |size| (*size).clamp(1, rest.len()));
        held.extend_from_slice(&rest[..size]);
        rest = &rest[size..];
        loop {
            let (used, step) = decoder.next(&held);
            assert!(used <= held.len());
            let (more, ended) = (step == Step::NeedMore, matches!(step, Step::Close(_) | Step::End));
            if let Step::Message(message) = &step
                && let Some(envelope) = message.envelope
            {
                out.push_str(&format!("{:?}\n", envelope.open(message.text, limits::TEXT_BYTES)));
            }
            if !matches!(step, Step::NeedMore | Step::Nothing) {
                out.push_str(&format!("{step:?}\n"));
            }
            held.drain(..used);
            if ended {
                return out;
            }
            if more {
                break;
            }
        }
        assert!(held.len() <= limits::NDJSON_LINE_BYTES);
    }
    match decoder.finish(&held) {
        Last::Nothing => {}
        last => out.push_str(&format!("{last:?}\n")),
    }
    out
}

fuzz_target!(|data: &[u8]| {
    let [spoken, first, second, bytes @ ..] = data else { return };
    let spoken = SPOKEN[usize::from(*spoken) % SPOKEN.len()];
    let whole = transcript(spoken, bytes, &[bytes.len()]);
    let cut = transcript(spoken, bytes, &[usize::from(*first) + 1, usize::from(*second) + 1]);
    assert_eq!(whole, cut);
});
