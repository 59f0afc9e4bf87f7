//! Texts that try to act: to mention, to link, to be markup, to hide or to turn round what is read. Every sender is
//! tried with all of them.

/// What each destination's readers react to, or once did.
const CORES: [&str; 104] = [
    // Mentions.
    "@everyone",
    "@here",
    "@channel",
    "@all",
    "@room",
    "@room:example.org",
    "@ann",
    "@**all**",
    "@**ann|7**",
    "@*admins*",
    "@_**ann**",
    "<@123456789012345678>",
    "<@!123456789012345678>",
    "<@&123456789012345678>",
    "<#123456789012345678>",
    "<@U012AB3CD>",
    "<@W012AB3CD|ann>",
    "<!channel>",
    "<!here|here>",
    "<!everyone>",
    "<!subteam^S012AB3CD>",
    "<!date^1392734382^{date}^https://evil.example|now>",
    "<users/all>",
    "<users/123456789>",
    "<at>ann</at>",
    "[ann](tg://user?id=1)",
    "<a href=\"tg://user?id=1\">ann</a>",
    "https://matrix.to/#/@ann:example.org",
    "<a href=\"https://matrix.to/#/@ann:example.org\">ann</a>",
    "#general",
    "~town-square",
    "#**general**",
    "#**general>topic**",
    "/kick ann",
    "/start",
    "!bang",
    // Links and images.
    "https://evil.example/x",
    "http://evil.example",
    "www.evil.example",
    "evil.example",
    "mailto:ann@evil.example",
    "ann@evil.example",
    "tel:+4930123",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "<https://evil.example>",
    "<https://evil.example|click>",
    "<mailto:ann@evil.example|mail>",
    "[click](https://evil.example)",
    "[click](<https://evil.example> \"title\")",
    "[click][1]\n\n[1]: https://evil.example",
    "![image](https://evil.example/x.png)",
    "[![image](https://evil.example/x.png)](https://evil.example)",
    "!avatar(ann@example.org)",
    "!gravatar(ann@example.org)",
    "{{image:https://evil.example/x.png}}",
    // Markdown.
    "*bold*",
    "**bold**",
    "_it_ __it__",
    "~~struck~~ ~struck~",
    "||spoiler||",
    "`code`",
    "``code ` code``",
    "```\nblock\n```",
    "~~~\nblock\n~~~",
    "````quote\n> a\n````",
    "```spoiler title\ntext\n```",
    "```math\nx\n```",
    "$$x^2$$",
    "# heading",
    "-# small",
    "heading\n=======",
    "> quote",
    ">>> quote",
    "- item\n- item",
    "1. item",
    "- [ ] task",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "---",
    "<time:2026-01-01T00:00:00Z>",
    "<t:1392734382:R>",
    ":boom: :skull:",
    "<:name:123456789012345678>",
    "<a:name:123456789012345678>",
    "</command:123456789012345678>",
    "\\`\\*\\_\\<\\@",
    "a\\",
    "%3Cb%3E %0d%0a",
    // HTML and templates.
    "<b>bold</b>",
    "</code></pre><b>out</b>",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<a href='https://evil.example'>click</a>",
    "<tg-spoiler>x</tg-spoiler><tg-emoji emoji-id=\"1\">x</tg-emoji>",
    "<font color=\"#ff0000\">x</font><br>",
    "<!-- comment -->",
    "<![CDATA[x]]>",
    "&lt;b&gt; &amp; &#60; &#x3c; &nbsp",
    "\"><svg onload=alert(1)>",
    "{{ template }} ${secret:token} %s {0} {{DATE(2026-01-01T00:00:00Z)}}",
    // Protocol.
    "a\r\nBcc: ann@evil.example",
    "a\r\n.\r\nMAIL FROM:<x>",
    "a&to=evil&token=x",
    "\",\"admin\":true,\"x\":\"",
];

/// What a core is set into: `_` stands for it.
const FRAMES: [&str; 5] = ["_", "before _ after", "`_`", "\n\n_\n", "\"_\""];

/// Characters that hide or turn text, or that a terminal or a line-based protocol acts on.
const HIDDEN: [char; 40] = [
    '\u{0}',
    '\u{1}',
    '\u{7}',
    '\u{8}',
    '\u{b}',
    '\u{c}',
    '\u{1b}',
    '\u{1f}',
    '\u{7f}',
    '\u{80}',
    '\u{85}',
    '\u{90}',
    '\u{9b}',
    '\u{9d}',
    '\u{9f}',
    '\u{ad}',
    '\u{61c}',
    '\u{180e}',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{200e}',
    '\u{200f}',
    '\u{2028}',
    '\u{2029}',
    '\u{202a}',
    '\u{202b}',
    '\u{202c}',
    '\u{202d}',
    '\u{202e}',
    '\u{2060}',
    '\u{2066}',
    '\u{2067}',
    '\u{2068}',
    '\u{2069}',
    '\u{206f}',
    '\u{feff}',
    '\u{fff9}',
    '\u{e0001}',
    '\u{e0041}',
];

/// All of them, at least 500, each different.
#[must_use]
pub fn payloads() -> Vec<String> {
    let framed = FRAMES.iter().flat_map(|frame| CORES.iter().map(|core| frame.replace('_', core)));
    let hidden = HIDDEN.iter().flat_map(|c| [format!("pay{c}load"), format!("{c}@everyone <{c}@U1> [{c}a](http://b)")]);
    framed.chain(hidden).collect()
}

/// Whether a character acts on a reader without being seen: none of these may reach a destination.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    let invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    invisible || (c.is_control() && c != '\n')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_hundreds_and_none_is_there_twice() {
        let all = payloads();
        assert!(all.len() >= 500, "{}", all.len());
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert!(HIDDEN.into_iter().all(is_hidden));
    }
}
