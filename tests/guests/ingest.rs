//! How long clients wait for their acks while guests attack, beside how long they wait when nobody does.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use mag_testkit::now;
use mag_testkit::process::Home;

use super::guest::Guest;

/// Messages that are timed.
const TIMED: usize = 2_000;
/// A message that the attackers are told of, before every so many of them.
const EVERY: usize = 20;

/// A mag whose attackers, if there are any, are called again and again.
pub(super) fn p99(guests: &[Guest], places: (&str, &str)) -> Duration {
    let home = Home::new(Path::new(env!("CARGO_BIN_EXE_mag")), Some(&std::env::temp_dir().join("mag-test-plugins")));
    let home = home.expect("a folder");
    let names: Vec<String> = guests.iter().map(|guest| format!("\"{}\"", guest.name)).collect();
    let mut config = format!(
        "[route]\nmax_messages = 1000000000\ntime_limit = \"1h\"\nsenders = [\"console\"]\n\
         [[route.routes]]\nmatch = ['kind=\"attack\"']\nmax_messages = 1\nsenders = [{}]\n\
         [senders.console]\nplugin = \"console\"\n",
        names.join(", ")
    );
    for guest in guests {
        let file = format!("{}.wasm", guest.name);
        std::fs::write(home.path(&file), guest.component(places.0, places.1)).expect("it is written");
        config.push_str(&format!(
            "[senders.{}]\nplugin = \"./{file}\"\nrate = \"1000/s\"\nburst = 1000\nconfig = {{ url = \"http://{}/\" }}\n",
            guest.name, places.0
        ));
    }
    home.configure(&config).expect("it is written");
    let mag = home.start().expect("mag starts");
    let mut waited = timed(mag.address());
    mag.kill().expect("mag ran all the while");
    waited.sort_unstable();
    waited[waited.len() * 99 / 100]
}

fn timed(to: SocketAddr) -> Vec<Duration> {
    let mut stream = TcpStream::connect(to).expect("mag accepts");
    stream.set_nodelay(true).expect("an open socket");
    stream.write_all(b"{\"ack\":true}\n").expect("mag reads");
    let mut answers = BufReader::new(stream.try_clone().expect("a handle"));
    let mut ask = |line: String| {
        let before = now();
        stream.write_all(line.as_bytes()).expect("mag reads");
        let mut answer = String::new();
        answers.read_line(&mut answer).expect("mag answers");
        assert!(answer.contains("acked"), "{answer}");
        now() - before
    };
    let mut waited = Vec::new();
    for message in 0..TIMED {
        if message % EVERY == 0 {
            ask(format!("{{\"kind\":\"attack\",\"text\":\"{message}\"}}\n"));
        }
        waited.push(ask(format!("{{\"text\":\"honest {message}\"}}\n")));
    }
    waited
}
