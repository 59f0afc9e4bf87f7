//! Secrets: how they are declared and used, that none is shown, and how they are read.

use super::*;

#[test]
fn secrets() {
    let check = |rest: &str, expect: &Expect| check(&format!("[senders.a]\nplugin = \"slack\"\n{rest}"), expect);
    check(
        "secrets.token = { env = \"A\", file = \"b\" }",
        &expect![[r#"
        mag.toml:3:9: error: `token`: expected { env = "NAME" } or { file = "PATH" }
        secrets.token = { env = "A", file = "b" }
                ^"#]],
    );
    check(
        "secrets.token = {}",
        &expect![[r#"
        mag.toml:3:9: error: `token`: expected { env = "NAME" } or { file = "PATH" }
        secrets.token = {}
                ^"#]],
    );
    check(
        "secrets.token = { evn = \"A\" }",
        &expect![[r#"
            mag.toml:3:19: error: unknown key `evn` in [senders.a.secrets.token], did you mean `env`?
            secrets.token = { evn = "A" }
                              ^"#]],
    );
    check(
        "secrets.token = { env = \"\" }",
        &expect![[r#"
        mag.toml:3:25: error: `env`: expected the name of an environment variable, found ""
        secrets.token = { env = "" }
                                ^"#]],
    );
    check(
        "secrets = [\"token\"]",
        &expect![[r#"
        mag.toml:3:11: error: `secrets`: expected a table of secrets, found array
        secrets = ["token"]
                  ^"#]],
    );
    check(
        "config.x = \"a ${secret:tokn} b\"\nsecrets.token.env = \"A\"",
        &expect![[r#"
            mag.toml:3:12: error: no secret `tokn`, did you mean `token`?
            config.x = "a ${secret:tokn} b"
                       ^"#]],
    );
    check(
        "config.x = \"${secret:token}\"",
        &expect![[r#"
            mag.toml:3:12: error: no secret `token`: add `secrets.token = { env = "NAME" }`
            config.x = "${secret:token}"
                       ^"#]],
    );
    check(
        "config.x = \"${secret:token\"\nsecrets.token.env = \"A\"",
        &expect![[r#"
        mag.toml:3:12: error: `${secret:` without a closing `}`
        config.x = "${secret:token"
                   ^"#]],
    );
    check(
        "config.url = \"https://${secret:token}.x.org/\"\nsecrets.token.env = \"A\"",
        &expect![[r#"
        mag.toml:3:14: error: a secret is no part of a URL's host: type the origin, or give the whole URL as the secret
        config.url = "https://${secret:token}.x.org/"
                     ^"#]],
    );
    check("config.url = \"https://x.org/${secret:token}?a=${secret:token}\"\nsecrets.token.env = \"A\"", &expect![""]);
}

#[test]
fn what_may_be_a_secret_is_never_shown() {
    check(
        "[senders.a]\nplugin = \"slack\"\nsecrets.token = \"xoxb-canary\"",
        &expect![[r#"
        mag.toml:3:17: error: `token`: expected { env = "NAME" } or { file = "PATH" }, found string: no secret stands in this file
        secrets.token = …
                        ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"email\"\nsmtp = { url = \"smtp://u:canary@x.org\" }",
        &expect![[r#"
        mag.toml:3:16: error: `url`: no user and password here, write `username` and `secrets.smtp_password`
        smtp = { url = …
                       ^"#]],
    );
    check(
        "[senders.a]\nplugin = \"console\"\nallow = [\"https://u:canary@x.org\"]",
        &expect![[r#"
        mag.toml:3:10: error: no user and password in an origin
        allow = […
                 ^"#]],
    );
}

#[test]
fn a_line_with_a_secret_is_not_shown_for_another_mistake_either() {
    check(
        "senders.a = { plugin = \"slak\", secrets = { token = \"canary\" }, burst = 0 }",
        &expect![[r#"
        mag.toml:1:24: error: unknown plugin `slak`, did you mean `slack`?
        senders.a = { plugin = "slak", secrets = { token = …
                               ^
        mag.toml:1:52: error: `token`: expected { env = "NAME" } or { file = "PATH" }, found string: no secret stands in this file
        senders.a = { plugin = "slak", secrets = { token = …
                                                           ^
        mag.toml:1:72: error: `burst`: expected a whole number of 1 or more, found 0
        senders.a = { plugin = "slak", secrets = { token = …
                                                                               ^"#]],
    );
    check(
        "[monitors.m]\nurl = \"ftp://u:canary@x.org\"",
        &expect![[r#"
        mag.toml:1:1: error: missing `items` in [monitors.m]
        [monitors.m]
        ^
        mag.toml:1:1: error: missing `id` in [monitors.m]
        [monitors.m]
        ^
        mag.toml:1:1: error: missing `value` in [monitors.m]
        [monitors.m]
        ^
        mag.toml:1:1: error: missing `alert_if` in [monitors.m]
        [monitors.m]
        ^
        mag.toml:1:1: error: missing `text` in [monitors.m]
        [monitors.m]
        ^
        mag.toml:2:7: error: `url`: expected a URL like "https://example.org/numbers"
        url = …
              ^"#]],
    );
}

#[test]
fn secrets_are_read_at_start_and_all_missing_ones_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "from a file\r\n").expect("written");
    let text = format!(
        "[senders.a]\nplugin = \"slack\"\nsecrets.token = {{ env = \"A\" }}\nsecrets.file = {{ file = {file:?} }}\n"
    );
    let values = load(&text).read_secrets(&env(&[("A", "from a variable")])).expect("both are there");
    assert_eq!(values.senders["a"]["token"].0, "from a variable");
    assert_eq!(values.senders["a"]["file"].0, "from a file");
    assert!(!format!("{values:?}").contains("from a"));
    let text = text.replace(&*file.to_string_lossy(), "/nowhere/token");
    let mistakes = load(&text).read_secrets(&env(&[("A", "")])).expect_err("none is there");
    expect![[r#"
        mag.toml:3:17: error: secret `token` of a: environment variable A is not set
        secrets.token = { env = "A" }
                        ^
        mag.toml:4:16: error: secret `file` of a: cannot read /nowhere/token: No such file or directory (os error 2)
        secrets.file = { file = "/nowhere/token" }
                       ^"#]]
    .assert_eq(&mistakes.to_string());
}

#[test]
fn a_secret_of_the_wrong_form_is_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let read = |bytes: &[u8]| {
        let file = folder.path().join("secret");
        std::fs::write(&file, bytes).expect("written");
        let error = SecretSource::File(file.clone()).read(&env(&[])).expect_err("refused");
        error.replace(&*file.to_string_lossy(), "FILE")
    };
    assert_eq!(read(b"\n"), "cannot read FILE: it is empty");
    assert_eq!(read(b"canary\xff"), "cannot read FILE: not UTF-8");
    assert_eq!(read(&[b'x'; 70_000]), "cannot read FILE: longer than 65536 bytes");
}
