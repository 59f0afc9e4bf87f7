//! Each mistake with the exact words, and all of them at once.

use super::*;

#[test]
fn nine_mistakes_in_one_file_are_told_in_one_run() {
    let text = r#"[[listen]]
adress = "0.0.0.0:3050"

[store]
keep = 30

[route]
max_mesages = 3
time_limit = "30 parsecs"
senders = ["consle"]

[[route.routes]]
match = ['kind="monitor']

[senders.console]
plugin = "consol"
rate = "20 per minute"
fallback = "mail"
"#;
    check(
        text,
        &expect![[r#"
            mag.toml:2:1: error: unknown key `adress` in [[listen]], did you mean `address`?
            adress = "0.0.0.0:3050"
            ^
            mag.toml:5:8: error: `keep`: expected a duration like "30s", found integer
            keep = 30
                   ^
            mag.toml:8:1: error: unknown key `max_mesages` in [route], did you mean `max_messages`?
            max_mesages = 3
            ^
            mag.toml:9:14: error: `time_limit`: expected a duration like "30s", found "30 parsecs"
            time_limit = "30 parsecs"
                         ^
            mag.toml:10:12: error: unknown sender `consle`, did you mean `console`?
            senders = ["consle"]
                       ^
            mag.toml:13:16: error: `match`: no closing quote
            match = ['kind="monitor']
                           ^
            mag.toml:16:10: error: unknown plugin `consol`, did you mean `console`?
            plugin = "consol"
                     ^
            mag.toml:17:8: error: `rate`: expected a rate like "20/m", found "20 per minute"
            rate = "20 per minute"
                   ^
            mag.toml:18:12: error: `fallback`: unknown sender `mail`, expected one of console
            fallback = "mail"
                       ^"#]],
    );
    let mistakes = Config::load(&source(text), &env(&[])).expect_err("mistakes");
    assert_eq!(mistakes.count(), 9);
}

#[test]
fn wrong_types_of_durations_and_numbers() {
    check(
        "[route]\ntime_limit = 30",
        &expect![[r#"
        mag.toml:2:14: error: `time_limit`: expected a duration like "30s", found integer
        time_limit = 30
                     ^"#]],
    );
    check(
        "[route]\nmax_messages = \"30\"",
        &expect![[r#"
        mag.toml:2:16: error: `max_messages`: expected a whole number of 1 or more, found string
        max_messages = "30"
                       ^"#]],
    );
    check(
        "[route]\nmax_messages = 0",
        &expect![[r#"
        mag.toml:2:16: error: `max_messages`: expected a whole number of 1 or more, found 0
        max_messages = 0
                       ^"#]],
    );
    check(
        "[route]\nmax_messages = -3",
        &expect![[r#"
        mag.toml:2:16: error: `max_messages`: expected a whole number of 1 or more, found -3
        max_messages = -3
                       ^"#]],
    );
    check(
        "[route]\nmax_messages = 99999999999999999999",
        &expect![[r#"
        mag.toml:2:16: error: `max_messages`: expected a whole number of 1 or more, found 99999999999999999999
        max_messages = 99999999999999999999
                       ^"#]],
    );
}

#[test]
fn wrong_types_of_flags_lists_and_tables() {
    check(
        "[route]\nflush_on_stop = \"yes\"",
        &expect![[r#"
        mag.toml:2:17: error: `flush_on_stop`: expected true or false, found string
        flush_on_stop = "yes"
                        ^"#]],
    );
    check(
        "[route]\nsenders = \"console\"",
        &expect![[r#"
        mag.toml:2:11: error: `senders`: expected a list of senders like ["console"], found string
        senders = "console"
                  ^"#]],
    );
    check(
        "[route]\nsenders = [3]",
        &expect![[r#"
        mag.toml:2:12: error: `senders`: expected the name of a sender, found integer
        senders = [3]
                   ^"#]],
    );
    check(
        "route = 3",
        &expect![[r#"
        mag.toml:1:9: error: `route`: expected a table, found integer
        route = 3
                ^"#]],
    );
    check(
        "[listen]\naddress = \"0.0.0.0:3050\"",
        &expect![[r#"
        mag.toml:1:1: error: `listen`: expected a list of tables, each headed [[listen]], found table
        [listen]
        ^"#]],
    );
    check(
        "[senders]\nconsole = \"console\"",
        &expect![[r#"
        mag.toml:2:11: error: `console`: expected a table, found string
        console = "console"
                  ^"#]],
    );
}

#[test]
fn unknown_keys() {
    check(
        "[rout]\n[stor]\n[zzz]",
        &expect![[r#"
            mag.toml:1:2: error: unknown key `rout`, did you mean `route`?
            [rout]
             ^
            mag.toml:2:2: error: unknown key `stor`, did you mean `store`?
            [stor]
             ^
            mag.toml:3:2: error: unknown key `zzz`, expected one of listen, store, admin, route, senders, monitors, limits, alerts, log, reload
            [zzz]
             ^"#]],
    );
    check(
        "[store]\nkep = \"30d\"",
        &expect![[r#"
        mag.toml:2:1: error: unknown key `kep` in [store], did you mean `keep`?
        kep = "30d"
        ^"#]],
    );
    check(
        "[store]\nsomething_else = 1",
        &expect![[r#"
        mag.toml:2:1: error: unknown key `something_else` in [store], expected one of path, keep, ids, ids_keep, on_damage
        something_else = 1
        ^"#]],
    );
    check(
        "[senders.console]\nplugin = \"console\"\nplug = 1",
        &expect![[r#"
        mag.toml:3:1: error: unknown key `plug` in [senders.console], did you mean `plugin`?
        plug = 1
        ^"#]],
    );
}

#[test]
fn durations_and_sizes() {
    check(
        "[store]\nkeep = \"30\"",
        &expect![[r#"
        mag.toml:2:8: error: `keep`: expected a duration like "30s", found "30"
        keep = "30"
               ^"#]],
    );
    check(
        "[store]\nkeep = \"0s\"",
        &expect![[r#"
        mag.toml:2:8: error: `keep`: expected 1s or more, found "0s"
        keep = "0s"
               ^"#]],
    );
    check(
        "[store]\nkeep = \"200y\"",
        &expect![[r#"
        mag.toml:2:8: error: `keep`: expected at most 100 years, found "200y"
        keep = "200y"
               ^"#]],
    );
    check(
        "[route]\ntime_limit = \"1us\"",
        &expect![[r#"
        mag.toml:2:14: error: `time_limit`: expected 1ms or more, found "1us"
        time_limit = "1us"
                     ^"#]],
    );
    check(
        "[limits]\nline = \"64KiBs\"",
        &expect![[r#"
        mag.toml:2:8: error: `line`: expected a size like "64KiB", found "64KiBs"
        line = "64KiBs"
               ^"#]],
    );
    check(
        "[limits]\nline = \"1MiB\"",
        &expect![[r#"
        mag.toml:2:8: error: `line`: expected 1 B to 64.0 KiB, found "1MiB"
        line = "1MiB"
               ^"#]],
    );
    check(
        "[limits]\nline = 65536\nconnections = 0",
        &expect![[r#"
        mag.toml:2:8: error: `line`: expected a size like "64KiB", found integer
        line = 65536
               ^
        mag.toml:3:15: error: `connections`: expected a whole number of 1 or more, found 0
        connections = 0
                      ^"#]],
    );
}

#[test]
fn the_admin_interface_has_a_port_of_its_own() {
    check(
        "[[listen]]\naddress = \"0.0.0.0:3051\"\n[admin]\naddress = \"127.0.0.1:3051\"",
        &expect![[r#"
            mag.toml:4:11: error: `address`: 0.0.0.0:3051 of [[listen]] has this port already
            address = "127.0.0.1:3051"
                      ^"#]],
    );
    load("[[listen]]\naddress = \"10.0.0.1:3051\"\n[admin]\naddress = \"[::ffff:127.0.0.1]:3051\"");
}

#[test]
fn networks_that_may_connect() {
    check(
        "[[listen]]\naddress = \"a:1\"\nallow = [\"10.0.0.0/8\", \"::1\", \"10.0.0.0/33\", 7]",
        &expect![[r#"
        mag.toml:3:31: error: `allow`: expected a network like "10.0.0.0/8" or an address, found "10.0.0.0/33"
        allow = ["10.0.0.0/8", "::1", "10.0.0.0/33", 7]
                                      ^
        mag.toml:3:46: error: `allow`: expected a network like "10.0.0.0/8" or an address, found integer
        allow = ["10.0.0.0/8", "::1", "10.0.0.0/33", 7]
                                                     ^"#]],
    );
    check(
        "[[listen]]\naddress = \"a:1\"\nallow = []",
        &expect![[r#"
        mag.toml:3:9: error: `allow`: an empty list lets nobody in
        allow = []
                ^"#]],
    );
    check(
        "[[listen]]\naddress = \"unix:/run/a\"\nallow = [\"::1\"]",
        &expect![[r#"
        mag.toml:3:9: error: `allow`: peers of unix:/run/a have no addresses, set the rights of its folder instead
        allow = ["::1"]
                ^"#]],
    );
}

#[test]
fn rules_of_a_port() {
    check(
        "[[listen]]\naddress = \"unix:\"",
        &expect![[r#"
            mag.toml:2:11: error: `address`: expected a path after `unix:`, found "unix:"
            address = "unix:"
                      ^"#]],
    );
    check(
        "[[listen]]\naddress = \"unix:/run/a\"\ntrust_proxy = true\ntls = { cert = \"c\", kay = \"k\" }",
        &expect![[r#"
            mag.toml:3:15: error: `trust_proxy`: only for TCP, and unix:/run/a is a unix socket
            trust_proxy = true
                          ^
            mag.toml:4:21: error: unknown key `kay` in [listen.tls], did you mean `key`?
            tls = { cert = "c", kay = "k" }
                                ^"#]],
    );
    check(
        "[[listen]]\naddress = \"a:1\"\ntoken = { env = \"T\" }\n[listen.labels]\na = 7\n\"\" = \"x\"",
        &expect![[r#"
            mag.toml:3:9: error: `token`: only HTTP can bring one: add `protocol = "http"`, and give other protocols a [[listen]] of their own
            token = { env = "T" }
                    ^
            mag.toml:5:5: error: `a`: expected a text, found integer
            a = 7
                ^
            mag.toml:6:6: error: a label's name has 1 to 128 bytes
            "" = "x"
                 ^"#]],
    );
}

#[test]
fn a_shared_key_is_for_ports_of_forward_alone() {
    check(
        "[[listen]]\naddress = \"a:1\"\nshared_key = { env = \"K\" }",
        &expect![[r#"
            mag.toml:3:14: error: `shared_key`: only Forward has one: add `protocol = "forward"`, and give other protocols a [[listen]] of their own
            shared_key = { env = "K" }
                         ^"#]],
    );
}

#[test]
fn ports_of_datagrams() {
    check(
        "[[listen]]\naddress = \"udp:514\"\n[[listen]]\naddress = \"unixgram:\"",
        &expect![[r#"
            mag.toml:2:11: error: `address`: expected an address like "udp:0.0.0.0:514", found "udp:514"
            address = "udp:514"
                      ^
            mag.toml:4:11: error: `address`: expected a path after `unixgram:`, found "unixgram:"
            address = "unixgram:"
                      ^"#]],
    );
    check(
        "[[listen]]\naddress = \"udp:0.0.0.0:514\"\nprotocol = \"relp\"\ntrust_proxy = true",
        &expect![[r#"
            mag.toml:2:11: error: `protocol`: what comes in datagrams, as on udp:0.0.0.0:514, is syslog or gelf
            address = "udp:0.0.0.0:514"
                      ^
            mag.toml:4:15: error: `trust_proxy`: only for TCP, and udp:0.0.0.0:514 takes datagrams
            trust_proxy = true
                          ^"#]],
    );
}

#[test]
fn listening() {
    check(
        "[[listen]]\naddress = \"a:1\"\nprotocol = \"gopher\"",
        &expect![[r#"
            mag.toml:3:12: error: `protocol`: unknown word "gopher", expected one of auto, classic, ndjson, http, syslog, relp, forward, gelf
            protocol = "gopher"
                       ^"#]],
    );
    check(
        "[[listen]]",
        &expect![[r#"
        mag.toml:1:1: error: missing `address` in [[listen]]
        [[listen]]
        ^"#]],
    );
    check(
        "[[listen]]\naddress = \"3050\"",
        &expect![[r#"
        mag.toml:2:11: error: `address`: expected an address like "0.0.0.0:3050", found "3050"
        address = "3050"
                  ^"#]],
    );
    check(
        "[[listen]]\naddress = \"localhost:99999\"",
        &expect![[r#"
        mag.toml:2:11: error: `address`: expected an address like "0.0.0.0:3050", found "localhost:99999"
        address = "localhost:99999"
                  ^"#]],
    );
    check(
        "[[listen]]\naddress = \"::1:3050\"",
        &expect![[r#"
        mag.toml:2:11: error: `address`: expected an address like "0.0.0.0:3050", found "::1:3050"
        address = "::1:3050"
                  ^"#]],
    );
    check(
        "[[listen]]\naddress = \"a:1\"\n[[listen]]\naddress = \"a:1\"",
        &expect![[r#"
            mag.toml:4:11: error: `address`: a:1 is there already
            address = "a:1"
                      ^"#]],
    );
    check(
        "listen = []",
        &expect![[r#"
        mag.toml:1:1: error: `listen`: expected at least one address
        listen = []
        ^"#]],
    );
}

#[test]
fn logging() {
    check(
        "[log]\nformat = \"jsn\"\nlevel = \"warning\"",
        &expect![[r#"
            mag.toml:2:10: error: `format`: unknown word "jsn", did you mean `json`?
            format = "jsn"
                     ^
            mag.toml:3:9: error: `level`: unknown word "warning", did you mean `warn`?
            level = "warning"
                    ^"#]],
    );
}

#[test]
fn what_a_later_version_has_is_refused_by_that_name() {
    check(
        "[admin]\ntls = true",
        &expect![[r#"
        mag.toml:2:1: error: `tls` is not in this version
        tls = true
        ^"#]],
    );
    check(
        "[route]\ngroup_by = [\"template\"]",
        &expect![[r#"
        mag.toml:2:13: error: `group_by`: `template` is not in this version
        group_by = ["template"]
                    ^"#]],
    );
    let not_yet = |header: &str, keys: &[&str]| {
        for key in keys {
            let text = format!("{header}\n{key} = 1\n");
            let said = Config::load(&source(&text), &env(&[])).expect_err(key).to_string();
            assert!(
                said.contains(&format!("mag.toml:3:1: error: `{key}` is not in this version\n{key} = 1\n^")),
                "{said}"
            );
        }
    };
    not_yet("[admin]\naddress = \"127.0.0.1:1\"", &["tls", "token"]);
}

#[test]
fn the_caret_stands_under_its_spot_also_behind_tabs_and_wide_words() {
    check(
        "[store]\n\tkeep\t=\t30",
        &expect![[r#"
        mag.toml:2:9: error: `keep`: expected a duration like "30s", found integer
        	keep	=	30
        	    	 	^"#]],
    );
    check(
        "[store]\r\nkeep = 30\r\n",
        &expect![[r#"
        mag.toml:2:8: error: `keep`: expected a duration like "30s", found integer
        keep = 30
               ^"#]],
    );
    check(
        "\u{feff}route = 3",
        &expect![[r#"
        mag.toml:1:9: error: `route`: expected a table, found integer
        route = 3
                ^"#]],
    );
    check(
        "store = { \"größe\" = 1, keep = 30 }",
        &expect![[r#"
        mag.toml:1:11: error: unknown key `größe` in [store], expected one of path, keep, ids, ids_keep, on_damage
        store = { "größe" = 1, keep = 30 }
                  ^
        mag.toml:1:31: error: `keep`: expected a duration like "30s", found integer
        store = { "größe" = 1, keep = 30 }
                                      ^"#]],
    );
}

#[test]
fn no_text_makes_loading_fall_over() {
    use proptest::prelude::*;
    let words = "[route]\n [[route.routes]]\n [senders.a]\n [monitors.m]\n match = [ ] 'kind=~\"a \" { } \n plugin 3 senders \
                 secrets . é url \"https://x\" alert_if smtp listen =[ ${secret: text \t # \r\n";
    let words: Vec<&str> = words.split(' ').collect();
    proptest!(|(parts in prop::collection::vec(prop::sample::select(words), 0..24), tail in any::<String>())| {
        let text = format!("{}{tail}", parts.concat());
        if let Err(mistakes) = Config::load(&source(&text), &env(&[])) {
            prop_assert!(mistakes.to_string().lines().count() >= mistakes.count());
        }
    });
}
