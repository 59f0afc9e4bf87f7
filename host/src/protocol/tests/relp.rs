//! RELP: frames, answers, and what is no frame.

use super::{check, check_speaking};
use crate::limits;
use crate::protocol::Spoken;

const OPEN: &str = "1 open 49 relp_version=0\nrelp_software=me,1\ncommands=syslog\n";

/// What mag offers, with its own version.
fn opened(version: &str) -> String {
    let offers =
        format!("200 OK\nrelp_version={version}\nrelp_software=mag,{}\ncommands=syslog", env!("CARGO_PKG_VERSION"));
    format!("promise 1 rsp {} {}\\n\n", offers.len(), offers.escape_default())
}

/// What follows an open session.
#[track_caller]
fn after_open(frames: impl AsRef<[u8]>, expect: &str) {
    check([OPEN.as_bytes(), frames.as_ref()].concat(), &format!("{}{expect}", opened("0")));
}

#[test]
fn every_message_is_answered_after_its_commit() {
    after_open(
        "2 syslog 5 <13>a\n3 syslog 15 <14>Oct 11 b\nc\\\n4 close 0\n",
        "\"a\" severity=notice labels.facility=user\npromise 2 rsp 6 200 OK\\n\n\
         \"Oct 11 b\\nc\\\\\" severity=info labels.facility=user\npromise 3 rsp 6 200 OK\\n\n\
         promise 4 rsp 0\\n0 serverclose 0\\n\nend",
    );
    after_open("999999999 syslog 0\n", "\"\"\npromise 999999999 rsp 6 200 OK\\n");
    after_open("2 syslog 0 \n", "\"\"\npromise 2 rsp 6 200 OK\\n");
}

#[test]
fn the_version_that_the_client_speaks_is_offered() {
    check("1 open 14 relp_version=1\n", &opened("1"));
    for offers in ["relp_version=2", "commands=syslo", "              "] {
        check(
            format!("1 open 14 {offers}\n"),
            "promise 1 rsp 35 500 mag speaks relp_version 0 and 1\\n0 serverclose 0\\n\nclose \"\"",
        );
    }
}

#[test]
fn what_is_no_frame_is_answered_and_ends_the_session() {
    let refused = |frames: &str, answer: &str| {
        let a = "\"a\" severity=notice labels.facility=user\npromise 2 rsp 6 200 OK\\n\n";
        after_open(
            format!("2 syslog 5 <13>a\n{frames}"),
            &format!("{a}promise {answer}0 serverclose 0\\n\nclose \"\""),
        );
    };
    refused("hello\n", "");
    refused("x", "");
    refused("3 syslog x\n", "");
    refused("3 syslog 5\n<13>a", "");
    refused("0 syslog 5 <13>a\n", "");
    refused("3  5 <13>a\n", "");
    refused("1234567890 syslog 5 <13>a\n", "");
    refused("3 syslog 1234567890 <13>a\n", "");
    refused(&format!("3 {} 1", "x".repeat(33)), "");
    refused("3 syslog 5 <13>ab", "3 rsp 36 500 a frame must end with a line end\\n");
    refused("3 open 14 relp_version=0\n", "3 rsp 31 500 the session is open already\\n");
    refused("3 starttls 0\n", "3 rsp 49 500 mag knows the commands open, syslog and close\\n");
}

#[test]
fn a_session_begins_with_open() {
    check_speaking(
        Spoken::Relp,
        "1 syslog 5 <13>a\n",
        "promise 1 rsp 24 500 open a session first\\n0 serverclose 0\\n\nclose \"\"",
    );
    check("1 open 9999 x", "promise 1 rsp 19 500 too many offers\\n0 serverclose 0\\n\nclose \"\"");
}

#[test]
fn a_frame_that_is_not_whole_is_partial() {
    for rest in ["2", "2 sys", "2 syslog 5", "2 syslog 5 <13>a"] {
        after_open(rest, "partial");
    }
}

#[test]
fn a_message_that_is_too_long_is_cut_and_answered_at_its_end() {
    let text = "x".repeat(limits::SYSLOG_FRAME_BYTES);
    let cut = "65536 bytes severity=notice labels.facility=user truncated=true\n";
    let b = "\"b\" severity=notice labels.facility=user\npromise 3 rsp 6 200 OK\\n\n";
    for more in [0, 1, 200_000] {
        let length = text.len() + 4 + more;
        let long = format!("2 syslog {length} <13>{text}{}\n", "y".repeat(more));
        after_open(format!("{long}3 syslog 5 <13>b\n"), &format!("{cut}promise 2 rsp 6 200 OK\\n\n{b}"));
    }
}
