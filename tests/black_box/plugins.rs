//! Plugins that are files: a good one works like a bundled one with fewer rights, a bad one stops the start.

use super::support::{Home, Receiver, binary, classic};

/// A component that the build made, as a file that anybody could have written.
#[track_caller]
fn component(name: &str) -> Vec<u8> {
    let target = binary().ancestors().nth(2).expect("a target folder").to_owned();
    let path = target.join("guests/wasm32-wasip2/guest").join(format!("mag_plugin_{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// A config whose sender `own` is the file `own.wasm`.
fn own(settings: &str) -> Home {
    Home::with(&format!(
        "[route]\nmax_messages = 1\nsenders = [\"own\"]\n[senders.own]\nplugin = \"./own.wasm\"\n{settings}\n"
    ))
}

#[test]
fn a_plugin_of_ones_own_is_loaded_by_its_path_and_tells() {
    let receiver = Receiver::start();
    let url = receiver.url("/");
    let mag = own(&format!("config = {{ url = \"{url}\" }}")).file("own.wasm", &component("webhook")).start();
    let ready = mag.says("sender own: ready");
    assert!(ready.ends_with(", 1/s)"), "what is not bundled has a small budget: {ready}");
    mag.takes(&classic(&["a"]));
    assert_eq!(receiver.request(1).json()["sender"], "own");
    let home = mag.stops();
    assert_eq!(home.store().account("root", "own").told, 1);
}

#[test]
fn what_a_plugin_of_ones_own_prints_is_a_log_line() {
    let mag = own("").file("own.wasm", &component("console")).start();
    mag.takes(&classic(&["a"]));
    let said = mag.says("was repeated");
    assert!(said.contains("own"), "{said}");
    let home = mag.stops();
    assert_eq!(home.store().account("root", "own").told, 1);
}

#[test]
fn a_plugin_of_ones_own_reaches_only_what_was_typed() {
    let home = own("config = { channel = \"#ops\" }\nsecrets.token = { env = \"HOME\" }")
        .file("own.wasm", &component("slack"));
    let ended = home.runs(&["check"]);
    ended.must_fail_with(2, &["sender own", "allow = [\"https://slack.com\"]", "[senders.own]"]);
}

#[track_caller]
fn check_stops(home: &Home, said: &[&str]) {
    for command in ["run", "check"] {
        home.runs(&[command, "--config", "mag.toml"]).must_fail_with(2, said);
    }
    assert!(!home.path("mag.db").exists(), "nothing is begun with a plugin that does not load");
}

#[test]
fn a_file_that_is_not_there_stops_the_start() {
    check_stops(&own(""), &["mag.toml:7:10: error: no plugin at ./own.wasm\nplugin = \"./own.wasm\"\n         ^"]);
}

#[test]
fn a_file_that_is_no_component_stops_the_start() {
    check_stops(
        &own("").file("own.wasm", b"hello"),
        &["sender own", "./own.wasm", "it is not a WebAssembly component"],
    );
    let module = own("").file("own.wasm", b"\0asm\x01\0\0\0");
    check_stops(&module, &["sender own", "it is a core module, not a component; build it for wasm32-wasip2"]);
}

#[test]
fn a_component_without_the_contract_stops_the_start() {
    let empty = own("").file("own.wasm", b"\0asm\x0d\0\x01\0");
    check_stops(&empty, &["sender own", "it does not export mag:sender/sender@1.0.0"]);
}

#[test]
fn all_plugins_that_do_not_load_are_said_in_one_run() {
    let home = Home::with(
        "[route]\nsenders = [\"one\", \"two\"]\n[senders.one]\nplugin = \"./one.wasm\"\n[senders.two]\nplugin = \"./two.wasm\"\n",
    );
    let home = home.file("one.wasm", b"hello").file("two.wasm", b"\0asm\x01\0\0\0");
    check_stops(&home, &["sender one", "./one.wasm", "sender two", "./two.wasm"]);
}
