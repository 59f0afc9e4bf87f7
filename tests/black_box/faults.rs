//! Destinations that go wrong in every way there is: none of them hurts more than itself, and none of them costs a
//! message.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use mag_testkit::wait_for;

use super::support::{Answer, Certificate, Home, MailServer, Receiver, Twist, classic, free_port, ndjson};

/// Sends to each faulty destination; `MAG_TEST_SENDS=1000` makes it the longer run.
fn sends() -> usize {
    std::env::var("MAG_TEST_SENDS").ok().and_then(|sends| sends.parse().ok()).unwrap_or(50)
}
/// Far more than several steps of backoff.
const LIMIT: Duration = Duration::from_secs(120);

/// What becomes of notifications that meet a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// They are told: the status says so before the fault comes.
    AreTold,
    /// They wait until the destination works, however long that takes.
    Wait,
    /// They are refused for good: dead letters with a reason.
    Die,
}

/// A sender whose destination goes wrong in one way.
struct Faulty {
    name: String,
    /// Its section of the config, without what comes after the plugin's own settings.
    settings: String,
    fate: Fate,
    /// What answers, kept as long as it must.
    _alive: Option<Receiver>,
}

fn webhook(name: &str, url: &str, fate: Fate, alive: Option<Receiver>) -> Faulty {
    let settings = format!("plugin = \"webhook\"\nconfig = {{ url = {url:?} }}\n");
    Faulty { name: name.to_owned(), settings, fate, _alive: alive }
}

fn answering(name: &str, answer: Answer, fate: Fate) -> Faulty {
    let receiver = Receiver::answering(move |_| answer.clone());
    let url = receiver.url("/");
    webhook(name, &url, fate, Some(receiver))
}

fn mail_settings(port: u16) -> String {
    format!(
        "plugin = \"email\"\nconfig = {{ from = \"mag@example.org\", to = [\"ops@example.org\"] }}\n\
         smtp = {{ url = \"smtp://127.0.0.1:{port}\" }}\n"
    )
}

fn mail(name: &str, port: u16, fate: Fate) -> Faulty {
    Faulty { name: name.to_owned(), settings: mail_settings(port), fate, _alive: None }
}

/// A port where connections are made and nobody ever reads or answers: the peer is gone without a word.
fn half_open() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    // Never accepted, never closed, as long as the tests run.
    std::mem::forget(listener);
    port
}

/// A port that greets every connection with these bytes and closes it.
fn greeting(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Whoever does not want to hear it goes.
            drop(stream.write_all(bytes));
        }
    });
    port
}

fn statuses() -> Vec<Faulty> {
    let mut all = Vec::new();
    for status in [301, 302, 303, 307, 308, 401, 403, 404, 408, 410, 425, 429, 500, 502, 503, 504, 599] {
        let answer = Answer::status(status).header("location", "/elsewhere");
        all.push(answering(&format!("status-{status}"), answer, Fate::Wait));
    }
    for status in [400, 405, 413, 422] {
        all.push(answering(&format!("status-{status}"), Answer::status(status), Fate::Die));
    }
    all
}

fn connections() -> Vec<Faulty> {
    let at = |port: u16| format!("http://127.0.0.1:{port}/");
    vec![
        answering("hangs", Answer::hang(), Fate::Wait),
        answering("resets", Answer::reset(), Fate::Wait),
        answering("closes", Answer::close(), Fate::Wait),
        answering("resets-in-body", Answer::reset_in_body(), Fate::AreTold),
        answering("500-resets-in-body", Answer::reset_in_body().with_status(500), Fate::Wait),
        answering("trickles", Answer::trickle(Duration::from_secs(1)), Fate::Wait),
        answering("endless", Answer::endless(), Fate::AreTold),
        webhook("half-open", &at(half_open()), Fate::Wait, None),
        webhook("nobody-there", &at(free_port()), Fate::Wait, None),
        webhook("no-http", &at(greeting(b"220 not what you think\r\n")), Fate::Wait, None),
        webhook("no-such-name", "http://no-such-name.invalid/", Fate::Wait, None),
    ]
}

/// Everything that may be wrong with TLS; `trusted` are the authorities that mag knows.
fn encryption(trusted: &mut String) -> Vec<Faulty> {
    let (unknown, stranger, expired) =
        (Certificate::new(), Certificate::for_names(&["example.org"]), Certificate::expired());
    trusted.push_str(stranger.pem());
    trusted.push_str(expired.pem());
    let at = |port: u16| format!("https://127.0.0.1:{port}/");
    vec![
        webhook("tls-unknown-authority", &at(unknown.serves()), Fate::Wait, None),
        webhook("tls-other-name", &at(stranger.serves()), Fate::Wait, None),
        webhook("tls-expired", &at(expired.serves()), Fate::Wait, None),
        webhook("tls-not-spoken", &at(greeting(b"HTTP/1.1 400 Bad Request\r\n\r\n")), Fate::Wait, None),
    ]
}

/// A mail server that answers every session so.
fn twisted(servers: &mut Vec<MailServer>, twist: &Twist) -> u16 {
    let server = (0..sends()).fold(MailServer::start(), |server, _| server.twists_next(twist.clone()));
    servers.push(server);
    servers.last().map_or(0, MailServer::port)
}

fn mails(servers: &mut Vec<MailServer>) -> Vec<Faulty> {
    vec![
        mail("mail-half-open", half_open(), Fate::Wait),
        mail("mail-nobody-there", free_port(), Fate::Wait),
        mail("mail-not-now", greeting(b"421 4.3.2 not now\r\n"), Fate::Wait),
        mail("mail-no-smtp", greeting(b"SSH-2.0-none\r\n"), Fate::Wait),
        mail("mail-later", twisted(servers, &Twist::AtRecipient("450 4.2.1 later")), Fate::Wait),
        mail("mail-gone-after-content", twisted(servers, &Twist::GoneAfterContent), Fate::Wait),
        mail("mail-refused", twisted(servers, &Twist::AtContent("550 5.7.1 never")), Fate::Die),
    ]
}

/// A config with a healthy sender and all of these beside it. With `healed` they are the same senders, and their
/// destinations work.
fn config(healthy: &Receiver, faulty: &[Faulty], healed: Option<(&Receiver, &MailServer)>) -> String {
    let names: Vec<&str> = std::iter::once("healthy").chain(faulty.iter().map(|one| one.name.as_str())).collect();
    let mut config = format!(
        "[route]\nmax_messages = 1\nsenders = {names:?}\n\
         [senders.healthy]\nplugin = \"webhook\"\nrate = \"1000/s\"\nconfig = {{ url = {:?} }}\n",
        healthy.url("/")
    );
    for one in faulty {
        let settings = match healed {
            None => one.settings.clone(),
            Some((_, server)) if one.name.starts_with("mail") => mail_settings(server.port()),
            Some((receiver, _)) => {
                format!("plugin = \"webhook\"\nconfig = {{ url = {:?} }}\n", receiver.url(&format!("/{}", one.name)))
            }
        };
        config.push_str(&format!("[senders.{}]\n{settings}timeout = \"2s\"\nrate = \"1000/s\"\n", one.name));
    }
    config
}

/// Sends [`sends`] messages beside faulty destinations, then heals them.
#[track_caller]
fn check(faulty: &[Faulty], trusted: &str) {
    let (healthy, healed, mail) = (Receiver::start(), Receiver::start(), MailServer::start());
    let mut home = Home::with(&config(&healthy, faulty, None));
    if !trusted.is_empty() {
        let pem = home.path("trusted.pem").display().to_string();
        home = home.file("trusted.pem", trusted.as_bytes()).env("SSL_CERT_FILE", &pem);
    }
    let mag = home.start();
    for number in 1..=sends() {
        mag.takes(&classic(&[&format!("message {number}")]));
        // Told before the next one is sent: it did not wait for those whose destinations do not answer.
        healthy.request(number);
    }
    for one in faulty.iter().filter(|one| one.fate != Fate::AreTold) {
        mag.says(&format!("sender {} ", one.name));
    }
    let home = mag.stops();
    let attempts: Vec<_> = home.store().deliveries().into_iter().filter(|one| one.sender == "healthy").collect();
    assert_eq!(attempts.len(), sends());
    assert!(attempts.iter().all(|one| one.state == "delivered" && one.attempt == 1), "{attempts:#?}");
    for one in faulty.iter().filter(|one| one.fate == Fate::Wait) {
        let account = home.store().account("root", &one.name);
        assert_eq!((account.told, account.dead), (0, 0), "{}: nothing was taken, nothing is given up", one.name);
    }
    for one in faulty.iter().filter(|one| one.fate == Fate::AreTold) {
        assert!(home.store().account("root", &one.name).told > 0, "{}: nothing is told", one.name);
    }
    home.configure(&config(&healthy, faulty, Some((&healed, &mail))));
    home.store().let_the_waiting_be_over();
    let mag = home.start();
    wait_for("all that waited to be told", LIMIT, || Ok((mag.home().store().under_way() == 0).then_some(())))
        .unwrap_or_else(|error| panic!("{error}: {:#?}", mag.home().store().ledger()));
    let home = mag.stops();
    let sends = i64::try_from(sends()).expect("few");
    for one in faulty {
        let account = home.store().account("root", &one.name);
        assert_eq!((account.accepted, account.told + account.dead), (sends, sends), "{}", one.name);
        assert_eq!(account.dead > 0, one.fate == Fate::Die, "{}: {account:?}", one.name);
    }
    for dead in home.store().deliveries().iter().filter(|one| one.state == "dead") {
        assert!(dead.code.is_some() && dead.error.is_some(), "a dead letter without a reason: {dead:?}");
    }
}

#[test]
fn no_answer_hurts_more_than_its_own_sender() {
    check(&statuses(), "");
}

#[test]
fn no_broken_connection_hurts_more_than_its_own_sender() {
    let mut trusted = String::new();
    let faulty: Vec<_> = connections().into_iter().chain(encryption(&mut trusted)).collect();
    check(&faulty, &trusted);
}

#[test]
fn no_mail_server_hurts_more_than_its_own_sender() {
    let mut servers = Vec::new();
    check(&mails(&mut servers), "");
}

#[test]
fn a_pause_that_is_asked_for_is_kept_between_a_second_and_an_hour() {
    let soon = http_date(Duration::from_secs(600));
    let late = http_date(Duration::from_secs(30 * 24 * 3_600));
    let (second, hour) = (1_000, 3_600_000);
    // What is asked for, and the pause in milliseconds, at least and at most.
    let asked: Vec<(&str, Option<&str>, i64, i64)> = vec![
        ("nothing", None, second, second),
        ("seconds", Some("77"), 77 * second, 77 * second),
        ("zero", Some("0"), second, second),
        ("negative", Some("-5"), second, second),
        ("huge", Some("99999999999999999999"), hour, hour),
        ("junk", Some("when it suits you"), second, second),
        ("empty", Some(""), second, second),
        ("date", Some(&soon), 300 * second, 600 * second),
        ("past", Some("Sun, 06 Nov 1994 08:49:37 GMT"), second, second),
        ("far", Some(&late), hour, hour),
    ];
    for status in [429, 503] {
        let faulty = asked.iter().map(|(name, after, ..)| {
            let answer = Answer::status(status);
            let answer = after.map_or(answer.clone(), |after| answer.header("retry-after", after));
            answering(name, answer, Fate::Wait)
        });
        let faulty: Vec<_> = faulty.collect();
        let healthy = Receiver::start();
        let mag = Home::with(&config(&healthy, &faulty, None)).start();
        mag.takes(&ndjson(&["a"]));
        for one in &faulty {
            mag.says(&format!("sender {} ", one.name));
        }
        let pauses: BTreeMap<_, _> = mag.stops().store().pauses().into_iter().collect();
        for (name, _, least, most) in &asked {
            let pause = pauses.get(*name).copied().unwrap_or_default();
            // From the start of an attempt: that adds what the attempt took. Where nothing useful is asked for, attempts
            // that followed the first pause made it longer.
            let more = if *most == second { 120 * second } else { 60 * second };
            assert!((*least..=most + more).contains(&pause), "{status}, {name}: {pause} ms");
        }
    }
}

/// The time so far from now, as HTTP writes it.
fn http_date(ahead: Duration) -> String {
    let then = jiff::Timestamp::now().checked_add(ahead).expect("a time that a calendar has");
    then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
