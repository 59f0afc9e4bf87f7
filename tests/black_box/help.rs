//! What helps somebody type: the schema of the config, and completions for shells.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::support::Home;

#[test]
fn the_schema_of_the_config_is_json_with_types_defaults_and_words() {
    let ended = Home::with("").runs(&["config", "schema"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let max = &schema["$defs"]["route"]["properties"]["max_messages"];
    assert_eq!((&max["type"], &max["default"]), (&"integer".into(), &30.into()));
    assert!(max["description"].as_str().is_some_and(|about| about.contains("told at once")), "{max}");
}

#[test]
fn completions_are_scripts_that_their_shell_understands() {
    let home = Home::with("");
    for shell in ["bash", "zsh", "fish"] {
        let ended = home.runs(&["completions", shell]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{shell}");
        for word in ["dlq", "status", "completions"] {
            assert!(ended.stdout.contains(word), "{shell} knows nothing of {word}");
        }
        if shell == "bash" {
            let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash starts");
            bash.stdin.take().expect("a pipe").write_all(ended.stdout.as_bytes()).expect("bash reads");
            assert!(bash.wait().expect("bash ends").success());
        }
    }
    home.runs(&["completions", "csh"]).must_fail_with(2, &["bash, zsh, fish"]);
}
