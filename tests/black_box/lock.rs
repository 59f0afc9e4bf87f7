//! Plugins that are pinned by their hash, and plugins that a person accepted: one that is another file gets no further than
//! that.

#[path = "../guests/guest.rs"]
#[expect(dead_code, reason = "only the component of a guest is wanted here")]
mod guest;

use std::path::Path;

use super::support::{Home, Receiver, binary, classic};
use guest::Guest;

/// A component that the build made.
#[track_caller]
fn component(name: &str) -> Vec<u8> {
    let target = binary().ancestors().nth(2).expect("a target folder").to_owned();
    let path = target.join("guests/wasm32-wasip2/guest").join(format!("mag_plugin_{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// Its hash, as a person finds it out.
#[track_caller]
fn sha256(path: &Path) -> String {
    let ran = std::process::Command::new("sha256sum").arg(path).output().expect("sha256sum runs");
    String::from_utf8_lossy(&ran.stdout).split(' ').next().expect("a hash").to_owned()
}

/// A sender `own` that is a file and tells every message; it may reach more than it has to.
fn config(plugin: &str, config: &str) -> String {
    format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[route]\nmax_messages = 1\nsenders = [\"own\"]\n[senders.own]\nplugin = {plugin}\n\
         rate = \"100/s\"\n{config}\n"
    )
}

#[test]
fn a_pinned_plugin_runs_and_another_file_in_its_place_does_not() {
    let receiver = Receiver::start();
    let url = format!("config = {{ url = \"{}\" }}", receiver.url("/"));
    let home = Home::with("").file("own.wasm", &component("webhook"));
    let pinned = sha256(&home.path("own.wasm"));
    let plugin = format!("{{ path = \"./own.wasm\", sha256 = \"{pinned}\" }}");
    home.configure(&config(&plugin, &url));
    let mag = home.start();
    mag.takes(&classic(&["a"]));
    receiver.request(1);
    std::fs::write(mag.home().path("own.wasm"), component("console")).expect("the file is written");
    let found = sha256(&mag.home().path("own.wasm"));
    let said =
        format!("is not the file that is pinned: its sha256 is {found}, the config wants {pinned}: put that file back");
    let refused = mag.home().runs(&["reload", "--admin", &mag.admin().address()]);
    refused.must_fail_with(1, &["mag.toml:8:10: error: sender own: plugin ./own.wasm", &said]);
    mag.takes(&classic(&["b"]));
    receiver.request(2);
    let home = mag.stops();
    for command in ["run", "check"] {
        home.runs(&[command, "--config", "mag.toml"]).must_fail_with(2, &["sender own", &said]);
    }
}

#[test]
fn a_hash_that_is_none_and_a_bundled_plugin_with_one_are_mistakes_with_their_places() {
    let home = Home::with("").file("own.wasm", &component("console"));
    home.configure(&config("{ path = \"./own.wasm\", sha256 = \"abc\" }", ""));
    home.runs(&["check"])
        .must_fail_with(2, &["mag.toml:9:42: error: `sha256`: expected a SHA-256 hash: 64 hexadecimal"]);
    home.configure(&config("{ path = \"console\" }", ""));
    home.runs(&["check"])
        .must_fail_with(2, &["missing `sha256` in [senders.own.plugin]", "the bundled plugin console"]);
}

#[test]
fn a_plugin_that_is_another_file_and_asks_for_more_waits_until_a_person_accepts_it() {
    let receiver = Receiver::start();
    let url = receiver.url("");
    let home = Home::with("").file("own.wasm", &component("console"));
    home.configure(&config("\"./own.wasm\"", ""));
    let locked = home.runs(&["sender", "lock"]);
    locked.must_be(0, "sender own: console 0.1.0 is new, it asks for nothing\nmag.lock: 1 plugin", "");
    home.runs(&["sender", "lock"]).must_be(0, "mag.lock: 1 plugin, nothing is different", "");
    home.runs(&["check"]).must_be(0, "1 sender, 1 route: ok", "");
    let mag = home.start();
    mag.says("sender own: ready (console");
    // A new version that wants to reach something; the config lets it.
    std::fs::write(mag.home().path("own.wasm"), component("webhook")).expect("the file is written");
    mag.home().configure(&config("\"./own.wasm\"", &format!("config = {{ url = \"{url}/\" }}")));
    let said =
        format!("its plugin ./own.wasm is another file than mag.lock says, and asks for more: {url}: look at it");
    mag.home()
        .runs(&["reload", "--admin", &mag.admin().address()])
        .must_fail_with(1, &["mag.toml:", "sender own", &said]);
    mag.home().runs(&["check"]).must_fail_with(2, &[&said, "accept it with `mag sender lock`"]);
    let accepted = mag.home().runs(&["sender", "lock"]);
    assert_eq!(accepted.code, Some(0), "{accepted:#?}");
    for part in [
        "sender own: webhook 0.1.0 is another file, it was console 0.1.0",
        &format!("  asks for {url}, which it did not before"),
        &sha256(&mag.home().path("own.wasm")),
    ] {
        assert!(accepted.stdout.contains(part), "no {part:?} in {}", accepted.stdout);
    }
    assert_eq!(mag.home().runs(&["reload", "--admin", &mag.admin().address()]).code, Some(0));
    mag.takes(&classic(&["a"]));
    receiver.request(1);
    mag.stops();
}

#[test]
fn a_plugin_that_is_another_file_and_does_not_say_what_it_wants_reaches_no_more_than_was_accepted() {
    let receiver = Receiver::start();
    let authority = receiver.url("").replace("http://", "");
    // Neither asks for anything; `allow` lets both, and the second one uses it.
    let guest = |does: &str| Guest::parse("own".to_owned(), &format!(";; in: send\n;; fails: never\n{does}"));
    let quiet = guest("").component(&authority, &authority);
    let sneaky = guest("(func $send (param i32) (result i32) (drop (call $post)) (i32.const 1024))");
    let home = Home::with("").file("own.wasm", &quiet);
    home.configure(&config("\"./own.wasm\"", &format!("allow = [\"{}\"]", receiver.url(""))));
    home.runs(&["sender", "lock"]).must_be(0, "sender own:   is new, it asks for nothing\nmag.lock: 1 plugin", "");
    let mag = home.start();
    mag.says("sender own: ready");
    std::fs::write(mag.home().path("own.wasm"), sneaky.component(&authority, &authority)).expect("it is written");
    let reload = || mag.home().runs(&["reload", "--admin", &mag.admin().address()]);
    assert_eq!(reload().code, Some(0), "it asks for nothing more");
    mag.says("and asks for nothing more; it may reach nothing until `mag sender lock` takes note of it");
    mag.takes(&classic(&["a"]));
    let said = mag.says("which did not ask for that: look at it");
    assert!(said.contains(&format!("it wants {}", receiver.url(""))) && said.contains("`mag sender lock`"), "{said}");
    assert_eq!(receiver.requests().len(), 0);
    // Once a person looked, it runs with all that the config lets it, and what waited is told.
    assert_eq!(mag.home().runs(&["sender", "lock"]).code, Some(0));
    assert_eq!(reload().code, Some(0));
    receiver.request(1);
    mag.stops();
}

#[test]
fn a_lock_that_cannot_be_read_is_a_mistake_and_not_taken_for_none() {
    let home = Home::with(&config("\"./own.wasm\"", "")).file("own.wasm", &component("console")).file("mag.lock", b"]");
    home.runs(&["check"]).must_fail_with(2, &["mag.lock: error: not a lock of this mag: ", "`mag sender lock`"]);
}
