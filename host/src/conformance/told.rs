//! The notifications that a plugin is given: from one plain group to whatever strangers write. Pure.

use crate::message::{
    Cause, DEFAULT_KIND, Group, GroupId, Labels, MONITOR_KIND, Millis, Notification, Reason, Severity,
};

/// The longest text that a message has.
const LONGEST_TEXT_BYTES: usize = 64 * 1024;
/// The longest that one more text of a group is.
const SAMPLE_BYTES: usize = 1024;
/// How many of them there are.
const SAMPLES: usize = 5;
/// Many groups, where the plugin sets no lower bound.
const MANY: u32 = 1_000;

/// What a text may hold that was not meant kindly: control characters, ways to turn text round, marks of every markup,
/// mentions, line ends for headers, and characters from the ends of every plane.
const HOSTILE: &str = "\u{0}\u{1b}[31m\u{7}\u{8}\r\nBcc: evil@example.org\r\n\u{85}\u{2028}\u{2029}\u{202e}abc\u{202c}\u{2066}x\u{2069}\
\u{200b}\u{feff}\u{ad}\u{fffe}\u{ffff}\u{d7ff}\u{e000}\u{10ffff}\u{e0001}\u{e0041}e\u{301}\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{1f3fd}\
ﷺ𒐫 <script>alert(1)</script>&amp;&#0; \"'`\\ ${secret:token} {{x}} %s %n ``` *b* _i_ ~s~ ||x|| # - > \
<!channel> <@U1> @everyone @here @room [x](https://evil.example) https://evil.example/ \u{fffd}";

/// A notification and what it is called in the report.
pub(super) struct Telling {
    pub(super) name: &'static str,
    pub(super) notification: Notification,
}

/// All of them; `never` are texts that would act at this provider.
pub(super) fn all(now: Millis, max_groups: Option<u32>, never: &[String]) -> Vec<Telling> {
    let many = max_groups.unwrap_or(MANY).clamp(1, MANY);
    let each: Vec<Group> =
        (0..many).map(|n| Group { count: u64::from(n) + 1, ..group(now, n, &format!("job {n} failed")) }).collect();
    let hostile = format!("{HOSTILE} {}", never.join(" "));
    let telling = |name, notification| Telling { name, notification };
    vec![
        telling("one group", one(now, "disk full")),
        telling(
            "many groups",
            Notification { omitted_groups: 412, omitted_messages: 80_344, ..of(now, "n-many", each) },
        ),
        telling("the longest text", one_of(now, "n-long", longest(now))),
        telling("an empty text", one_of(now, "n-empty", group(now, 1, ""))),
        telling("hostile text", one_of(now, "n-hostile", adorned(group(now, 2, &hostile), &hostile))),
        telling("only hostile text", one_of(now, "n-zero", group(now, 3, "\u{0}\u{200b}\u{202e}"))),
        telling(
            "a monitor's text",
            one_of(now, "n-monitor", Group { kind: MONITOR_KIND.to_owned(), ..group(now, 4, "`x` is *3*") }),
        ),
        telling(
            "what is over",
            one_of(now, "n-resolved", Group { reason: Reason::Resolved, count: 0, ..group(now, 5, "disk full") }),
        ),
        telling("what another sender could not tell", escalated(now)),
    ]
}

/// One plain group.
pub(super) fn one(now: Millis, text: &str) -> Notification {
    one_of(now, "n-one", group(now, 0, text))
}

fn one_of(now: Millis, id: &str, group: Group) -> Notification {
    of(now, id, vec![group])
}

fn of(now: Millis, id: &str, groups: Vec<Group>) -> Notification {
    let first = groups.first();
    let kind = first.map_or_else(|| DEFAULT_KIND.to_owned(), |group| group.kind.clone());
    let title: String =
        first.map(|group| group.text.chars().filter(|c| !c.is_control()).take(200).collect()).unwrap_or_default();
    Notification {
        id: format!("01890a5d-ac96-774b-bcce-{:0>12}", id.trim_start_matches("n-")),
        attempt: 1,
        sender: "conformance".to_owned(),
        kind,
        reason: first.map_or(Reason::Time, |group| group.reason),
        period_ms: 30_000,
        title,
        groups,
        omitted_groups: 0,
        omitted_messages: 0,
        sent_at: now,
        timeout_ms: 0,
        progress: None,
        previous: None,
        cause: None,
    }
}

fn group(now: Millis, n: u32, text: &str) -> Group {
    Group {
        id: GroupId(0x5eed_0000_0000_0000 | u64::from(n)),
        route: "root".into(),
        kind: DEFAULT_KIND.to_owned(),
        source: Some("192.0.2.7".to_owned()),
        text: text.to_owned(),
        severity: Some(Severity::Error),
        labels: Labels::new(vec![("host".to_owned(), "db1".to_owned())]),
        annotations: Labels::default(),
        count: 30,
        total: 1_203,
        first_seen: now.saturating_sub(90_000),
        last_seen: now.saturating_sub(1_000),
        opened: now.saturating_sub(30_000),
        closed: now,
        samples: Vec::new(),
        reason: Reason::Time,
    }
}

fn longest(now: Millis) -> Group {
    let text: String = "Zażółć gęślą jaźń <&> "
        .chars()
        .cycle()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= LONGEST_TEXT_BYTES).then_some(c)
        })
        .collect();
    Group { samples: vec!["s".repeat(SAMPLE_BYTES); SAMPLES], ..group(now, 6, &text) }
}

/// The same text wherever a group has room for one.
fn adorned(group: Group, text: &str) -> Group {
    let label = |name: &str| (name.to_owned(), text.to_owned());
    let labels = Labels::new(vec![label("host"), label("a\"b\\c"), label(&text.chars().take(60).collect::<String>())]);
    let short: String = text.chars().take(SAMPLE_BYTES / 4).collect();
    Group { labels, source: Some(short.clone()), samples: vec![short], ..group }
}

fn escalated(now: Millis) -> Notification {
    let error = format!("sender team (plugin x 1): no {}", HOSTILE.chars().take(80).collect::<String>());
    let cause = Cause { sender: "team".to_owned(), code: "http-500".to_owned(), error };
    Notification {
        reason: Reason::Escalated,
        cause: Some(cause),
        ..one_of(now, "n-escalated", group(now, 7, "disk full"))
    }
}
