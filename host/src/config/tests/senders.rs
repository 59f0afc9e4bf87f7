//! Senders and their mail servers.

use super::*;

#[test]
fn a_sender_with_everything() {
    let config = load(
        r##"
[senders.team]
plugin = "slack"
config = { channel = "#ops", n = 3, f = 1.5, on = true, list = ["a", { b = "${secret:token}" }], day = 2024-01-02 }
secrets.token = { env = "SLACK_TOKEN" }
secrets.other.file = "secret.txt"
timeout = "60s"
rate = "3/h"
burst = 7
allow = ["https://Example.org", "http://10.0.0.1:8080/"]
allow_private = true
"##,
    );
    let sender = &config.senders[0];
    let json =
        r##"{"channel":"#ops","day":"2024-01-02","f":1.5,"list":["a",{"b":"${secret:token}"}],"n":3,"on":true}"##;
    assert_eq!(sender.config.to_string(), json);
    assert_eq!(sender.plugin, Plugin::Bundled("slack".into()));
    assert_eq!(sender.secrets["token"].source, SecretSource::Env("SLACK_TOKEN".into()));
    assert_eq!(sender.secrets["other"].source, SecretSource::File("secret.txt".into()));
    assert_eq!((sender.timeout.as_secs(), sender.burst), (60, 7));
    assert_eq!(sender.rate, Some(Rate { count: 3, per: Duration::from_secs(3600) }));
    assert_eq!(sender.allow, ["https://example.org", "http://10.0.0.1:8080"]);
    assert!(sender.allow_private);
    assert_eq!(sender.place, "mag.toml:2:10");
}

#[test]
fn how_often_each_plugin_tells_by_default() {
    let rate = |plugin: &str, more: &str| {
        let config = load(&format!("[senders.a]\nplugin = {plugin:?}\n{more}"));
        let sender = &config.senders[0];
        assert_eq!((sender.timeout.as_secs(), sender.burst), (10, 5));
        sender.rate.map(|rate| rate.to_string()).unwrap_or_default()
    };
    assert_eq!(rate("console", ""), "");
    assert_eq!(rate("console", "rate = '7 / h'"), "7/h");
    assert_eq!(rate("slack", ""), "20/m");
    assert_eq!(rate("email", "smtp.url = 'smtp://localhost'"), "20/m");
    assert_eq!(rate("webhook", ""), "10/s");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("my.wasm");
    std::fs::write(&path, "x").expect("written");
    assert_eq!(rate(path.to_str().expect("UTF-8"), ""), "1/s");
}

#[test]
fn plugins_that_are_not_there() {
    check(
        "[senders.a]",
        &expect![[r#"
        mag.toml:1:1: error: missing `plugin` in [senders.a]
        [senders.a]
        ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"slak\"",
        &expect![[r#"
        mag.toml:2:10: error: unknown plugin `slak`, did you mean `slack`?
        plugin = "slak"
                 ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"telegram\"",
        &expect![[r#"
            mag.toml:2:10: error: unknown plugin `telegram`, expected one of console, slack, email, webhook or a path like "./my.wasm"
            plugin = "telegram"
                     ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"./nothing.wasm\"",
        &expect![[r#"
        mag.toml:2:10: error: no plugin at ./nothing.wasm
        plugin = "./nothing.wasm"
                 ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"\"",
        &expect![[r#"
        mag.toml:2:10: error: `plugin`: expected a bundled plugin or the path of one, found ""
        plugin = ""
                 ^"#]],
    );
    check(
        "[senders.\"a b\"]\nplugin = \"console\"",
        &expect![[r#"
        mag.toml:1:10: error: "a b": expected a name of letters, digits, `-`, `_` and `.`
        [senders."a b"]
                 ^"#]],
    );
}

#[test]
fn bounds_of_a_sender() {
    check(
        "[senders.a]\nplugin = \"console\"\ntimeout = \"61s\"\nburst = 0\nrate = \"0/s\"",
        &expect![[r#"
        mag.toml:3:11: error: `timeout`: expected at most 1m, found "61s"
        timeout = "61s"
                  ^
        mag.toml:4:9: error: `burst`: expected a whole number of 1 or more, found 0
        burst = 0
                ^
        mag.toml:5:8: error: `rate`: expected a rate like "20/m", found "0/s"
        rate = "0/s"
               ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"console\"\nrate = \"5/d\"\nallow_private = 1",
        &expect![[r#"
        mag.toml:3:8: error: `rate`: expected a rate like "20/m", found "5/d"
        rate = "5/d"
               ^
        mag.toml:4:17: error: `allow_private`: expected true or false, found integer
        allow_private = 1
                        ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"console\"\nallow = [\"example.org\", \"https://x.org/p\", \"ftp://x.org\"]",
        &expect![[r#"
            mag.toml:3:10: error: `allow`: expected an origin like "https://example.org", found "example.org"
            allow = ["example.org", "https://x.org/p", "ftp://x.org"]
                     ^
            mag.toml:3:25: error: `allow`: expected an origin like "https://example.org", found "https://x.org/p"
            allow = ["example.org", "https://x.org/p", "ftp://x.org"]
                                    ^
            mag.toml:3:44: error: `allow`: expected an origin like "https://example.org", found "ftp://x.org"
            allow = ["example.org", "https://x.org/p", "ftp://x.org"]
                                                       ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"console\"\nconfig = \"x\"",
        &expect![[r#"
        mag.toml:3:10: error: `config`: expected a table, found string
        config = "x"
                 ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"console\"\nconfig = { secrets = 1, x = nan }",
        &expect![[r#"
        mag.toml:3:12: error: `secrets` stands beside `config`, not inside it
        config = { secrets = 1, x = nan }
                   ^
        mag.toml:3:29: error: no number that JSON can hold
        config = { secrets = 1, x = nan }
                                    ^"#]],
    );
}

#[test]
fn mail_servers() {
    let smtp = |smtp: &str| {
        let secret = "secrets.smtp_password.env = 'P'";
        let config = load(&format!("[senders.a]\nplugin = \"email\"\n{secret}\nsmtp = {smtp}"));
        let smtp = config.senders[0].smtp.clone().expect("smtp");
        (smtp.implicit_tls, smtp.host, smtp.port, smtp.username, smtp.tls)
    };
    assert_eq!(smtp("{ url = 'smtps://m.org' }"), (true, "m.org".into(), 465, None, Tls::Auto));
    assert_eq!(
        smtp("{ url = 'smtp://m.org', username = 'u' }"),
        (false, "m.org".into(), 587, Some("u".into()), Tls::Auto)
    );
    assert_eq!(smtp("{ url = 'smtp://[::1]:2525/', tls = 'none' }"), (false, "::1".into(), 2525, None, Tls::None));
    assert_eq!(
        smtp("{ url = 'smtp://127.0.0.1', tls = 'required' }"),
        (false, "127.0.0.1".into(), 25, None, Tls::Required)
    );
}

#[test]
fn mistakes_with_mail_servers() {
    check(
        "[senders.a]\nplugin = \"email\"",
        &expect![[r#"
        mag.toml:1:1: error: missing `smtp` in [senders.a]: add `smtp = { url = "smtps://smtp.example.org" }`
        [senders.a]
        ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"slack\"\nsmtp = { url = \"smtp://x\" }",
        &expect![[r#"
        mag.toml:3:1: error: `smtp`: the plugin slack sends no mail
        smtp = { url = "smtp://x" }
        ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"email\"\nsmtp = { username = \"u\" }",
        &expect![[r#"
        mag.toml:3:8: error: missing `url` in [senders.a.smtp]
        smtp = { username = "u" }
               ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"email\"\nsmtp = { url = \"smtp://x\", username = \"u\" }",
        &expect![[r#"
        mag.toml:3:1: error: missing `secrets.smtp_password` in [senders.a]: `smtp` has a username
        smtp = { url = "smtp://x", username = "u" }
        ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"email\"\nsmtp = { url = \"smtp://\" }",
        &expect![[r#"
        mag.toml:3:16: error: `url`: expected a server like "smtps://smtp.example.org:465", found "smtp://"
        smtp = { url = "smtp://" }
                       ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"email\"\nsmtp = { url = \"https://x\" }",
        &expect![[r#"
        mag.toml:3:16: error: `url`: expected a server like "smtps://smtp.example.org:465", found "https://x"
        smtp = { url = "https://x" }
                       ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"email\"\nsmtp = { url = \"smtps://x\", tls = \"none\" }",
        &expect![[r#"
        mag.toml:3:35: error: `tls`: smtps is TLS, write smtp:// for a connection without it
        smtp = { url = "smtps://x", tls = "none" }
                                          ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"email\"\nsmtp = { url = \"smtps://x\", tls = \"on\" }",
        &expect![[r#"
            mag.toml:3:35: error: `tls`: unknown word "on", expected one of auto, required, none
            smtp = { url = "smtps://x", tls = "on" }
                                              ^"#]],
    );
}

#[test]
fn what_a_plugin_says_about_its_config_leads_back_to_the_file() {
    let config = load("[senders.a]\nplugin = \"slack\"\nconfig = { channel = \"#ops\", \"a/b\" = [1, 22] }\n");
    assert_eq!(config.locate("a", "/channel"), "mag.toml:3:22");
    assert_eq!(config.locate("a", "/a~1b/1"), "mag.toml:3:42");
    assert_eq!(config.locate("a", "/missing"), "mag.toml:3:10");
    assert_eq!(load("[senders.a]\nplugin = \"slack\"").locate("a", "/channel"), "mag.toml:1:10");
    let expect = expect![[r##"
        mag.toml:3:22: error: sender a: no such channel
        config = { channel = "#ops", "a/b" = [1, 22] }
                             ^"##]];
    expect.assert_eq(&config.report("a", "/channel", "sender a: no such channel"));
}

#[test]
fn how_a_sender_deals_with_trouble() {
    let config = load(
        "[route]\nsenders = ['a']\n[senders.a]\nplugin = 'console'\n[senders.b]\nplugin = 'console'\nfallback = 'c'\n\
         fallback_after = '90s'\ngive_up_after = '3h'\nconcurrency = 4\nstyle = 'living'\nrepeat_after = '2h'\n\
         [senders.c]\nplugin = 'console'\nstyle = 'living'\nfallback = 'd'\n[senders.d]\nplugin = 'console'\nstyle = 'digest'",
    );
    let [a, b, c, d] = config.senders.as_slice() else { panic!("four senders") };
    let hours = |n: u64| Duration::from_secs(n * 3_600);
    assert_eq!((a.concurrency, a.give_up_after, a.living, &a.fallback), (1, hours(24), None, &None));
    assert_eq!((b.concurrency, b.give_up_after, b.living), (4, hours(3), Some(hours(2))));
    assert_eq!(b.fallback, Some(Fallback { sender: "c".to_owned(), after: Duration::from_secs(90) }));
    assert_eq!(c.fallback, Some(Fallback { sender: "d".to_owned(), after: Duration::from_secs(300) }));
    assert_eq!((c.living, d.living), (Some(hours(24)), None));
    assert_eq!(config.warnings, ["mag.toml:5:10: warning: no route names the sender `b`"], "a fallback is used");
}

#[test]
fn mistakes_in_how_a_sender_deals_with_trouble() {
    check(
        "[route]\nsenders = ['a']\n[senders.a]\nplugin = 'console'\nfallback = 'a'\nconcurrency = 65\nstyle = 'loving'\n\
         [senders.b]\nplugin = 'console'\nfallback = 'c'\nfallback_after = '0s'\n\
         [senders.c]\nplugin = 'console'\nfallback = 'd'\n[senders.d]\nplugin = 'console'\nfallback = 'c'\n\
         [senders.e]\nplugin = 'console'\nfallback_after = '1m'\nrepeat_after = '1m'\ngive_up_after = 3\n\
         [senders.f]\nplugin = 'console'\nfallback = 'g'",
        &expect![[r#"
            mag.toml:5:12: error: `fallback`: a sender cannot be its own fallback
            fallback = 'a'
                       ^
            mag.toml:6:15: error: `concurrency`: expected at most 64, found 65
            concurrency = 65
                          ^
            mag.toml:7:9: error: `style`: expected "digest" or "living", found "loving"
            style = 'loving'
                    ^
            mag.toml:11:18: error: `fallback_after`: expected 1s or more, found "0s"
            fallback_after = '0s'
                             ^
            mag.toml:14:12: error: `fallback`: c → d → c is a circle: one of them must have no fallback
            fallback = 'd'
                       ^
            mag.toml:20:1: error: `fallback_after` needs `fallback` in [senders.e]
            fallback_after = '1m'
            ^
            mag.toml:21:1: error: `repeat_after` needs `style = "living"` in [senders.e]
            repeat_after = '1m'
            ^
            mag.toml:22:17: error: `give_up_after`: expected a duration like "30s", found integer
            give_up_after = 3
                            ^
            mag.toml:25:12: error: `fallback`: unknown sender `g`, expected one of a, b, c, d, e, f
            fallback = 'g'
                       ^"#]],
    );
}

#[test]
fn each_limit_of_a_plugin_takes_its_bounds_and_nothing_beyond() {
    let read = |key: &str, value: &str| {
        let text = format!("[senders.a]\nplugin = \"console\"\n[senders.a.limits]\n{key} = {value}\n");
        Config::load(&source(&text), &env(&[]))
    };
    let bounds = [
        ("offline_timeout", ["\"10ms\"", "\"10s\"", "\"9ms\"", "\"11s\""]),
        ("offline_cpu", ["\"10ms\"", "\"10s\"", "\"9ms\"", "\"11s\""]),
        ("prepare_timeout", ["\"10ms\"", "\"10m\"", "\"9ms\"", "\"601s\""]),
        ("prepare_cpu", ["\"10ms\"", "\"10m\"", "\"9ms\"", "\"601s\""]),
        ("cpu", ["\"10ms\"", "\"60s\"", "\"9ms\"", "\"61s\""]),
        ("memory", ["\"1MiB\"", "\"1GiB\"", "\"1023KiB\"", "\"1025MiB\""]),
        ("tables", ["1", "1000000", "0", "1000001"]),
        ("instances", ["1", "256", "0", "257"]),
        ("resources", ["16", "4096", "15", "4097"]),
        ("transfer", ["\"64KiB\"", "\"64MiB\"", "\"63KiB\"", "\"65MiB\""]),
        ("requests", ["0", "256", "-1", "257"]),
        ("prepare_requests", ["0", "1024", "-1", "1025"]),
        ("requests_at_once", ["1", "64", "0", "65"]),
        ("headers", ["1", "256", "0", "257"]),
        ("header_size", ["\"1KiB\"", "\"256KiB\"", "\"1023B\"", "\"257KiB\""]),
        ("request_size", ["\"1KiB\"", "\"16MiB\"", "\"1023B\"", "\"17MiB\""]),
        ("answer_timeout", ["\"1ms\"", "\"10m\"", "\"0ms\"", "\"601s\""]),
        ("answer_size", ["\"1KiB\"", "\"16MiB\"", "\"1023B\"", "\"17MiB\""]),
        ("prepare_answer_size", ["\"1KiB\"", "\"64MiB\"", "\"1023B\"", "\"65MiB\""]),
        ("log_size", ["\"1KiB\"", "\"1MiB\"", "\"1023B\"", "\"2MiB\""]),
        ("log_lines", ["1", "10000", "0", "10001"]),
        ("state", ["\"1B\"", "\"1MiB\"", "\"0B\"", "\"2MiB\""]),
        ("receipt", ["\"1B\"", "\"64KiB\"", "\"0B\"", "\"65KiB\""]),
    ];
    for (key, [least, most, below, above]) in bounds {
        for good in [least, most] {
            let read = read(key, good).unwrap_or_else(|said| panic!("{key} = {good}: {said}"));
            assert_ne!(read.senders[0].limits, PluginLimits::default(), "{key} = {good} changes nothing");
        }
        for wrong in [below, above] {
            let said = read(key, wrong).expect_err(key).to_string();
            assert!(said.contains(":4:") && said.contains(&format!("`{key}`: expected ")), "{key} = {wrong}: {said}");
        }
    }
    let keys = schema()["$defs"]["sender_limits"]["properties"].as_object().expect("keys").len();
    assert_eq!(keys, bounds.len(), "a limit is missing in this list");
}
