//! Secrets: how they are declared and used, that none is shown, and how they are read.

use super::*;

#[test]
fn secrets() {
    let check = |rest: &str, expect: &Expect| check(&format!("[senders.a]\nplugin = \"slack\"\n{rest}"), expect);
    check(
        "secrets.token = { env = \"A\", file = \"b\" }",
        &expect![[r#"
        mag.toml:3:9: error: `token`: expected { env = "NAME" }, { file = "PATH" }, { credential = "NAME" } or { command = ["PROGRAM", "…"] }
        secrets.token = { env = "A", file = "b" }
                ^"#]],
    );
    check(
        "secrets.token = {}",
        &expect![[r#"
        mag.toml:3:9: error: `token`: expected { env = "NAME" }, { file = "PATH" }, { credential = "NAME" } or { command = ["PROGRAM", "…"] }
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
fn where_a_secret_comes_from_and_where_it_may_go() {
    let text = r#"
[senders.a]
plugin = "slack"
secrets.one = { credential = "slack", in = ["header", "body"], origins = ["https://Slack.com:443"] }
secrets.two = { command = ["./bin/get", "-x"], refresh = "1h" }
secrets.three = { command = ["pass", "mag"] }
"#;
    let secrets = &load(text).senders[0].secrets;
    assert_eq!(secrets["one"].source, SecretSource::Credential("slack".to_owned()));
    assert_eq!(secrets["one"].places, Some(vec![SecretPlace::Header, SecretPlace::Body]));
    assert_eq!(secrets["one"].origins, ["https://slack.com"]);
    let SecretSource::Command(two) = &secrets["two"].source else { panic!("{secrets:?}") };
    assert_eq!((two.program.to_str(), two.arguments.as_slice()), (Some("./bin/get"), ["-x".to_owned()].as_slice()));
    assert_eq!(two.refresh, Some(Duration::from_secs(3_600)));
    let SecretSource::Command(three) = &secrets["three"].source else { panic!("{secrets:?}") };
    assert_eq!((three.program.to_str(), three.refresh, &secrets["three"].places), (Some("pass"), None, &None));
}

#[test]
fn mistakes_in_the_rights_and_sources_of_secrets() {
    let check = |rest: &str, expect: &Expect| check(&format!("[senders.a]\nplugin = \"slack\"\n{rest}"), expect);
    check(
        "secrets.t = { env = \"A\", in = [\"heder\"], origins = [\"x.org\"] }",
        &expect![[r#"
            mag.toml:3:32: error: `in`: expected one of places: path, query, header, body, basic, sign, found "heder"
            secrets.t = { env = "A", in = ["heder"], origins = ["x.org"] }
                                           ^
            mag.toml:3:53: error: `origins`: expected an origin like "https://example.org", found "x.org"
            secrets.t = { env = "A", in = ["heder"], origins = ["x.org"] }
                                                                ^"#]],
    );
    check(
        "secrets.t = { env = \"A\", refresh = \"1h\" }\nsecrets.u = { command = [] }\nsecrets.v = { credential = \"../x\" }",
        &expect![[r#"
            mag.toml:3:26: error: `refresh` needs `command`
            secrets.t = { env = "A", refresh = "1h" }
                                     ^
            mag.toml:4:25: error: `command`: expected a program and what it is given, like ["pass", "mag/token"]
            secrets.u = { command = [] }
                                    ^
            mag.toml:5:28: error: `credential`: expected the name of a credential, which is no path, found "../x"
            secrets.v = { credential = "../x" }
                                       ^"#]],
    );
}

#[test]
fn credentials_and_commands_are_read_at_start_and_named_when_they_fail() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("slack"), "from a credential\n").expect("written");
    let text = "[senders.a]\nplugin = \"slack\"\nsecrets.c = { credential = \"slack\" }\n\
                secrets.d = { command = [\"/bin/sh\", \"-c\", \"echo from a command\"] }\n";
    let given = folder.path().to_string_lossy().into_owned();
    let values = load(text).read_secrets(&env(&[("CREDENTIALS_DIRECTORY", &given)])).expect("both are there");
    assert_eq!(values.senders["a"]["c"].value().0, "from a credential");
    assert_eq!(values.senders["a"]["d"].value().0, "from a command");
    let text = text.replace("echo from a command", "echo canary; echo canary >&2; exit 7");
    let mistakes = load(&text).read_secrets(&env(&[])).expect_err("none is there");
    expect![[r#"
        mag.toml:3:13: error: secret `c` of a: the service manager gives no credentials: add LoadCredential=slack:PATH to the unit
        secrets.c = { credential = "slack" }
                    ^
        mag.toml:4:13: error: secret `d` of a: command /bin/sh: it ended with status 7: run it by hand, as mag's user, to see why
        secrets.d = { command = ["/bin/sh", "-c", "echo canary; echo canary >&2; exit 7"] }
                    ^"#]]
    .assert_eq(&mistakes.to_string());
}

#[test]
fn what_may_be_a_secret_is_never_shown() {
    check(
        "[senders.a]\nplugin = \"slack\"\nsecrets.token = \"xoxb-canary\"",
        &expect![[r#"
        mag.toml:3:17: error: `token`: expected { env = "NAME" }, { file = "PATH" }, { credential = "NAME" } or { command = ["PROGRAM", "…"] }, found string: no secret stands in this file
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
        mag.toml:1:52: error: `token`: expected { env = "NAME" }, { file = "PATH" }, { credential = "NAME" } or { command = ["PROGRAM", "…"] }, found string: no secret stands in this file
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
    assert_eq!(values.senders["a"]["token"].value().0, "from a variable");
    assert_eq!(values.senders["a"]["file"].value().0, "from a file");
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
fn a_secret_that_every_user_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "from a file").expect("written");
    let text = format!("[senders.a]\nplugin = \"slack\"\nsecrets.token = {{ file = {file:?} }}\n");
    let warnings = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
        load(&text).warnings.join("\n").replace(&*file.to_string_lossy(), "FILE")
    };
    assert_eq!(warnings(0o644), "mag.toml:3:17: warning: secret `token` of a: every user can read FILE: chmod o= FILE");
    assert_eq!(warnings(0o640), "");
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
