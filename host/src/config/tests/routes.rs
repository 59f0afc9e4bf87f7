//! Inheritance, identities, and routes that nothing reaches.

use super::*;

fn ids(route: &Route) -> Vec<String> {
    std::iter::once(route.id.clone()).chain(route.routes.iter().flat_map(ids)).collect()
}

#[test]
fn without_a_file_there_is_a_root_route_to_the_console() {
    let config = load("");
    let route = &config.route;
    assert_eq!((route.id.as_str(), route.max_messages, route.time_limit.as_secs()), ("root", 30, 30));
    assert_eq!(route.group_by, [Field::Kind, Field::Text]);
    assert_eq!(route.senders, ["console"]);
    assert!(!route.flush_on_stop && !route.r#continue && route.matchers.is_empty());
    assert_eq!(config.listen.iter().map(|listen| listen.address.as_str()).collect::<Vec<_>>(), ["0.0.0.0:3050"]);
    assert_eq!(config.senders.len(), 1);
}

#[test]
fn a_child_has_from_its_parent_what_it_does_not_say() {
    let config = load(
        r#"
[route]
group_by = ["text", "labels.app", "host"]
max_messages = 7
time_limit = "1m"
flush_on_stop = true
senders = ["console"]
[[route.routes]]
match = ['kind=a']
continue = true
max_messages = 8
[[route.routes.routes]]
match = ['severity=error']
senders = []
[senders.console]
plugin = "console"
"#,
    );
    let child = &config.route.routes[0];
    let grandchild = &child.routes[0];
    assert_eq!(
        (child.max_messages, child.time_limit.as_secs(), child.flush_on_stop, child.r#continue),
        (8, 60, true, true)
    );
    assert_eq!(child.senders, ["console"]);
    assert_eq!(grandchild.group_by, [Field::Text, Field::Label("app".into()), Field::Label("host".into())]);
    assert_eq!((grandchild.max_messages, grandchild.flush_on_stop, grandchild.r#continue), (8, true, false));
    assert_eq!(grandchild.senders, [""; 0]);
}

#[test]
fn an_identity_is_the_name_or_the_canonical_matchers_from_the_root_down() {
    let config = load(
        r#"
[[route.routes]]
match = ['kind = monitor', 'app=x']
[[route.routes.routes]]
match = ['severity=~"error|critical"']
[[route.routes]]
name = "shop"
match = ['team=shop']
[[route.routes.routes]]
match = ['source=10.0.0.1']
[[route.routes]]
"#,
    );
    let expect = expect![[r#"
        root
        kind="monitor",labels.app="x"
        kind="monitor",labels.app="x"/severity=~"error|critical"
        shop
        shop/source="10.0.0.1"
        *"#]];
    expect.assert_eq(&ids(&config.route).join("\n"));
}

#[test]
fn two_routes_with_one_identity() {
    check(
        "[[route.routes]]\nmatch = ['a=x']\ncontinue = true\n[[route.routes]]\nmatch = ['labels.a=\"x\"']",
        &expect![[r#"
            mag.toml:4:1: error: the route `labels.a="x"` is there already, at mag.toml:1:1: give one of them a `name`
            [[route.routes]]
            ^"#]],
    );
    check(
        "[[route.routes]]\nname = \"n\"\nmatch = ['a=x']\n[[route.routes]]\nname = \"n\"\nmatch = ['a=y']",
        &expect![[r#"
            mag.toml:5:8: error: the route `n` is there already, at mag.toml:2:8
            name = "n"
                   ^"#]],
    );
    check(
        "[[route.routes]]\nname = \"root\"\nmatch = ['a=x']",
        &expect![[r#"
            mag.toml:2:8: error: `root` is the name of [route] itself
            name = "root"
                   ^"#]],
    );
}

#[test]
fn routes_that_nothing_reaches() {
    check(
        "[[route.routes]]\n[[route.routes]]\nmatch = ['a=x']",
        &expect![[r#"
        mag.toml:2:1: error: this route is never reached: the one at mag.toml:1:1 takes all of its messages
        [[route.routes]]
        ^"#]],
    );
    check(
        "[[route.routes]]\nmatch = ['a=x']\n[[route.routes]]\nmatch = ['b=y', 'a=x']",
        &expect![[r#"
        mag.toml:3:1: error: this route is never reached: the one at mag.toml:1:1 takes all of its messages
        [[route.routes]]
        ^"#]],
    );
    check("[[route.routes]]\ncontinue = true\n[[route.routes]]\nmatch = ['a=x']", &expect![[r#""#]]);
}

#[test]
fn bad_matchers_are_shown_where_they_break() {
    check(
        "[[route.routes]]\nmatch = ['kind==x']",
        &expect![[r#"
        mag.toml:2:16: error: `match`: expected a value: one that begins with `=` or `~` needs quotes
        match = ['kind==x']
                       ^"#]],
    );
    check(
        "[[route.routes]]\nmatch = ['a=x', \"kind\"]",
        &expect![[r#"
        mag.toml:2:22: error: `match`: expected `=`, `!=`, `=~` or `!~`
        match = ['a=x', "kind"]
                             ^"#]],
    );
    check(
        "[[route.routes]]\nmatch = [\"text=~\\\"a(\\\"\"]",
        &expect![[r#"
        mag.toml:2:10: error: `match`: not a regular expression: unclosed group
        match = ["text=~\"a(\""]
                 ^"#]],
    );
    check(
        "[[route.routes]]\nmatch = 'kind=x'",
        &expect![[r#"
        mag.toml:2:9: error: `match`: expected a list of matchers like ['kind="monitor"'], found string
        match = 'kind=x'
                ^"#]],
    );
    check(
        "[[route.routes]]\nmatch = ['severity=warn']",
        &expect![[r#"
        mag.toml:2:10: error: `match`: no severity is called "warn", did you mean `warning`?
        match = ['severity=warn']
                 ^"#]],
    );
    check(
        "[[route.routes]]\nmatch = ['severity=eror']\n[[route.routes]]\nmatch = ['severity=urgent']",
        &expect![[r#"
            mag.toml:2:10: error: `match`: no severity is called "eror", did you mean `error`?
            match = ['severity=eror']
                     ^
            mag.toml:4:10: error: `match`: no severity is called "urgent", expected one of trace, debug, info, notice, warning, error, critical
            match = ['severity=urgent']
                     ^"#]],
    );
}

#[test]
fn what_the_root_cannot_have() {
    check(
        "[route]\nmatch = ['a=x']\nname = \"r\"\ncontinue = true",
        &expect![[r#"
        mag.toml:2:1: error: `match`: the root takes every message, write it in [[route.routes]]
        match = ['a=x']
        ^
        mag.toml:3:1: error: `name`: the root takes every message, write it in [[route.routes]]
        name = "r"
        ^
        mag.toml:4:1: error: `continue`: the root takes every message, write it in [[route.routes]]
        continue = true
        ^"#]],
    );
}

#[test]
fn group_by_names_fields() {
    check(
        "[route]\ngroup_by = [\"kind\", \"\", \"labels.\", \"kind\"]",
        &expect![[r#"
        mag.toml:2:21: error: `group_by`: expected a name: kind, severity, source, text or a label
        group_by = ["kind", "", "labels.", "kind"]
                            ^
        mag.toml:2:25: error: `group_by`: expected a name: kind, severity, source, text or a label
        group_by = ["kind", "", "labels.", "kind"]
                                ^
        mag.toml:2:36: error: `group_by`: "kind" is named twice
        group_by = ["kind", "", "labels.", "kind"]
                                           ^"#]],
    );
    assert_eq!(load("[route]\ngroup_by = []").route.group_by, []);
}

#[test]
fn senders_of_the_root_may_be_left_out_when_there_is_one() {
    let one = load("[senders.a]\nplugin = \"console\"");
    assert_eq!(one.route.senders, ["a"]);
    assert_eq!(one.warnings, [""; 0]);
    let two = "[senders.a]\nplugin = \"console\"\n[senders.b]\nplugin = \"console\"\n";
    check(
        two,
        &expect![[r#"
        mag.toml:1:10: error: missing `senders` in [route]: name who is told, of a, b
        [senders.a]
                 ^"#]],
    );
    check(
        &format!("{two}[route]\nmax_messages = 3"),
        &expect![[r#"
        mag.toml:5:1: error: missing `senders` in [route]: name who is told, of a, b
        [route]
        ^"#]],
    );
    assert_eq!(
        load(&format!("{two}[route]\nsenders = []\n[[route.routes]]\nsenders = ['a', 'b']")).route.senders,
        [""; 0]
    );
}

#[test]
fn a_sender_that_is_unknown_named_twice_or_told_by_nobody() {
    let two = "[senders.team]\nplugin = \"console\"\n[senders.mail]\nplugin = \"console\"\n[route]\n";
    check(
        &format!("{two}senders = ['taem', 'x', 'mail']"),
        &expect![[r#"
        mag.toml:6:12: error: unknown sender `taem`, did you mean `team`?
        senders = ['taem', 'x', 'mail']
                   ^
        mag.toml:6:20: error: unknown sender `x`, expected one of mail, team
        senders = ['taem', 'x', 'mail']
                           ^"#]],
    );
    check(
        &format!("{two}senders = ['team', 'mail', 'team']"),
        &expect![[r#"
        mag.toml:6:28: error: sender `team` is named twice
        senders = ['team', 'mail', 'team']
                                   ^"#]],
    );
    check(&format!("{two}senders = ['team']"), &expect!["mag.toml:3:10: warning: no route names the sender `mail`"]);
}
