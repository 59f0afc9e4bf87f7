//! Syslog and RELP, from `logger` and rsyslog as the README sets them up.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::support::{Home, Mag, Receiver, Rsyslog, free_port, from_readme, program};

/// Every message is told by itself.
fn told_at_once(receiver: &Receiver, listen: &str) -> String {
    let url = receiver.url("/");
    format!(
        "{listen}[route]\nmax_messages = 1\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\nrate = \"1000/s\"\n"
    )
}

/// A TCP port and a UDP port, both free ones.
const PORTS: &str = "[[listen]]\naddress = \"127.0.0.1:0\"\n[[listen]]\naddress = \"udp:127.0.0.1:0\"\n[[listen]]\naddress = \"unixgram:log.sock\"\n";

fn udp_port(mag: &Mag) -> u16 {
    let said = mag.says("listening on udp:127.0.0.1:");
    let address = said.rsplit("udp:").next().expect("an address");
    address.trim().parse::<SocketAddr>().expect("an address").port()
}

/// The group with this text, as soon as it is told.
#[track_caller]
fn group(receiver: &Receiver, text: &str) -> Value {
    receiver.gets(&format!("a group {text:?}"), |requests| {
        let groups = |body: Value| body["groups"].as_array().cloned().unwrap_or_default();
        let mut all = requests.iter().flat_map(|request| groups(request.json()));
        all.find(|group| group["text"] == text)
    })
}

/// Where it came from is told by the message itself.
#[track_caller]
fn says(group: &Value, severity: &str, labels: &[(&str, &str)]) {
    assert_eq!(group["severity"], severity, "{group:#}");
    for (name, value) in labels {
        assert_eq!(group["labels"][name], *value, "{name} of {group:#}");
    }
}

#[track_caller]
fn runs(program: &Path, arguments: &str) {
    let arguments = arguments.split_once("logger ").map_or(arguments, |(_, rest)| rest);
    let (options, text) = arguments.split_once(" \"").expect("a text in quotes");
    let ended = Command::new(program).args(options.split(' ')).arg(text.trim_end_matches('"')).status();
    assert!(ended.expect("it runs").success(), "{arguments}");
}

#[test]
fn logger_sends_over_tcp_and_udp_in_both_forms_and_framings() {
    let Some(logger) = program("logger", "bsdutils") else { return };
    let receiver = Receiver::start();
    let mag = Mag::with(&told_at_once(&receiver, PORTS));
    let shown = from_readme("logger --server mag.example.org --port 3050 --tcp \"disk full\"", mag.address().port());
    runs(&logger, &shown);
    assert_eq!(group(&receiver, "disk full")["severity"], "notice");
    let udp = udp_port(&mag);
    for (at, how) in
        ["--tcp", "--tcp --octet-count", "--tcp --rfc3164", "--tcp --rfc3164 --octet-count", "--udp", "--udp --rfc3164"]
            .iter()
            .enumerate()
    {
        let port = if how.starts_with("--udp") { udp } else { mag.address().port() };
        runs(&logger, &format!("{how} --server 127.0.0.1 --port {port} -t shop -p daemon.err \"disk {at} full\""));
        let group = group(&receiver, &format!("disk {at} full"));
        says(&group, "error", &[("app", "shop"), ("facility", "daemon")]);
        assert!(group["source"].is_string() && group["source"] == group["labels"]["host"], "{how}: {group:#}");
    }
    mag.stops();
}

#[test]
fn logger_and_the_c_library_write_to_a_unix_socket_as_to_dev_log() {
    let Some(logger) = program("logger", "bsdutils") else { return };
    let receiver = Receiver::start();
    let mag = Mag::with(&told_at_once(&receiver, PORTS));
    let socket = mag.home().path("log.sock");
    runs(&logger, &format!("-u {} -t shop -p user.warning --id=77 \"disk full\"", socket.display()));
    let told = group(&receiver, "disk full");
    says(&told, "warning", &[("app", "shop"), ("facility", "user"), ("pid", "77")]);
    assert_eq!(told["source"], "unix");
    let home = mag.crashes();
    let mag = home.start();
    runs(&logger, &format!("-u {} -t shop \"disk empty\"", socket.display()));
    group(&receiver, "disk empty");
    let home = mag.stops();
    assert!(!home.path("log.sock").exists(), "the socket goes with mag");
}

#[test]
fn rsyslog_forwards_over_tcp_by_line_and_by_count_and_over_udp() {
    let Some(rsyslogd) = program("rsyslogd", "rsyslog") else { return };
    let receiver = Receiver::start();
    let mag = Mag::with(&told_at_once(&receiver, PORTS));
    let by_count = from_readme(
        "*.* action(type=\"omfwd\" target=\"mag.example.org\" port=\"3050\" protocol=\"tcp\" tcp_framing=\"octet-counted\")",
        mag.address().port(),
    );
    let by_line = by_count.replace(" tcp_framing=\"octet-counted\"", "");
    let by_datagram =
        by_line.replace("\"tcp\"", "\"udp\"").replace(&mag.address().port().to_string(), &udp_port(&mag).to_string());
    for (at, rule) in [by_count, by_line, by_datagram].iter().enumerate() {
        let rsyslog = Rsyslog::start(&rsyslogd, rule);
        rsyslog.gets(&format!("<19>Nov 24 11:20:00 postfix/smtpd[77]: connection {at} lost"));
        let group = group(&receiver, &format!("connection {at} lost"));
        says(&group, "error", &[("app", "postfix/smtpd"), ("pid", "77"), ("facility", "mail")]);
        assert!(group["source"].is_string() && group["source"] == group["labels"]["host"], "{rule}: {group:#}");
    }
    mag.stops();
}

#[test]
fn what_rsyslog_sends_by_relp_is_told_even_if_mag_is_killed_meanwhile() {
    let Some(rsyslogd) = program("rsyslogd", "rsyslog and rsyslog-relp") else { return };
    let receiver = Receiver::start();
    let port = free_port();
    let listen = format!("[[listen]]\naddress = \"127.0.0.1:{port}\"\n");
    let mag = Home::with(&told_at_once(&receiver, &listen)).start();
    let module = from_readme("module(load=\"omrelp\")", port);
    let rule = from_readme("*.* action(type=\"omrelp\" target=\"mag.example.org\" port=\"3050\")", port);
    let patient = rule.replace(')', " action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\")");
    let rsyslog = Rsyslog::start(&rsyslogd, &format!("{module}\n{patient}"));
    let text = |number: usize| format!("connection {number} lost");
    let send = |from: usize, to: usize| {
        for number in from..to {
            rsyslog.gets(&format!("<19>Nov 24 11:20:00 postfix/smtpd[77]: {}", text(number)));
        }
    };
    send(0, 100);
    says(&group(&receiver, &text(0)), "error", &[("app", "postfix/smtpd"), ("pid", "77"), ("facility", "mail")]);
    let home = mag.crashes();
    send(100, 200);
    let mag = home.start();
    send(200, 300);
    for number in 0..300 {
        group(&receiver, &text(number));
    }
    mag.stops();
}
