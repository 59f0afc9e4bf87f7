#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    mag_parsers::Parser::named("greeting").check(input);
});
