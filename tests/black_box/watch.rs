//! `mag watch`: what a command writes and how it fails becomes messages, and the command does not notice.

use std::process::{Command, Stdio};

use super::support::{Home, Mag, Receiver, binary, free_port};

fn watch(address: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(["watch", "--to", address, "--timeout", "20s"]).args(arguments).stdin(Stdio::null());
    command
}

#[test]
fn lines_and_the_exit_status_of_a_command_are_told_and_pass_through() {
    let receiver = Receiver::start();
    let url = receiver.url("/");
    let mag = Mag::with(&format!(
        "[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    ));
    let address = mag.address().to_string();
    let script = "echo out; echo err >&2; exit 7";
    let ended = watch(&address, &["--label", "job=nightly", "--", "sh", "-c", script]).output().expect("it runs");
    assert_eq!(ended.status.code(), Some(7));
    assert_eq!((ended.stdout, ended.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
    let mut told = Vec::new();
    for number in 1.. {
        told.extend(receiver.request(number).json()["groups"].as_array().expect("groups").clone());
        if told.len() >= 3 {
            break;
        }
    }
    told.sort_by_key(|group| group["text"].as_str().expect("a text").to_owned());
    let [err, out, failed] = told.as_slice() else { panic!("three messages, not {told:?}") };
    assert_eq!((&err["text"], &err["labels"]["stream"]), (&"err".into(), &"stderr".into()));
    assert_eq!((&out["text"], &out["labels"]["stream"]), (&"out".into(), &"stdout".into()));
    assert_eq!(failed["text"], format!("sh -c {script} failed with exit status 7"));
    assert_eq!((&failed["severity"], &failed["labels"]["job"]), (&"error".into(), &"nightly".into()));
    assert_eq!(failed["labels"]["exit_status"], "7");
}

#[test]
fn a_command_runs_to_its_end_when_mag_is_away_and_its_failure_counts_more() {
    let away = format!("127.0.0.1:{}", free_port());
    let run = |timeout: &str, command: &[&str]| {
        let mut watch = Command::new(binary());
        watch.args(["watch", "--to", &away, "--timeout", timeout, "--"]).args(command);
        watch.output().expect("it runs")
    };
    let ended = run("100ms", &["sh", "-c", "echo out"]);
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(75), b"out\n".as_slice()));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("1 still waiting") && said.contains(&away), "{said}");
    assert_eq!(run("100ms", &["sh", "-c", "exit 3"]).status.code(), Some(3));
    assert_eq!(run("100ms", &["/no/such/command"]).status.code(), Some(127));
}

#[test]
fn a_mag_that_does_not_let_it_in_is_77_and_the_commands_own_failure_counts_more() {
    let port = free_port();
    let listen = format!("address = \"127.0.0.1:{port}\"\nprotocol = \"http\"\ntoken = {{ file = \"token\" }}");
    let home = Home::with(&format!("[[listen]]\n{listen}\n[route]\nsenders = []\n")).file("token", b"right\n");
    let mag = home.start();
    let to = format!("http://127.0.0.1:{port}");
    let wrong = Home::with("").env("MAG_TOKEN", "wrong");
    let run = |script: &str| wrong.runs(&["watch", "--to", &to, "--timeout", "60s", "--", "sh", "-c", script]);
    run("echo out").must_fail_with(77, &["it answers 401: this listener wants its token", &to]);
    run("echo out; exit 3").must_fail_with(3, &["it answers 401"]);
    assert!(mag.stops().store().open_windows().is_empty());
}

#[test]
fn options_of_its_own_must_be_right_and_those_of_the_command_are_left_to_it() {
    let away = format!("127.0.0.1:{}", free_port());
    let mut wrong = Command::new(binary());
    let wrong = wrong.args(["watch", "--to", &away, "--only-failures", "--", "true"]).output().expect("it runs");
    assert_eq!(wrong.status.code(), Some(2), "nothing is run");
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("'--only-failures'") && said.contains("'--only-failure'"), "{said}");
    let mut right = Command::new(binary());
    right.args(["watch", "--to", &away, "--timeout", "100ms", "sh", "-c", "exit 4", "--to"]);
    let ended = right.output().expect("it runs");
    assert_eq!(ended.status.code(), Some(4));
}

#[test]
fn a_signal_goes_to_the_command_and_its_end_is_told() {
    let home = Home::with("[route]\nmax_messages = 1\n");
    let mag = home.start();
    let address = mag.address().to_string();
    let script = "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let mut watching = watch(&address, &["--", "sh", "-c", script]).stdout(Stdio::piped()).spawn().expect("it runs");
    mag.prints("ready");
    let killed = Command::new("kill").args(["-TERM", &watching.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    assert_eq!(watching.wait().expect("it ends").code(), Some(5));
    mag.prints("caught");
    mag.prints("failed with exit status 5");
}
