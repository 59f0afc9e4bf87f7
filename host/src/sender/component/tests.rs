//! Which files are components that fit, and what is said of those that do not.

use std::borrow::Cow;
use std::sync::Arc;

use super::super::tests::guests::{Guest, foreign};
use super::{Unfit, checked, imports, inspect};

#[track_caller]
fn refused(bytes: &[u8], expect: &str) {
    assert_eq!(inspect(bytes).unwrap_err().to_string(), expect);
}

#[test]
fn a_component_of_the_contract_fits() {
    inspect(&Guest::default().build()).unwrap();
}

#[test]
fn a_component_that_several_senders_have_is_kept_once() {
    let bytes = Guest::default().build();
    let [one, other] = [bytes.clone(), bytes].map(|bytes| checked(Cow::Owned(bytes), [7; 32]).unwrap());
    assert!(Arc::ptr_eq(&one, &other));
}

#[test]
fn what_is_no_component_is_told_apart() {
    refused(b"", "it is not a WebAssembly component");
    refused(b"(component)", "it is not a WebAssembly component");
    refused(b"\x7fELF\x02\x01\x01\0\0\0", "it is not a WebAssembly component");
    let core = wat::parse_str("(module)").unwrap();
    refused(&core, "it is a core module, not a component; build it for wasm32-wasip2");
}

#[test]
fn a_damaged_component_is_refused_wherever_it_is_cut() {
    let whole = Guest::default().build();
    for len in (8..whole.len()).step_by(7) {
        assert!(inspect(&whole[..len]).is_err(), "cut at {len}");
    }
    for at in (8..whole.len()).step_by(5) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        // Some bytes stand in names and bodies, where any value is valid: no panic is all that is asked.
        drop(inspect(&damaged));
    }
}

#[test]
fn code_that_no_person_writes_is_refused_before_anybody_compiles_it() {
    let with = |rest: String| Guest { rest, ..Guest::default() }.build();
    let long = |bytes: usize| with(format!("(func {})", "nop ".repeat(bytes - 2)));
    inspect(&long(786_432)).unwrap();
    refused(
        &long(786_433),
        "one of its functions has 786433 bytes of code, and may have 786432: compiling it would take too long",
    );
    refused(&with("(func)".repeat(100_000)), "it has more than 100000 functions: compiling it would take too long");
}

/// A number as WebAssembly writes it.
fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push(u8::try_from(value & 127).unwrap() | 128);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

#[test]
fn more_code_than_any_plugin_has_is_refused_before_any_of_it_is_looked_at() {
    /// A component with a module that says that it has so much code.
    fn saying(code: usize) -> Vec<u8> {
        let (component, module) = (*b"\0asm\x0d\0\x01\0", *b"\0asm\x01\0\0\0");
        // One type of functions, one function, and its code, which begins with how many there are.
        let sections = [vec![1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10], leb(1 + code), vec![1]].concat();
        [component.to_vec(), vec![1], leb(module.len() + sections.len() + code), module.to_vec(), sections].concat()
    }
    const MOST: usize = 32 * 1024 * 1024;
    refused(
        &saying(MOST + 1),
        "its functions have 33554433 bytes of code or more, and may have 33554432 together: compiling it would take too long",
    );
    assert!(matches!(inspect(&saying(MOST)), Err(Unfit::Malformed(_))), "so much may be there, and is not");
}

#[test]
fn components_that_stand_in_each_other_without_end_are_refused_before_they_cost_anything() {
    /// An empty component with this many levels below it, their lengths from the inside out.
    fn nested(levels: usize) -> Vec<u8> {
        const HEAD: [u8; 8] = [0, b'a', b's', b'm', 13, 0, 1, 0];
        let mut lengths = vec![HEAD.len()];
        for _ in 0..levels {
            let inner = *lengths.last().unwrap();
            lengths.push(HEAD.len() + 1 + leb(inner).len() + inner);
        }
        let mut bytes = HEAD.to_vec();
        for inner in lengths.iter().rev().skip(1) {
            bytes.push(4);
            bytes.extend(leb(*inner));
            bytes.extend(HEAD);
        }
        bytes
    }
    let said = "it does not export mag:sender/sender@1.0.0; it exports nothing";
    refused(&nested(31), said);
    let too_deep = "more than 32 levels of components stand in each other";
    refused(&nested(32), too_deep);
    // Nobody would wait for the end of this: what it costs grows with the square of its levels.
    refused(&nested(1_000_000), too_deep);
    assert_eq!(imports(&nested(1_000_000)), (Vec::new(), None));
}

#[test]
fn a_component_without_the_interface_names_what_it_has() {
    let nothing = foreign("package a:b; world foreign {}", "(module)");
    refused(&nothing, "it does not export mag:sender/sender@1.0.0; it exports nothing");
    let other = foreign(
        "package a:b@3.0.0; interface i { f: func(); } world foreign { export i; }",
        r#"(module (func (export "a:b/i@3.0.0#f")))"#,
    );
    refused(&other, "it does not export mag:sender/sender@1.0.0; it exports a:b/i@3.0.0");
}

#[test]
fn a_component_for_another_version_says_which_it_wants() {
    let newer = foreign(
        "package mag:sender@2.0.0; interface sender { send: func(); } world foreign { export sender; }",
        r#"(module (func (export "mag:sender/sender@2.0.0#send")))"#,
    );
    refused(
        &newer,
        "it is made for another contract, mag:sender/sender@2.0.0, and this mag serves mag:sender/sender@1.0.0: take a mag that \
         serves it, or build the plugin for this one",
    );
}

#[test]
fn a_missing_function_is_named() {
    let part = foreign(
        "package mag:sender@1.0.0; interface sender { describe: func(); } world foreign { export sender; }",
        r#"(module (func (export "mag:sender/sender@1.0.0#describe")))"#,
    );
    refused(&part, "its export mag:sender/sender@1.0.0 has no function validate");
}

#[test]
fn an_import_that_nobody_serves_is_named() {
    let functions = "describe: func(); validate: func(); prepare: func(); send: func();";
    let wit = format!(
        "package mag:sender@1.0.0; interface extra {{ f: func(); }} interface sender {{ {functions} }}
         world foreign {{ import extra; export sender; }}"
    );
    let exports: String = ["describe", "validate", "prepare", "send"]
        .map(|name| format!(r#"(func (export "mag:sender/sender@1.0.0#{name}"))"#))
        .concat();
    let core = format!(r#"(module (import "mag:sender/extra@1.0.0" "f" (func)) {exports})"#);
    let bytes = foreign(&wit, &core);
    refused(
        &bytes,
        "it needs mag:sender/extra@1.0.0 of a newer contract, which this mag does not serve: take a newer mag",
    );
    assert!(matches!(inspect(&bytes), Err(Unfit::Newer(_))));
    let other = foreign(
        &wit.replace("mag:sender@1.0.0; interface extra { f: func(); }", "mag:sender@1.0.0;")
            .replace("import extra", "import a: func()"),
        &core.replace(r#""mag:sender/extra@1.0.0" "f""#, r#""$root" "a""#),
    );
    refused(&other, "it imports a, which this mag does not serve");
}
