//! `mag sender inspect`: what a plugin is and asks for, without running it, and what its calls used where it runs.

use super::support::{Home, Receiver, binary, classic};

#[track_caller]
fn component(name: &str) -> Vec<u8> {
    let target = binary().ancestors().nth(2).expect("a target folder").to_owned();
    let path = target.join("guests/wasm32-wasip2/guest").join(format!("mag_plugin_{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

#[test]
fn a_file_says_what_it_is_and_what_it_needs_without_any_config() {
    let home = Home::with("").file("own.wasm", &component("slack"));
    let ended = home.runs(&["sender", "inspect", "./own.wasm"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for said in [
        "plugin      slack ",
        "(./own.wasm)",
        "sha256 ",
        "mag:sender/sender@1.0.0",
        "wasi:http/",
        "token (needed",
        "limits.memory",
    ] {
        assert!(ended.stdout.contains(said), "no {said}: {}", ended.stdout);
    }
    assert!(ended.stdout.contains("128 MiB") && ended.stdout.contains("config/"), "{}", ended.stdout);
}

#[test]
fn a_sender_of_the_config_says_what_it_asks_for_and_which_line_would_grant_it() {
    let config = "[route]\nsenders = [\"own\"]\n[senders.own]\nplugin = \"./own.wasm\"\nconfig = { channel = \"#ops\" }\n\
                  secrets.token = { env = \"NOT_THERE\" }\n";
    let home = Home::with(config).file("own.wasm", &component("slack"));
    let ended = home.runs(&["sender", "inspect", "own"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let refused = "refused: add allow = [\"https://slack.com\"] to [senders.own]";
    assert!(
        ended.stdout.contains("asks for    https://slack.com ") && ended.stdout.contains(refused),
        "{}",
        ended.stdout
    );
    home.runs(&["sender", "inspect", "nobody"]).must_fail_with(2, &["no sender nobody", "own", "./my.wasm"]);
    home.runs(&["sender", "inspect", "./away.wasm"]).must_fail_with(1, &["./away.wasm", "cannot read it"]);
}

#[test]
fn a_running_sender_says_what_its_last_calls_used_of_each_limit() {
    let receiver = Receiver::start();
    let url = receiver.url("/");
    let mag = Home::with(&format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[route]\nmax_messages = 1\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\nlimits = {{ memory = \"64MiB\" }}\n"
    ))
    .start();
    mag.says("sender hook: ready");
    mag.takes(&classic(&["a"]));
    receiver.request(1);
    let admin = mag.admin().address();
    let inspect = |more: &[&str]| {
        let arguments = [&["sender", "inspect", "hook", "--admin", &admin], more].concat();
        let ended = mag.home().runs(&arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
        ended.stdout
    };
    // The call is written down a moment after its request has arrived.
    let sent = || {
        let said: serde_json::Value = serde_json::from_str(&inspect(&["--json"])).expect("JSON");
        let calls = said["usage"]["calls"].as_array().expect("calls").clone();
        Ok(calls.iter().any(|call| call["call"] == "send").then_some(said))
    };
    let said = mag_testkit::wait_for("the send to be written down", std::time::Duration::from_secs(60), sent)
        .expect("it sends");
    let limit = |name: &str| {
        said["limits"].as_array().expect("limits").iter().find(|limit| limit["limit"] == name).expect(name).clone()
    };
    let (requests, memory) = (limit("requests"), limit("memory"));
    assert_eq!(requests["code"], "too-many-requests");
    let used = &said["usage"]["calls"][0]["used"];
    assert!(["cpu_us", "timeout_us", "memory_bytes", "requests"].iter().all(|key| used[key].is_u64()), "{used}");
    assert_eq!(
        (&requests["key"], &requests["allowed"], &requests["most"]),
        (&"limits.requests".into(), &"8".into(), &"1".into())
    );
    assert_eq!(memory["allowed"], "64 MiB");
    assert!(memory["most"].as_str().is_some_and(|most| most.ends_with("iB")), "{memory}");
    let screen = inspect(&[]);
    assert!(screen.contains("most of ") && screen.contains("limits.request_size"), "{screen}");
    mag.stops();
}

#[test]
fn of_a_sender_that_mails_the_password_is_named_and_no_origin_that_is_none() {
    let config = "[route]\nsenders = [\"mail\"]\n[senders.mail]\nplugin = \"email\"\n\
                  smtp = { url = \"smtp://127.0.0.1:1\", username = \"ops\" }\nsecrets.smtp_password = { env = \"PASSWORD\" }\n\
                  config = { from = \"mag@example.org\", to = [\"ops@example.org\"] }\n";
    let ended = Home::with(config).runs(&["sender", "inspect", "mail"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for said in [
        "secrets     smtp_password (needed, in smtp): mag itself logs in at the mail server with it",
        "asks for    mail, through `smtp` POST, mag's mail service: granted",
    ] {
        assert!(ended.stdout.contains(said), "no {said:?} in {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("mag.internal"), "{}", ended.stdout);
}

#[test]
fn mag_check_says_what_each_sender_asks_for_why_and_what_it_may_reach_beyond_that() {
    let config = "[route]\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nallow = [\"https://b.example\"]\n\
                  config = { url = \"https://a.example/hook\" }\n";
    let said = "sender hook: asks for https://a.example (POST, the webhook's url): granted\n\
                sender hook: may reach https://b.example, which it does not ask for\n\
                1 sender, 1 route: ok";
    Home::with(config).runs(&["check"]).must_be(0, said, "");
}

#[test]
fn mag_check_warns_of_secrets_that_can_never_leave() {
    let config = "[route]\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\n\
                  secrets.t = { env = \"T\", in = [\"body\"] }\n\
                  secrets.u = { env = \"T\", origins = [\"https://b.example\"] }\n\
                  [senders.hook.config]\nurl = \"https://a.example/${secret:t}\"\n\
                  headers = { X = \"${secret:t}\", Y = \"${secret:u}\" }\n";
    let ended = Home::with_exactly(config).env("T", "canary-canary").runs(&["check"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for said in [
        "mag.toml:8:7: warning: sender hook: secrets.t may stand in body alone by its `in`, not in a URL",
        "mag.toml:9:17: warning: sender hook: secrets.t may stand in body alone by its `in`, not in a header",
        "mag.toml:6:13: warning: sender hook: secrets.u goes nowhere: the sender reaches none of its `origins`",
    ] {
        assert!(ended.stderr.contains(said), "no {said:?} in {}", ended.stderr);
    }
    assert_eq!(ended.stderr.matches("warning").count(), 3, "{}", ended.stderr);
    let good = config.replace("[\"body\"]", "[\"path\", \"header\"]").replace("https://b.", "https://a.");
    let ended = Home::with_exactly(&good).env("T", "canary-canary").runs(&["check"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
}
