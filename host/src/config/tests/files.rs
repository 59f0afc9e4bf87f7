//! Which file is read, what its paths are relative to, and that the shipped one is right.

use std::path::Path;

use super::*;
use crate::config::source::find_in;

#[test]
fn the_shipped_file_has_no_mistakes_and_no_warnings() {
    let config = load(include_str!("../../../../mag.toml"));
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!(config.store.path, Some("mag.db".into()));
    assert_eq!(config.route.senders, ["console"]);
    assert_eq!(config.route.routes[0].id, r#"kind="monitor""#);
    assert_eq!((config.route.routes[0].max_messages, config.route.routes.len()), (1, 1));
}

#[test]
fn everything_that_the_shipped_file_switches_off_would_work() {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let text: Vec<String> = include_str!("../../../../mag.toml").lines().map(on).collect();
    let text =
        text.join("\n").replace("senders = [\"console\"]", "senders = [\"console\", \"team\", \"mail\", \"hook\"]");
    let config = load(&text);
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!((config.senders.len(), config.monitors.len(), config.route.routes.len()), (4, 1, 2));
}

#[test]
fn the_flag_wins_over_the_variable_and_that_over_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("# {name}")).expect("written");
        path
    };
    let (flag, variable) = (write("flag.toml"), write("variable.toml"));
    let found = |flag: Option<&Path>, variable: &str| {
        find_in(folder.path(), flag, &env(&[("MAG_CONFIG", variable)])).expect("found")
    };
    assert_eq!(found(None, ""), Source::default());
    assert!(found(None, "").notice().is_some());
    write("mag.toml");
    let local = found(None, "");
    assert_eq!((local.text.as_str(), local.file.as_deref()), ("# mag.toml", Some(Path::new("mag.toml"))));
    assert_eq!(local.notice(), None);
    let variable = variable.to_string_lossy();
    assert_eq!(found(None, &variable).text, "# variable.toml");
    assert_eq!(found(Some(&flag), &variable).text, "# flag.toml");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = |flag: Option<&Path>, variable: &str| {
        find_in(folder.path(), flag, &env(&[("MAG_CONFIG", variable)])).expect_err("not there").to_string()
    };
    let why = "No such file or directory (os error 2)";
    assert_eq!(
        error(Some(Path::new("/no/a.toml")), ""),
        format!("cannot read config file /no/a.toml (named by --config): {why}")
    );
    assert_eq!(error(None, "/no/b.toml"), format!("cannot read config file /no/b.toml (named by MAG_CONFIG): {why}"));
    std::fs::write(folder.path().join("mag.toml"), b"a = 1\n\xff\n").expect("written");
    assert_eq!(error(None, ""), "mag.toml:2: error: not UTF-8, save the file as UTF-8 text");
}

#[test]
fn paths_are_relative_to_the_file() {
    let text = "[store]\npath = \"data/m.db\"\n[senders.a]\nplugin = \"slack\"\nsecrets.token.file = \"t\"".to_owned();
    let source = Source { file: Some("/etc/mag/mag.toml".into()), text };
    let config = Config::load(&source, &env(&[])).expect("no mistakes");
    assert_eq!(config.store.path, Some("/etc/mag/data/m.db".into()));
    assert_eq!(config.senders[0].secrets["token"].source, SecretSource::File("/etc/mag/t".into()));
}

#[test]
fn the_store_is_beside_the_file_or_where_the_service_manager_says() {
    let path = |text: &str, state: &str| {
        let source = Source { file: Some("/etc/mag.toml".into()), text: text.to_owned() };
        let config = Config::load(&source, &env(&[("STATE_DIRECTORY", state)])).expect("no mistakes");
        (config.store.path.map(|path| path.display().to_string()).unwrap_or_default(), config.from_env.concat())
    };
    let of = |path: &str, variable: &str| (path.to_owned(), variable.to_owned());
    assert_eq!(path("", ""), of("/etc/mag.db", ""));
    assert_eq!(path("", "/var/lib/mag:/var/lib/two"), of("/var/lib/mag/mag.db", "STATE_DIRECTORY"));
    assert_eq!(path("[store]\npath = '/x.db'", "/var/lib/mag"), of("/x.db", ""));
    assert_eq!(path("[store]\npath = ':memory:'", "/var/lib/mag"), of("", ""));
    let none = Config::load(&Source::default(), &env(&[])).expect("no mistakes");
    assert_eq!((none.store.path, none.store.keep.as_secs()), (Some("mag.db".into()), 30 * 86_400));
}

#[test]
fn a_file_that_is_no_configuration_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("mag.toml"), vec![b'='; 1024 * 1024 + 1]).expect("written");
    let error = find_in(folder.path(), None, &env(&[])).expect_err("too long");
    assert_eq!(
        error.to_string(),
        "cannot read config file mag.toml (named by the current folder): longer than 1048576 bytes"
    );
    std::fs::remove_file(folder.path().join("mag.toml")).expect("it is there");
    crate::file::tests::pipe(&folder.path().join("mag.toml"));
    let error = find_in(folder.path(), None, &env(&[])).expect_err("no file").to_string();
    assert!(error.ends_with("it is a pipe, not a regular file"), "{error}");
    let mistakes = Config::load(&source(&"=\n".repeat(5_000)), &env(&[])).expect_err("no configuration").to_string();
    assert!(mistakes.ends_with(" more"), "{mistakes}");
}
