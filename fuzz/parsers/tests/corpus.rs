//! Everything that is kept of malformed inputs, read again by every parser.

use std::sync::{Mutex, PoisonError};

use mag_parsers::{PARSERS, Parser, Verdict, corpus};

/// What must be kept, of all parsers together.
const LEAST_MALFORMED: usize = 10_000;

/// The memory that a parser takes is measured for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn no_malformed_input_makes_a_parser_panic_hang_or_take_much_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut malformed = 0;
    for parser in PARSERS {
        let inputs = corpus::read(parser.name).expect("the corpus reads");
        let wrong = inputs.iter().filter(|input| parser.check(input) == Verdict::Malformed).count();
        println!("{}: {} inputs, {wrong} of them malformed", parser.name, inputs.len());
        assert!(wrong < inputs.len(), "{}: none of its inputs is a good one", parser.name);
        malformed += wrong;
    }
    assert!(malformed >= LEAST_MALFORMED, "{malformed} malformed inputs are kept");
}

#[test]
#[should_panic(expected = "bytes of memory for 2")]
fn a_parser_that_takes_too_much_memory_is_found() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Parser::of("greedy", |_input| {
        std::hint::black_box(vec![0_u8; 16 * 1024 * 1024 + 1]);
        Verdict::Read
    })
    .check(b"ab");
}

#[test]
#[should_panic(expected = "of computing for 2 bytes")]
fn a_parser_that_computes_too_long_is_found() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Parser::of("slow", |_input| {
        let started = mag_parsers::computed();
        while mag_parsers::computed().saturating_sub(started) < std::time::Duration::from_millis(1_010) {}
        Verdict::Read
    })
    .check(b"ab");
}
