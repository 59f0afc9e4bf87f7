//! Clients that mean harm: whatever they send costs nearly no memory, is answered by name, and delays nobody else.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use mag_testkit::process::{forget_peak, usage};
use mag_testkit::wait_for;

use super::support::{Mag, Wire};

/// What an attack may cost beyond what honest clients have made mag hold already: the longest line that is taken whole,
/// 1 MiB, and the pages around it.
const MORE_BYTES: u64 = 1024 * 1024 + 128 * 1024;
/// Nothing honest waits so long.
const LIMIT: Duration = Duration::from_secs(120);
const MIB: usize = 1024 * 1024;

/// Everything is counted and nothing told.
const CONFIG: &str =
    "[route]\nmax_messages = 1000000000\ntime_limit = \"1h\"\n[senders.console]\nplugin = \"console\"\n";

/// What a client sends: a beginning, a middle many times, an end.
struct Attack {
    name: &'static str,
    begin: String,
    middle: Vec<u8>,
    times: usize,
    end: &'static str,
    /// What must be in the answer; nothing at all when it is empty.
    answer: &'static str,
}

impl Attack {
    fn new(name: &'static str, begin: &str, middle: &[u8], times: usize) -> Self {
        Self { name, begin: begin.to_owned(), middle: middle.to_vec(), times, end: "", answer: "" }
    }

    fn ends(self, end: &'static str, answer: &'static str) -> Self {
        Self { end, answer, ..self }
    }

    /// Sends it all, and returns the beginning of the answer once mag has closed.
    fn run(&self, mag: &Mag) -> String {
        let stream = TcpStream::connect(mag.address()).expect("mag accepts");
        stream.set_read_timeout(Some(LIMIT)).expect("an open socket");
        stream.set_write_timeout(Some(LIMIT)).expect("an open socket");
        thread::scope(|scope| {
            scope.spawn(|| {
                // A client whose connection is closed has been answered.
                drop(self.write(&stream));
                drop(stream.shutdown(Shutdown::Write));
            });
            let (mut answer, mut bytes) = (Vec::new(), vec![0; 64 * 1024]);
            while let Ok(count @ 1..) = (&stream).read(&mut bytes) {
                answer.extend_from_slice(bytes.get(..count.min(MIB - answer.len().min(MIB))).unwrap_or_default());
            }
            String::from_utf8(answer).expect("mag says UTF-8")
        })
    }

    fn write(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.write_all(self.begin.as_bytes())?;
        for _ in 0..self.times {
            stream.write_all(&self.middle)?;
        }
        stream.write_all(self.end.as_bytes())
    }
}

fn attacks() -> Vec<Attack> {
    let megabyte = vec![b'x'; MIB];
    let too_long = "the line is longer than 1048576 bytes";
    let too_deep = "nested deeper than 64 levels";
    vec![
        Attack::new("a classic line of 1 GiB", "STRING\n", &megabyte, 1024).ends("\n", ""),
        Attack::new("a classic line without an end", "STRING\n", &megabyte, 64),
        Attack::new("a command of 1 GiB", "", &megabyte, 1024).ends("\n", "is not registered"),
        Attack::new("an NDJSON line of 1 GiB", "{\"text\":\"", &megabyte, 1024).ends("\"}\n", too_long),
        Attack::new("an NDJSON line without an end", "{\"text\":\"", &megabyte, 64).ends("", too_long),
        Attack::new("objects without an end", "{\"text\":\"a\",\"x\":", b"{\"a\":", 200_000).ends("\n", too_deep),
        Attack::new("lists without an end", "{\"text\":\"a\",\"x\":", &[b'['; 1000], 1_000).ends("\n", too_deep),
        Attack::new("objects of 1 GiB", "{\"text\":\"a\",\"x\":", &b"{\"a\":".repeat(200_000), 1_000)
            .ends("\n", too_long),
        Attack::new("a hundred thousand keys", "{\"text\":\"a\"", b",\"k\":1", 100_000).ends("}\n", ""),
        Attack::new("a hundred thousand labels", "{\"text\":\"a\",\"labels\":{\"l\":1", b",\"k\":1", 100_000)
            .ends("}}\n", "label"),
        Attack::new("a million bad lines", "{}\n", b"{]\n", 1_000_000).ends("", "not valid JSON"),
        Attack::new("a million empty lines", "{\"text\":\"a\"}\n", b"\r\n", 1_000_000),
        Attack::new("zeros", "", &vec![0; MIB], 64).ends("\n", "is not registered"),
        Attack::new("bytes that are no text", "STRING\n", &vec![0xff; MIB], 64).ends("\n", ""),
        Attack::new("a number without an end", "{\"text\":\"a\",\"count\":", &[b'9'; 1000], 1_000)
            .ends("}\n", "number out of range"),
        Attack::new("white space without an end", "", &vec![b' '; MIB], 256).ends("\n", "is not registered"),
    ]
}

/// What mag holds once honest clients have used everything that it keeps for later: buffers, a table, a page cache.
fn settle(mag: &Mag, honest: &mut Wire) {
    let long = format!("{{\"text\":\"{}\"}}\n", "x".repeat(MIB - 100));
    for _ in 0..3 {
        let threads: Vec<_> = (0..4).map(|_| (mag.wire(), long.clone())).collect();
        for (mut wire, long) in threads {
            wire.writes(long.as_bytes());
            wire.writes("{\"text\":\"a\"}\n".repeat(20_000).as_bytes());
            wire.finishes();
            assert_eq!(wire.hears_to_the_end(), "");
        }
        mag.takes(format!("STRING\n{}\n", "x".repeat(2 * MIB)).as_bytes());
    }
    honest.writes(b"{\"text\":\"honest\"}\n");
    honest.is_acked(1);
    let memory = usage(mag.pid()).expect("mag runs");
    assert!(memory.peak_bytes >= memory.resident_bytes && memory.resident_bytes > MORE_BYTES, "{memory:?}");
}

#[test]
fn whatever_a_client_sends_costs_no_memory_is_answered_and_delays_nobody() {
    let mag = Mag::with(CONFIG);
    let mut honest = Wire::with_acks(mag.address());
    settle(&mag, &mut honest);
    let mut acked = 1;
    let mut wrong = Vec::new();
    for attack in attacks() {
        let before = usage(mag.pid()).expect("mag runs").resident_bytes;
        forget_peak(mag.pid()).expect("the system lets us");
        let answer = thread::scope(|scope| {
            let attacking = scope.spawn(|| attack.run(&mag));
            // Somebody else is acknowledged all the while.
            while !attacking.is_finished() {
                honest.writes(b"{\"text\":\"honest\"}\n");
                acked = honest.next_ack(acked);
            }
            attacking.join().expect("the attack ends")
        });
        let more = usage(mag.pid()).expect("mag runs").peak_bytes.saturating_sub(before);
        println!("{}: {} KiB more, answer {:.80}", attack.name, more / 1024, answer);
        if more > MORE_BYTES {
            wrong.push(format!("{}: {} KiB more memory", attack.name, more / 1024));
        }
        let answered = if attack.answer.is_empty() { answer.is_empty() } else { answer.contains(attack.answer) };
        if !answered {
            wrong.push(format!("{}: answered {answer:.200}", attack.name));
        }
    }
    assert_eq!(wrong, [""; 0]);
    let windows = mag.stops().store().open_windows();
    let honest = windows.iter().find(|(text, _)| text == "honest").map(|(_, count)| *count);
    assert_eq!(honest, i64::try_from(acked).ok(), "every honest message is counted once");
}

#[test]
fn a_client_that_never_reads_its_answers_is_not_read_on_and_delays_nobody() {
    let mag = Mag::with(CONFIG);
    let mut honest = Wire::with_acks(mag.address());
    settle(&mag, &mut honest);
    let before = usage(mag.pid()).expect("mag runs");
    forget_peak(mag.pid()).expect("the system lets us");
    let mut deaf = TcpStream::connect(mag.address()).expect("mag accepts");
    deaf.set_write_timeout(Some(Duration::from_millis(500))).expect("an open socket");
    let lines = b"{]\n".repeat(10_000);
    deaf.write_all(b"{}\n").expect("mag reads");
    // Far more than all buffers on the way hold: at some point nothing more is taken.
    let refused = (0..10_000).any(|_| deaf.write_all(&lines).is_err());
    assert!(refused, "300 MB of bad lines are read though nobody hears the answers");
    for acked in 1..100 {
        honest.writes(b"{\"text\":\"honest\"}\n");
        honest.next_ack(acked);
    }
    let more = usage(mag.pid()).expect("mag runs").peak_bytes.saturating_sub(before.resident_bytes);
    assert!(more <= MORE_BYTES, "{} KiB more memory", more / 1024);
    drop(deaf);
    let gone = || Ok((usage(mag.pid())?.handles <= before.handles).then_some(()));
    wait_for("the connection to be let go", LIMIT, gone).unwrap_or_else(|error| panic!("{error}"));
    mag.stops();
}
