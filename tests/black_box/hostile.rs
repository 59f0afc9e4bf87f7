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
/// The same of a request: its body is taken whole, 4 MiB in a buffer that grows to 8, then inflated to 16 MiB at most.
const MORE_HTTP_BYTES: u64 = 26 * 1024 * 1024;
/// Nothing honest waits so long.
const LIMIT: Duration = Duration::from_secs(120);
/// What an attack costs, it costs each time; a thread that first uses an arena of its own costs once.
const TRIES: usize = 3;
const MIB: usize = 1024 * 1024;

/// Everything is counted and nothing told.
const CONFIG: &str =
    "[route]\nmax_messages = 1000000000\ntime_limit = \"1h\"\n[senders.console]\nplugin = \"console\"\n";

/// What a client sends: a beginning, a middle many times, an end.
struct Attack {
    name: &'static str,
    begin: Vec<u8>,
    middle: Vec<u8>,
    times: usize,
    end: &'static str,
    /// What must be in the answer; nothing at all when it is empty.
    answer: &'static str,
    /// What it may cost.
    more: u64,
}

impl Attack {
    fn new(name: &'static str, begin: impl AsRef<[u8]>, middle: &[u8], times: usize) -> Self {
        let begin = begin.as_ref().to_vec();
        Self { name, begin, middle: middle.to_vec(), times, end: "", answer: "", more: MORE_BYTES }
    }

    /// A request for messages with these fields and this body.
    fn post(name: &'static str, fields: &str, body: &[u8], times: usize, answer: &'static str) -> Self {
        let head = format!("POST /api/v1/messages HTTP/1.1\r\nHost: mag\r\n{fields}\r\n");
        Self { more: MORE_HTTP_BYTES, answer, ..Self::new(name, head, body, times) }
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
        stream.write_all(&self.begin)?;
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
    let attacks = vec![
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
    ];
    [attacks, of_other_protocols(&megabyte)].into_iter().flatten().collect()
}

fn of_other_protocols(megabyte: &[u8]) -> Vec<Attack> {
    let chunk = [b"100000\r\n", megabyte, b"\r\n"].concat();
    let bomb = gzip(&vec![b'x'; 64 * MIB]);
    let coded = format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", bomb.len());
    let many = "x: y\r\n".repeat(100_000);
    // A tag, and packed entries of four gigabytes; the same, compressed.
    let forward = b"\x92\xa1t\xc6\xff\xff\xff\xff";
    let nils = gzip(&vec![0xc0; 64 * MIB]);
    let packed = [b"\x92\xa1t\xc6", &u32::try_from(nils.len()).expect("small").to_be_bytes()[..], &nils].concat();
    vec![
        Attack::post("a body of 1 GiB", "Content-Length: 1073741824\r\n", megabyte, 1024, " 413 "),
        Attack::post("a body in chunks without an end", "Transfer-Encoding: chunked\r\n", &chunk, 1024, " 413 "),
        Attack::post("a body that inflates to 64 MiB", &coded, &bomb, 1, " 413 "),
        Attack::post("a body that is no gzip", "Content-Encoding: gzip\r\nContent-Length: 1\r\n", b"x", 1, " 400 "),
        Attack::post("a picture", "Content-Type: image/png\r\nContent-Length: 1\r\n", b"x", 1, " 415 "),
        Attack::post("a hundred thousand fields", &many, b"", 1, " 431 "),
        Attack::new("a head of 1 GiB", "GET / HTTP/1.1\r\nx: ", megabyte, 1024).ends("", " 431 "),
        Attack::new("a syslog frame of 1 GB", "999999999 <13>", megabyte, 1024),
        Attack::new("a frame of RELP of 1 GB", "1 open 14 relp_version=0\n2 syslog 999999999 ", megabyte, 1024)
            .ends("", "1 rsp "),
        Attack::new("four gigabytes of Forward that is none", forward, &vec![0; MIB], 64),
        Attack::new("Forward that inflates to nothing of the kind", packed, b"", 0),
        Attack::new("TLS where there is none", b"\x16\x03\x01", megabyte, 64).ends("", "\u{15}\u{3}\u{1}"),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
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

/// Runs one attack beside an honest client: how much memory it costs, in bytes, and the answer.
fn try_out(attack: &Attack, mag: &Mag, honest: &mut Wire, acked: &mut u64) -> (u64, String) {
    let before = usage(mag.pid()).expect("mag runs").resident_bytes;
    forget_peak(mag.pid()).expect("the system lets us");
    let answer = thread::scope(|scope| {
        let attacking = scope.spawn(|| attack.run(mag));
        // Somebody else is acknowledged all the while.
        while !attacking.is_finished() {
            honest.writes(b"{\"text\":\"honest\"}\n");
            *acked = honest.next_ack(*acked);
        }
        attacking.join().expect("the attack ends")
    });
    (usage(mag.pid()).expect("mag runs").peak_bytes.saturating_sub(before), answer)
}

#[test]
fn whatever_a_client_sends_costs_no_memory_is_answered_and_delays_nobody() {
    let mag = Mag::with(CONFIG);
    let mut honest = Wire::with_acks(mag.address());
    settle(&mag, &mut honest);
    let mut acked = 1;
    let mut wrong = Vec::new();
    for attack in attacks() {
        let mut costs = Vec::new();
        while costs.len() < TRIES {
            let (more, answer) = try_out(&attack, &mag, &mut honest, &mut acked);
            println!("{}: {} KiB more, answer {:.80}", attack.name, more / 1024, answer);
            let answered = if attack.answer.is_empty() { answer.is_empty() } else { answer.contains(attack.answer) };
            if !answered {
                wrong.push(format!("{}: answered {answer:.200}", attack.name));
            }
            if more <= attack.more {
                break;
            }
            costs.push(more / 1024);
        }
        if costs.len() == TRIES {
            wrong.push(format!("{}: {costs:?} KiB more memory", attack.name));
        }
    }
    assert_eq!(wrong, [""; 0]);
    let windows = mag.stops().store().open_windows();
    let honest = windows.iter().find(|(text, _)| text == "honest").map(|(_, count)| *count);
    assert_eq!(honest, i64::try_from(acked).ok(), "every honest message is counted once");
}

/// Asks for answers and never reads one, beside an honest client: how much memory it costs, in bytes.
fn deafen(mag: &Mag, honest: &mut Wire, acked: &mut u64) -> u64 {
    let before = usage(mag.pid()).expect("mag runs").resident_bytes;
    forget_peak(mag.pid()).expect("the system lets us");
    let mut deaf = TcpStream::connect(mag.address()).expect("mag accepts");
    deaf.set_write_timeout(Some(Duration::from_millis(500))).expect("an open socket");
    let lines = b"{]\n".repeat(10_000);
    deaf.write_all(b"{}\n").expect("mag reads");
    // Far more than all buffers on the way hold: at some point nothing more is taken.
    let refused = (0..10_000).any(|_| deaf.write_all(&lines).is_err());
    assert!(refused, "300 MB of bad lines are read though nobody hears the answers");
    for _ in 0..100 {
        honest.writes(b"{\"text\":\"honest\"}\n");
        *acked = honest.next_ack(*acked);
    }
    usage(mag.pid()).expect("mag runs").peak_bytes.saturating_sub(before)
}

#[test]
fn a_client_that_never_reads_its_answers_is_not_read_on_and_delays_nobody() {
    let mag = Mag::with(CONFIG);
    let mut honest = Wire::with_acks(mag.address());
    settle(&mag, &mut honest);
    let mut acked = 1;
    let before = usage(mag.pid()).expect("mag runs").handles;
    let mut costs = (0..TRIES).map(|_| {
        let cost = deafen(&mag, &mut honest, &mut acked);
        let gone = || Ok((usage(mag.pid())?.handles <= before).then_some(()));
        wait_for("the connection to be let go", LIMIT, gone).unwrap_or_else(|error| panic!("{error}"));
        cost
    });
    assert!(costs.any(|cost| cost <= MORE_BYTES), "it costs more than {MORE_BYTES} bytes of memory each time");
    mag.stops();
}
