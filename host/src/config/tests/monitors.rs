//! Monitors in the file.

use super::*;

const MONITOR: &str = r#"[monitors.m]
url = "https://api.example.org/campaigns"
items = "/campaigns"
id = "/id"
value = "/errors/FREQUENCY_KEY_PRESENT"
text = "{delta}"
"#;

#[test]
fn a_monitor_with_what_it_needs() {
    let config = load(&format!("{MONITOR}alert_if = ' delta>=-1.5 '"));
    let monitor = &config.monitors[0];
    assert_eq!((monitor.interval.as_secs(), monitor.keep), (300, 3));
    assert_eq!(monitor.alert_if, AlertIf { op: Comparison::GreaterOrEqual, threshold: -1.5 });
    assert!(monitor.token_refresh.is_none() && monitor.headers.is_empty());
}

#[test]
fn mistakes_in_monitors() {
    let check = |rest: &str, expect: &Expect| check(&format!("{MONITOR}{rest}"), expect);
    check(
        "",
        &expect![[r#"
        mag.toml:1:1: error: missing `alert_if` in [monitors.m]
        [monitors.m]
        ^"#]],
    );
    check(
        "alert_if = \"delta < many\"",
        &expect![[r#"
        mag.toml:7:21: error: `alert_if`: expected a condition like "delta < 1000" with one of < <= > >= == !=, found "delta < many"
        alert_if = "delta < many"
                            ^"#]],
    );
    check(
        "alert_if = \"sum < 3\"",
        &expect![[r#"
        mag.toml:7:13: error: `alert_if`: expected a condition like "delta < 1000" with one of < <= > >= == !=, found "sum < 3"
        alert_if = "sum < 3"
                    ^"#]],
    );
    check(
        "alert_if = \"delta ~ 3\"\nkeep = 1\ninterval = \"10ms\"",
        &expect![[r#"
        mag.toml:7:19: error: `alert_if`: expected a condition like "delta < 1000" with one of < <= > >= == !=, found "delta ~ 3"
        alert_if = "delta ~ 3"
                          ^
        mag.toml:8:8: error: `keep`: expected a whole number of 2 or more, found 1
        keep = 1
               ^
        mag.toml:9:12: error: `interval`: expected 1s or more, found "10ms"
        interval = "10ms"
                   ^"#]],
    );
}

#[test]
fn mistakes_in_headers_and_token_refresh() {
    let check = |rest: &str, expect: &Expect| check(&format!("{MONITOR}{rest}"), expect);
    check(
        "alert_if = \"delta < 3\"\nheaders = { \"a b\" = \"x\", X = \"${secret:token}\", Y = 1 }",
        &expect![[r#"
            mag.toml:8:13: error: "a b": expected the name of a header
            headers = { "a b" = "x", X = "${secret:token}", Y = 1 }
                        ^
            mag.toml:8:30: error: no secret `token`: add `secrets.token = { env = "NAME" }`
            headers = { "a b" = "x", X = "${secret:token}", Y = 1 }
                                         ^
            mag.toml:8:53: error: `Y`: expected a text, found integer
            headers = { "a b" = "x", X = "${secret:token}", Y = 1 }
                                                                ^"#]],
    );
    check(
        "alert_if = \"delta < 3\"\ntoken_refresh = { url = \"x\", every = 3, foo = 1 }",
        &expect![[r#"
            mag.toml:8:1: error: `token_refresh` renews `secrets.token`, which is missing
            token_refresh = { url = "x", every = 3, foo = 1 }
            ^
            mag.toml:8:25: error: `url`: expected a URL like "https://example.org/numbers", found "x"
            token_refresh = { url = "x", every = 3, foo = 1 }
                                    ^
            mag.toml:8:38: error: `every`: expected a duration like "30s", found integer
            token_refresh = { url = "x", every = 3, foo = 1 }
                                                 ^
            mag.toml:8:41: error: unknown key `foo` in [monitors.m.token_refresh], expected one of url, every
            token_refresh = { url = "x", every = 3, foo = 1 }
                                                    ^"#]],
    );
}

#[test]
fn secrets_in_urls() {
    let check = |url: &str, expect: &Expect| {
        let monitor = MONITOR.replace("https://api.example.org/campaigns", url);
        check(&format!("{monitor}alert_if = \"delta < 3\"\nsecrets.key = {{ env = \"KEY\" }}"), expect);
    };
    check(
        "https://${secret:key}/campaigns",
        &expect![[r#"
            mag.toml:2:7: error: `url`: a secret stands in the path or the query of a URL, or in `headers`
            url = "https://${secret:key}/campaigns"
                  ^"#]],
    );
    check(
        "https://api.example.org/${secret:kee}",
        &expect![[r#"
            mag.toml:2:7: error: no secret `kee`, did you mean `key`?
            url = "https://api.example.org/${secret:kee}"
                  ^"#]],
    );
    let config = load(&format!(
        "{}alert_if = \"delta < 3\"\nsecrets.key = {{ env = \"KEY\" }}",
        MONITOR.replace("campaigns\"\nitems", "${secret:key}\"\nitems")
    ));
    assert_eq!(config.monitors[0].url.asks().collect::<Vec<_>>(), [("key", SecretPlace::Path)]);
}

#[test]
fn what_a_monitor_must_have() {
    check(
        "[monitors.m]\nurl = \"ftp://x\"\nitems = \"campaigns\"\nid = \"/a~2\"",
        &expect![[r#"
        mag.toml:1:1: error: missing `value` in [monitors.m]
        [monitors.m]
        ^
        mag.toml:1:1: error: missing `alert_if` in [monitors.m]
        [monitors.m]
        ^
        mag.toml:1:1: error: missing `text` in [monitors.m]
        [monitors.m]
        ^
        mag.toml:2:7: error: `url`: expected a URL like "https://example.org/numbers", found "ftp://x"
        url = "ftp://x"
              ^
        mag.toml:3:9: error: `items`: expected a JSON pointer like "/items", found "campaigns"
        items = "campaigns"
                ^
        mag.toml:4:6: error: `id`: expected a JSON pointer like "/items", found "/a~2"
        id = "/a~2"
             ^"#]],
    );
}
