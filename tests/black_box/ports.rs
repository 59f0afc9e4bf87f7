//! Ports as an operator sets them up: more than one, each with rules of its own.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use super::support::{Home, Receiver, Wire, binary, plugin_cache};

fn config(receiver: &Receiver) -> String {
    let url = receiver.url("/");
    format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\nprotocol = \"http\"\ntoken = {{ env = \"PORT_TOKEN\" }}\n\
         [[listen]]\naddress = \"unix:mag.sock\"\nlabels = {{ site = \"eu\" }}\n\
         [route]\nmax_messages = 2\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    )
}

#[test]
fn a_port_with_a_token_and_a_unix_socket_with_labels_feed_the_same_group() {
    let receiver = Receiver::start();
    let mag = Home::with(&config(&receiver)).env("PORT_TOKEN", "s3cret").start();
    let mut http = Wire::to(mag.address());
    http.writes(
        b"POST /api/v1/messages HTTP/1.1\r\nHost: mag\r\nAuthorization: Bearer s3cret\r\nContent-Length: 9\r\n\r\ndisk full",
    );
    assert_eq!(http.hears().expect("an answer").trim_end(), "HTTP/1.1 200 OK");
    let mut unix = UnixStream::connect(mag.home().path("mag.sock")).expect("mag serves the socket");
    unix.write_all(b"{\"text\":\"disk full\"}\n").expect("mag reads");
    unix.shutdown(Shutdown::Write).expect("an open socket");
    unix.read_to_end(&mut Vec::new()).expect("the end means committed");
    let group = &receiver.request(1).json()["groups"][0];
    assert_eq!((&group["text"], &group["count"]), (&"disk full".into(), &2.into()));
    let home = mag.stops();
    assert!(!home.path("mag.sock").exists(), "the socket goes with mag");
}

#[test]
fn a_token_or_a_certificate_that_is_missing_is_told_before_mag_listens() {
    let receiver = Receiver::start();
    let missing = "mag.toml:4:9: error: `token` of [[listen]] 127.0.0.1:0: environment variable PORT_TOKEN is not set";
    Home::with(&config(&receiver)).runs(&["check"]).must_fail_with(2, &[missing]);
    let tls = "[[listen]]\naddress = \"127.0.0.1:0\"\ntls = { cert = \"no.pem\", key = \"no.key\" }\n";
    let unreadable = "mag.toml:3:7: error: `tls` of [[listen]] 127.0.0.1:0: cannot read no.pem: No such file";
    Home::with_exactly(tls).runs(&["check"]).must_fail_with(2, &[unreadable]);
}

#[test]
fn a_socket_whose_folder_is_not_there_is_found_without_running() {
    let two = "[[listen]]\naddress = \"unix:run/mag.sock\"\n[[listen]]\naddress = \"unixgram:mag.toml\"\n";
    let home = Home::with_exactly(two);
    let missing = "mag.toml:2:11: error: `address`: there is no folder run: make it, or give another path";
    let taken = "mag.toml:4:11: error: `address`: mag.toml is there and is no socket";
    home.runs(&["check"]).must_fail_with(2, &[missing, taken]);
}

/// What a service manager does: it gives the socket as handle 3, with its name, and says whom it means.
const AS_A_SERVICE: &str = r#"
exec 3<&0 </dev/null
export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=intake
exec "$@"
"#;

#[test]
fn a_socket_of_the_service_manager_is_served_by_its_name() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let home = Home::with_exactly("[[listen]]\naddress = \"systemd:intake\"\n");
    let run = || {
        let socket: OwnedFd = listener.try_clone().expect("a handle").into();
        Command::new("sh")
            .args(["-c", AS_A_SERVICE, "sh"])
            .arg(binary())
            .args(["run", "--config", "mag.toml"])
            .current_dir(home.path(""))
            .env("XDG_CACHE_HOME", plugin_cache())
            .stdin(socket)
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell runs")
    };
    let mut mag = run();
    let mut wire = Wire::with_acks(address);
    wire.writes(b"{\"text\":\"a\"}\n");
    assert_eq!(wire.hears().expect("an answer"), "{\"acked\":1}");
    mag.kill().expect("it runs");
    mag.wait().expect("it ends");

    home.configure("[[listen]]\naddress = \"systemd:other\"\n");
    let ended = run().wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("cannot listen on systemd:other") && said.contains("given are: intake"), "{said}");
}
