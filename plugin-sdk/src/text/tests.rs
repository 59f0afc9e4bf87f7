//! Payloads that must come out harmless.

use super::*;

#[test]
fn plain_lines_hold_no_line_end_control_or_invisible_character() {
    for (text, expected) in [
        ("disk full", "disk full"),
        ("a\nb\r\nc\td", "a b c d"),
        ("a\u{85}b\u{2028}c\u{2029}d", "a b c d"),
        ("\u{1b}[31mred\u{7}", "\u{fffd}[31mred\u{fffd}"),
        ("\u{9b}31m", "\u{fffd}31m"),
        ("pay\u{202e}lap", "paylap"),
        ("a\u{200b}b\u{feff}c\u{2066}d\u{e0041}e\u{61c}f", "abcdef"),
        ("größe ✓ 🦀", "größe ✓ 🦀"),
    ] {
        assert_eq!(plain_line(text), expected, "{text:?}");
    }
}

#[test]
fn plain_text_keeps_its_lines() {
    assert_eq!(plain("a\r\nb\rc\u{2028}d\te\u{0}"), "a\nb\nc\nd\te\u{fffd}");
}

#[test]
fn a_shown_line_hides_nothing() {
    for (text, expected) in [
        ("a\r\n b\tc", "a  b c"),
        ("pay\u{202e}lap\u{200b}", r"pay\u202elap\u200b"),
        ("\u{1b}[31m\0\u{e0041}\u{ad}", r"\x1b[31m\x00\U000e0041\u00ad"),
        ("größe ✓ 🦀 \"`\\", "größe ✓ 🦀 \"`\\"),
    ] {
        assert_eq!(shown_line(text), expected, "{text:?}");
    }
}

#[test]
fn code_of_a_chat_is_closed_by_nothing_in_the_text() {
    for (text, expected) in
        [("a`b``c```", "`aˋbˋˋcˋˋˋ`"), ("", "` `"), ("a\\", "`a\\ `"), ("@everyone\n<@1>", "`@everyone <@1>`")]
    {
        assert_eq!(chat_code(text), expected, "{text:?}");
    }
}

#[test]
fn nothing_in_mrkdwn_can_link_or_ping() {
    for (text, expected) in [
        ("<!channel>", "&lt;!channel&gt;"),
        ("<@U123> <https://evil.example|ok>", "&lt;@U123&gt; &lt;https://evil.example|ok&gt;"),
        ("a & b &lt;", "a &amp; b &amp;lt;"),
        ("*b* `c`", "*b* `c`"),
        ("<\u{200b}!here>", "&lt;!here&gt;"),
    ] {
        assert_eq!(mrkdwn(text), expected, "{text:?}");
    }
}

#[test]
fn nothing_in_html_is_a_tag_or_leaves_an_attribute() {
    assert_eq!(html("<img src=x onerror='a'> \"&\""), "&lt;img src=x onerror=&#39;a&#39;&gt; &quot;&amp;&quot;");
}

#[test]
fn nothing_in_markdown_has_a_meaning() {
    for (text, expected) in [
        ("[a](http://b)", r"\[a\]\(http\://b\)"),
        ("![i](x)", r"\!\[i\]\(x\)"),
        ("# h\n- l\n1. n", r"\# h \- l 1\. n"),
        ("    code", "code"),
        ("<b>&amp;", r"\<b\>\&amp;"),
        ("**b** __c__ ~~d~~ `e` |f|", r"\*\*b\*\* \_\_c\_\_ \~\~d\~\~ \`e\` \|f\|"),
        (r"\*", r"\\\*"),
        ("@everyone www.example.org", r"\@everyone www\.example\.org"),
    ] {
        assert_eq!(markdown(text), expected, "{text:?}");
    }
}

#[test]
fn code_is_closed_by_nothing_in_the_text() {
    assert_eq!(markdown_code("a`b``c"), "``` a`b``c ```");
    assert_eq!(markdown_code("plain\nline"), "` plain line `");
    assert_eq!(markdown_block("a\n```\nb\n"), "````\na\n```\nb\n````");
    assert_eq!(markdown_block(""), "```\n\n```");
}

#[test]
fn cuts_fall_between_characters() {
    assert_eq!(truncate_chars("größe", 5), "größe");
    assert_eq!(truncate_chars("größer", 5), "größ…");
    assert_eq!(truncate_chars("ab", 0), "");
    assert_eq!(truncate_bytes("größe", 3), "gr");
    assert_eq!(truncate_bytes("größe", 4), "grö");
    assert_eq!(truncate_bytes("größe", 99), "größe");
}

#[test]
fn large_numbers_have_commas() {
    for (n, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (80_344, "80,344"), (1_234_567, "1,234,567")] {
        assert_eq!(thousands(n), text);
    }
}

#[test]
fn quoting_is_what_go_does() {
    for (text, expected) in [
        ("", r#""""#),
        ("disk full", r#""disk full""#),
        ("a\"b\\c", r#""a\"b\\c""#),
        ("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#),
        ("\0\u{1b}\u{7f}", r#""\x00\x1b\x7f""#),
        ("\u{80}\u{a0}\u{ad}", r#""\u0080\u00a0\u00ad""#),
        ("\u{200b}\u{202e}\u{feff}", r#""\u200b\u202e\ufeff""#),
        ("\u{2028}\u{3000}\u{e000}", r#""\u2028\u3000\ue000""#),
        ("\u{e0001}\u{10ffff}", r#""\U000e0001\U0010ffff""#),
        ("größe ☺ 世界 🦀 e\u{301} \u{fffd}", "\"größe ☺ 世界 🦀 e\u{301} \u{fffd}\""),
        ("\u{378}\u{ffff}\u{1f6d8}", r#""\u0378\uffff\U0001f6d8""#),
        ("'`<&", r#""'`<&""#),
    ] {
        assert_eq!(quote(text), expected, "{text:?}");
    }
}
