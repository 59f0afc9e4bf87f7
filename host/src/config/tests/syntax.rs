//! Broken TOML: each slip once, nothing made up because of it, and the rest of the file still judged.

use super::*;

#[test]
fn broken_syntax_does_not_hide_other_mistakes() {
    check(
        "[route]\nmax_messages =\ntime_limit = 30\n",
        &expect![[r#"
        mag.toml:2:15: error: expected a value
        max_messages =
                      ^
        mag.toml:3:14: error: `time_limit`: expected a duration like "30s", found integer
        time_limit = 30
                     ^"#]],
    );
    check(
        "[route\nmax_messages = 3\n[store]\nkeep = 30\n",
        &expect![[r#"
        mag.toml:1:7: error: unclosed table, expected `]`
        [route
              ^
        mag.toml:4:8: error: `keep`: expected a duration like "30s", found integer
        keep = 30
               ^"#]],
    );
    check(
        "[route]\ngroup_by = [kind]\nmax_messages = \"x\"",
        &expect![[r#"
            mag.toml:2:13: error: expected a value, and a text needs quotes
            group_by = [kind]
                        ^
            mag.toml:3:16: error: `max_messages`: expected a whole number of 1 or more, found string
            max_messages = "x"
                           ^"#]],
    );
    check(
        "[route]\nsenders = [\"console\"\nmax_messages = 3\n\n[log]\nlevel = \"loud\"\n",
        &expect![[r#"
        mag.toml:2:11: error: this list has no closing `]`
        senders = ["console"
                  ^"#]],
    );
    check(
        "keep = 3\n[route]\nmax_messages = 3 4\n\n[store]\nkeep = { a = 1\n",
        &expect![[r#"
            mag.toml:1:1: error: unknown key `keep`, expected one of listen, store, admin, route, senders, monitors, limits, alerts, log, reload
            keep = 3
            ^
            mag.toml:3:16: error: expected a value, and a text needs quotes
            max_messages = 3 4
                           ^
            mag.toml:6:15: error: unclosed inline table, expected `}`
            keep = { a = 1
                          ^"#]],
    );
}

#[test]
fn what_broken_syntax_hides_is_not_called_missing() {
    check(
        "[senders.console\nplugin = \"console\"\n[route]\nsenders = [\"console\"]\n",
        &expect![[r#"
        mag.toml:1:17: error: unclosed table, expected `]`
        [senders.console
                        ^"#]],
    );
    check(
        "[senders.console]\nplugin \"console\"\n",
        &expect![[r#"
        mag.toml:2:8: error: key with no value, expected `=`
        plugin "console"
               ^"#]],
    );
    check(
        "[[listen\naddress = \"a:1\"\n[log]\nlevel = 3",
        &expect![[r#"
            mag.toml:1:9: error: unclosed array table, expected `]]`
            [[listen
                    ^"#]],
    );
}

#[test]
fn each_slip_of_syntax_is_one_mistake() {
    check(
        "[store]\npath = \"a\nkeep = 'b'",
        &expect![[r#"
        mag.toml:2:10: error: invalid basic string, expected `"`
        path = "a
                 ^
        mag.toml:3:8: error: `keep`: expected a duration like "30s", found "b"
        keep = 'b'
               ^"#]],
    );
    check(
        "[store]\npath = \"a\"\npath = 'b'",
        &expect![[r#"
        mag.toml:3:1: error: duplicate key
        path = 'b'
        ^"#]],
    );
    check(
        "= 3\n[x",
        &expect![[r#"
        mag.toml:1:1: error: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`
        = 3
        ^
        mag.toml:2:3: error: unclosed table, expected `]`
        [x
          ^"#]],
    );
    check(
        "[route]\nmax_messages = 3O",
        &expect![[r#"
            mag.toml:2:16: error: expected a value, and a text needs quotes
            max_messages = 3O
                           ^"#]],
    );
    check(
        "[store]\npath = \"\\d\"",
        &expect![[r#"
        mag.toml:2:10: error: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\`, `"`, `x`, `u`, `U`
        path = "\d"
                 ^"#]],
    );
}
