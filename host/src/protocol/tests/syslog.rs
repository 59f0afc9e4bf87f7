//! Syslog: messages as the RFCs and real senders write them, and their frames.

use proptest::prelude::{Strategy, proptest};
use syslog_loose::{ProcId, Variant, parse_message_with_year};

use super::super::syslog::{Opened, message};
use super::super::{Parsed, Spoken};
use super::{check, check_speaking, in_words};
use crate::limits;

/// What one message, whole as in a datagram, comes to.
#[track_caller]
fn one(input: impl AsRef<[u8]>, expect: &str) {
    assert_eq!(in_words(&message(input.as_ref())), expect);
}

#[test]
fn a_priority_is_a_severity_and_a_facility() {
    for (severity, word) in
        ["critical", "critical", "critical", "error", "warning", "notice", "info", "debug"].iter().enumerate()
    {
        one(format!("<{severity}>a"), &format!("\"a\" severity={word} labels.facility=kern"));
        one(format!("<{}>a", 23 * 8 + severity), &format!("\"a\" severity={word} labels.facility=local7"));
    }
    one("<86>a", "\"a\" severity=info labels.facility=authpriv");
    one("<192>a", "\"<192>a\"");
    one("<999>a", "\"<999>a\"");
    one("<1x>a", "\"<1x>a\"");
    one("<>a", "\"<>a\"");
    one("a", "\"a\"");
}

#[test]
fn rfc_3164_says_host_app_and_process() {
    one(
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
        "\"'su root' failed for lonvick on /dev/pts/8\" severity=critical labels.app=su labels.facility=auth \
         labels.host=mymachine source=mymachine",
    );
    one(
        "<13>Feb  5 17:32:18 10.0.0.99 postfix/smtpd[4711]: lost connection",
        "\"lost connection\" severity=notice labels.app=postfix/smtpd labels.facility=user labels.host=10.0.0.99 \
         labels.pid=4711 source=10.0.0.99",
    );
    one(
        "<30>Feb 15 07:32:18 web-1 (systemd)[1] started",
        "\"started\" severity=info labels.app=(systemd) labels.facility=daemon labels.host=web-1 labels.pid=1 source=web-1",
    );
}

#[test]
fn a_local_program_says_no_host() {
    one("<13>Nov 24 11:20:00 root: hello", "\"hello\" severity=notice labels.app=root labels.facility=user");
    one(
        "<133>Jan 13 16:33:35 haproxy[73411]: Proxy started.\n",
        "\"Proxy started.\" severity=notice labels.app=haproxy labels.facility=local0 labels.pid=73411",
    );
    one("<13>app[12]: hello\0", "\"hello\" severity=notice labels.app=app labels.facility=user labels.pid=12");
}

#[test]
fn without_a_date_the_words_of_a_text_stay_in_the_text() {
    one("<14>Error: no space", "\"Error: no space\" severity=info labels.facility=user");
    one("<14>disk full", "\"disk full\" severity=info labels.facility=user");
    one("<14>", "\"\" severity=info labels.facility=user");
    one("<14>array[3] = 5", "\"array[3] = 5\" severity=info labels.facility=user");
    one("complete and utter gobbledegook", "\"complete and utter gobbledegook\"");
}

#[test]
fn without_a_tag_the_text_begins_after_the_host() {
    one(
        "<46>Jan  5 15:33:03 web-1 link to the disk lost",
        "\"link to the disk lost\" severity=info labels.facility=syslog labels.host=web-1 source=web-1",
    );
    one(
        "<134>Oct 30 16:05:54 {\"user\": \"admin\"}",
        "\"{\\\"user\\\": \\\"admin\\\"}\" severity=info labels.facility=local0",
    );
    one("<46>Jan  5 15:33:03 - app: a", "\"a\" severity=info labels.app=app labels.facility=syslog");
    one(
        "<46>Jan  5 15:33:03 web-1 http://a b",
        "\"http://a b\" severity=info labels.facility=syslog labels.host=web-1 source=web-1",
    );
}

#[test]
fn a_tag_that_rsyslog_has_cut_is_a_tag() {
    one(
        "<30>Nov 24 11:20:00 web-1 systemd-networkd-wait-online[123 done",
        "\"done\" severity=info labels.app=systemd-networkd-wait-online labels.facility=daemon labels.host=web-1 \
         source=web-1",
    );
}

#[test]
fn dates_come_in_many_ways_and_are_times_where_they_have_a_zone() {
    let with = |date: &str, time: &str| {
        one(
            format!("<13>{date} web-1 app: a"),
            &format!("\"a\" severity=notice labels.app=app labels.facility=user labels.host=web-1 source=web-1{time}"),
        );
    };
    for date in [
        "Oct 11 22:14:15",
        "Oct  1 22:14:15",
        "Oct 1 22:14:15",
        "oct 01 22:14:15",
        "OCT 11 22:14:15.123456",
        "Oct 11 2024 22:14:15",
        "Oct 11 22:14:15 2024",
        "Oct 11 22:14:15:",
        "2024-05-01T12:00:00",
        "2024-05-01 12:00:00",
        "2024-05-01 12:00:00.25",
    ] {
        with(date, "");
    }
    with("2024-05-01T12:00:00Z", " time=1714564800000");
    with("2024-05-01T14:00:00.250+02:00", " time=1714564800250");
    one("<13>Octopus 11 22:14:15 a", "\"Octopus 11 22:14:15 a\" severity=notice labels.facility=user");
    one("<13>Oct 11 nearly done", "\"Oct 11 nearly done\" severity=notice labels.facility=user");
    one("<13>2024-05-01Tea for two", "\"2024-05-01Tea for two\" severity=notice labels.facility=user");
}

#[test]
fn cisco_devices_are_understood() {
    let text = "%SYS-5-CONFIG_I: Configured from console";
    let bare = format!("{text:?} severity=notice labels.facility=local7");
    one(format!("<189>29: *Mar  1 18:48:50.483 UTC: {text}"), &bare);
    one(format!("<189>29: switch-1: .Mar  1 18:48:50.483: {text}"), &bare);
    one(format!("<189>*Mar  1 18:48:50.483: {text}"), &bare);
    let named = format!("{text:?} severity=notice labels.facility=local7 labels.host=fw source=fw");
    one(format!("<189>Jul 20 2017 14:03:04 fw : {text}"), &named);
    one(format!("<189>Jul 20 2017 14:03:04 fw: {text}"), &named);
    one(format!("<189>Jul 20 2017 14:03:04: {text}"), &bare);
}

#[test]
fn rfc_5424_says_all_its_fields() {
    one(
        "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed",
        "\"'su root' failed\" severity=critical labels.app=su labels.facility=auth labels.host=mymachine.example.com \
         labels.msgid=ID47 source=mymachine.example.com time=1065910455003",
    );
    one("<165>1 - - - - - -", "\"\" severity=notice labels.facility=local4");
    one("<165>1 - - app 7 - - a - b", "\"a - b\" severity=notice labels.app=app labels.facility=local4 labels.pid=7");
    one(
        "<165>1 2003-10-11T22:14:15Z web-1",
        "\"\" severity=notice labels.facility=local4 labels.host=web-1 source=web-1 time=1065910455000",
    );
    one("<165>1 disk of 3 is full", "\"1 disk of 3 is full\" severity=notice labels.facility=local4");
}

#[test]
fn structured_data_becomes_labels() {
    let with = |data: &str, labels: &str, text: &str| {
        one(
            format!("<165>1 - - app - - {data}"),
            &format!("{text:?} severity=notice labels.app=app labels.facility=local4{labels}"),
        );
    };
    one(
        "<165>1 - - app - - [exampleSDID@32473 iut=\"3\" eventSource= \"Application\" eventID=\"\"][examplePriority@32473 class=\"high\"] a",
        "\"a\" severity=notice labels.app=app labels.examplePriority@32473.class=high labels.exampleSDID@32473.eventID= \
         labels.exampleSDID@32473.eventSource=Application labels.exampleSDID@32473.iut=3 labels.facility=local4",
    );
    with(r#"[x a="\"q\" \\ \] \n"] b"#, r#" labels.x.a="q" \ ] \n"#, "b");
    with("[x] a", "", "a");
    with("[x a=\"1\"]", " labels.x.a=1", "");
    with("[x a=\"1\" a=\"2\"] b", " labels.x.a=1", "b");
    with("[timeQuality tzKnown=\"1\"][meta sequenceId=\"7\"] a", "", "a");
    for broken in ["[x a=\"1\" b", "[x a=1] b", "[x a=\"1\"", "[] a", "[x a=\"\\", "[", "[x a=\"1\" =\"2\"] [] b", "x"]
    {
        if broken.contains("=\"2\"") {
            with(broken, " labels.x.a=1", "[] b");
        } else {
            with(broken, "", broken);
        }
    }
}

fn open(line: &str) -> Opened<'_> {
    let parsed = message(line.as_bytes());
    parsed.envelope.unwrap().open(parsed.text, 100)
}

#[test]
fn structured_data_is_bounded() {
    let many: String = (0..90).map(|n| format!(" p{n}=\"1\"")).collect();
    let message = format!("<165>1 - - app - - [x{many}] a");
    let opened = open(&message);
    assert!(opened.truncated);
    assert!(opened.extra.labels.len() <= limits::LABELS);
    let long = format!("<165>1 - - app - - [x a=\"{}\"] a", "é".repeat(limits::LABEL_VALUE_BYTES));
    let opened = open(&long);
    assert!(opened.truncated);
    assert!(opened.extra.labels.iter().all(|(_, value)| value.len() <= limits::LABEL_VALUE_BYTES));
    let name = format!("<165>1 - - app - - [x {}=\"1\"] a", "n".repeat(limits::LABEL_NAME_BYTES));
    one(name, "\"a\" severity=notice labels.app=app labels.facility=local4 truncated=true");
}

#[test]
fn bytes_that_are_not_utf8_do_no_harm() {
    let message = b"<165>1 - web\xff app - - [x a=\"\xff\"][\xff a=\"1\"] \xff";
    one(
        message,
        "\"\u{fffd}\" severity=notice labels.app=app labels.facility=local4 labels.host=web\u{fffd} labels.x.a=\u{fffd} source=web\u{fffd} truncated=true",
    );
}

#[test]
fn frames_end_at_a_line_end_a_nul_or_their_count() {
    let a = "\"a\" severity=notice labels.facility=user";
    let b = "\"b\" severity=notice labels.facility=user";
    check("<13>a\n<13>b\n", &format!("{a}\n{b}"));
    check("<13>a\r\n\r\n<13>b", &format!("{a}\n{b}"));
    check("<13>a\0<13>b\0", &format!("{a}\n{b}"));
    check("5 <13>a5 <13>b", &format!("{a}\n{b}"));
    check("5 <13>a\n5 <13>b\n<13>a\n", &format!("{a}\n{b}\n{a}"));
    check("7 <13>a\nb", "\"a\\nb\" severity=notice labels.facility=user");
    check("<13>a\n5 disks\nalso\n5\n", &format!("{a}\n\"5 disks\"\n\"also\"\n\"5\""));
}

#[test]
fn a_counted_frame_that_is_not_whole_at_the_end_is_partial() {
    let a = "\"a\" severity=notice labels.facility=user\n";
    for rest in ["5 <13>", "5 <", "5 ", "5"] {
        check(format!("<13>a\n{rest}"), &format!("{a}partial"));
    }
}

#[test]
fn a_frame_that_is_too_long_is_cut_and_goes_by() {
    let text = "x".repeat(2 * limits::SYSLOG_FRAME_BYTES);
    let cut = "65536 bytes severity=notice labels.facility=user truncated=true\n";
    let b = "\"b\" severity=notice labels.facility=user\n";
    check(format!("<13>{text}\n<13>b\n"), &format!("{cut}{b}"));
    check(format!("{} <13>{text}<13>b\n", text.len() + 4), &format!("{cut}{b}"));
    check(format!("<13>{text}"), cut);
    check(format!("999999999 <13>{text}"), cut);
    let long = "x".repeat(limits::SYSLOG_FRAME_BYTES - 4);
    check(format!("<13>{long}\n<13>b\n"), &format!("{cut}{b}"));
}

#[test]
fn a_listener_of_syslog_takes_lines_without_a_priority() {
    check_speaking(
        Spoken::Syslog,
        "Oct 11 22:14:15 web-1 app[1]: a\nplain\n\n",
        "\"a\" labels.app=app labels.host=web-1 labels.pid=1 source=web-1\n\"plain\"",
    );
}

/// The same in the words of `in_words`, as the crate `syslog_loose` reads it.
fn by_the_oracle(line: &str) -> String {
    let read = parse_message_with_year(line, |_| 2024, Variant::Either);
    let mut words = vec![format!("{:?}", read.msg)];
    let mut labels = Vec::new();
    let mut label =
        |name: &str, value: Option<String>| labels.extend(value.map(|value| format!("labels.{name}={value}")));
    label("app", read.appname.map(str::to_owned));
    label("facility", read.facility.map(|facility| facility.as_str().replace("clockd", "clock")));
    label("host", read.hostname.map(str::to_owned));
    label("msgid", read.msgid.map(str::to_owned));
    label("pid", read.procid.as_ref().map(ProcId::to_string));
    for element in &read.structured_data {
        for (name, value) in element.params() {
            label(&format!("{}.{name}", element.id), Some(value));
        }
    }
    labels.sort();
    words.extend(labels);
    words.extend(read.hostname.map(|host| format!("source={host}")));
    words.join(" ")
}

fn without_severity_and_time(parsed: &Parsed<'_>) -> String {
    in_words(&Parsed { envelope: parsed.envelope, ..Parsed::plain(parsed.text, None, false) })
}

proptest! {
    #[test]
    fn what_is_written_by_the_rfcs_is_read_as_syslog_loose_reads_it(
        priority in 0_u8..=191,
        date in "(Jan|Feb|Sep|Dec) ( [1-9]|1[0-9]) [01][0-9]:[0-5][0-9]:[0-5][0-9]",
        host in "[a-z][a-z0-9.-]{0,20}",
        app in "[a-zA-Z][a-zA-Z0-9_/-]{0,20}",
        process in "[1-9][0-9]{0,4}",
        word in "[a-zA-Z0-9=%]{1,9}( [a-z:\\[\\]]{1,5}){0,3}",
        id in "[A-Z0-9]{1,8}",
        value in proptest::option::of("[a-z =\\[]{0,9}(\\\\[\\]\"\\\\])?").prop_map(Option::unwrap_or_default),
    ) {
        let text = word.trim_end();
        for line in [
            format!("<{priority}>{date} {host} {app}[{process}]: {text}"),
            format!("<{priority}>{date} {host} {app}: {text}"),
            format!("<{priority}>{date} {app}[{process}]: {text}"),
            format!("<{priority}>1 2024-05-01T12:00:00.5Z {host} {app} {process} {id} - {text}"),
            format!("<{priority}>1 2024-05-01T12:00:00+01:00 {host} {app} - - [sd@1 a=\"{value}\" b=\"1\"] {text}"),
        ] {
            let read = message(line.as_bytes());
            assert_eq!(without_severity_and_time(&read), by_the_oracle(&line), "{line}");
        }
    }
}
