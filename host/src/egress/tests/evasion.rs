//! The ways around an allow-list: whatever a plugin spells and whatever a name server answers, nobody reaches a canary
//! on this machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use reqwest::dns::Resolve;

use super::super::connect::{CheckedNames, Found, Names};
use super::*;

/// Answers each look-up with the next list, the last one for ever.
#[derive(Debug, Default)]
struct Answers {
    lists: Mutex<Vec<Vec<SocketAddr>>>,
    asked: AtomicUsize,
}

impl Answers {
    fn new(lists: &[&[&str]]) -> Arc<Self> {
        let list = |list: &&[&str]| list.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
        Arc::new(Self { lists: Mutex::new(lists.iter().map(list).rev().collect()), asked: AtomicUsize::new(0) })
    }
}

impl Names for Answers {
    fn addresses(&self, _name: String) -> Found {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut lists = self.lists.lock().unwrap();
        let next = if lists.len() > 1 { lists.pop().unwrap() } else { lists[0].clone() };
        Box::pin(async move { Ok::<_, io::Error>(next) })
    }
}

/// Listens on all addresses of this machine and counts who comes.
async fn canary() -> (u16, Arc<AtomicUsize>) {
    // Also what comes over IPv6, where there is any.
    let listener = match TcpListener::bind("[::]:0").await {
        Ok(both) => both,
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap(),
    };
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, count)
}

/// Nobody came before us.
async fn is_untouched(port: u16, count: &AtomicUsize) {
    assert_eq!(count.load(Ordering::SeqCst), 0);
    drop(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("the canary listens"));
    while count.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(count.load(Ordering::SeqCst), 1, "somebody reached the canary");
}

/// Authorities of this machine, of private networks, and of what looks like another host; `{p}` is the canary's port.
const AUTHORITIES: [&str; 142] = [
    "127.0.0.1:{p}",
    "127.0.0.1.:{p}",
    "127.1:{p}",
    "127.1.:{p}",
    "127.0.1:{p}",
    "2130706433:{p}",
    "2130706433.:{p}",
    "0x7f000001:{p}",
    "0X7F000001:{p}",
    "0x7f.1:{p}",
    "0x7f.0.1:{p}",
    "0x7f.0.0.1:{p}",
    "0x7f.0x0.0x0.0x1:{p}",
    "0x07f.0x00.0x0.0x01:{p}",
    "0177.0.0.1:{p}",
    "0177.1:{p}",
    "0177.0x0.0.1:{p}",
    "00000177.0.0.1:{p}",
    "017700000001:{p}",
    "127.0.0.01:{p}",
    "127.0.0.0x1:{p}",
    "127.00.00.01:{p}",
    "127.0x000001:{p}",
    "127.0.0.2:{p}",
    "127.127.127.127:{p}",
    "127.255.255.254:{p}",
    "0.0.0.0:{p}",
    "0.0.0.0.:{p}",
    "0:{p}",
    "0.:{p}",
    "00:{p}",
    "0x0:{p}",
    "0.0:{p}",
    "0.0.0:{p}",
    "0.0.0.1:{p}",
    "10.0.0.1:{p}",
    "10.1:{p}",
    "167772161:{p}",
    "012.0.0.1:{p}",
    "0xa.1:{p}",
    "172.16.0.1:{p}",
    "172.31.255.254:{p}",
    "192.168.0.1:{p}",
    "192.168.1:{p}",
    "0300.0250.0.1:{p}",
    "0xc0a80001:{p}",
    "169.254.169.254:{p}",
    "169.254.43518:{p}",
    "2852039166:{p}",
    "0xa9fea9fe:{p}",
    "0251.0376.0251.0376:{p}",
    "100.64.0.1:{p}",
    "192.0.0.8:{p}",
    "192.0.2.1:{p}",
    "192.88.99.1:{p}",
    "198.18.0.1:{p}",
    "198.51.100.1:{p}",
    "203.0.113.1:{p}",
    "224.0.0.1:{p}",
    "239.255.255.255:{p}",
    "240.0.0.1:{p}",
    "255.255.255.255:{p}",
    "4294967295:{p}",
    "[::1]:{p}",
    "[::]:{p}",
    "[0:0:0:0:0:0:0:1]:{p}",
    "[0000:0000:0000:0000:0000:0000:0000:0001]:{p}",
    "[::0001]:{p}",
    "[::ffff:127.0.0.1]:{p}",
    "[::FFFF:127.0.0.1]:{p}",
    "[::ffff:7f00:1]:{p}",
    "[0:0:0:0:0:ffff:7f00:0001]:{p}",
    "[::ffff:0:127.0.0.1]:{p}",
    "[::ffff:169.254.169.254]:{p}",
    "[::ffff:10.0.0.1]:{p}",
    "[::127.0.0.1]:{p}",
    "[::7f00:1]:{p}",
    "[64:ff9b::127.0.0.1]:{p}",
    "[64:ff9b::7f00:1]:{p}",
    "[64:ff9b:1::7f00:1]:{p}",
    "[2002:7f00:1::]:{p}",
    "[2002:7f00:0001::1]:{p}",
    "[2001:0:7f00:1::]:{p}",
    "[100::1]:{p}",
    "[2001:db8::1]:{p}",
    "[3fff::1]:{p}",
    "[fc00::1]:{p}",
    "[fd00:ec2::254]:{p}",
    "[fe80::1]:{p}",
    "[fec0::1]:{p}",
    "[ff02::1]:{p}",
    "[::1%25lo]:{p}",
    "[::1%lo]:{p}",
    "[fe80::1%25eth0]:{p}",
    "[fe80::1%1]:{p}",
    "[v1.127.0.0.1]:{p}",
    "[127.0.0.1]:{p}",
    "localhost:{p}",
    "LOCALHOST:{p}",
    "LocalHost.:{p}",
    "localhost.localdomain:{p}",
    "a.localhost:{p}",
    "ip6-localhost:{p}",
    "127.0.0.1.nip.example:{p}",
    "rebind.example:{p}",
    "127\u{3002}0\u{3002}0\u{3002}1:{p}",
    "127\u{ff0e}0\u{ff0e}0\u{ff0e}1:{p}",
    "127\u{ff61}0\u{ff61}0\u{ff61}1:{p}",
    "\u{ff11}\u{ff12}\u{ff17}.0.0.1:{p}",
    "\u{2460}\u{2461}\u{2466}.0.0.1:{p}",
    "\u{1d7cf}\u{1d7d0}\u{1d7d5}.0.0.1:{p}",
    "\u{661}\u{662}\u{667}.0.0.1:{p}",
    "\u{967}\u{968}\u{96d}.0.0.1:{p}",
    "0\u{1d4cd}7f.1:{p}",
    "\u{24db}ocalhost:{p}",
    "\u{ff4c}\u{ff4f}\u{ff43}\u{ff41}\u{ff4c}host:{p}",
    "local\u{ad}host:{p}",
    "local\u{200b}host:{p}",
    "local\u{2060}host:{p}",
    "%31%32%37.0.0.1:{p}",
    "127%2e0%2e0%2e1:{p}",
    "127%E3%80%820.0.1:{p}",
    "%6cocalhost:{p}",
    "127.0.0.1\t:{p}",
    "127.\n0.0.1:{p}",
    "user@127.0.0.1:{p}",
    "user:password@127.0.0.1:{p}",
    ":@127.0.0.1:{p}",
    "@127.0.0.1:{p}",
    "allowed.example@127.0.0.1:{p}",
    "allowed.example:80@127.0.0.1:{p}",
    "allowed.example@x@127.0.0.1:{p}",
    "allowed.example%40127.0.0.1:{p}",
    "allowed.example\\@127.0.0.1:{p}",
    "allowed.example%5c@127.0.0.1:{p}",
    "allowed.example:{p}",
    "allowed.example.:{p}",
    "ALLOWED.example:{p}",
    "allowed.example:0{p}",
    "allowed.example:{p}#",
    "127.0.0.1:{p}\\@allowed.example",
    "127.0.0.1:{p}%23@allowed.example",
];

/// Whole URLs that are not `SCHEME://AUTHORITY/`.
const URLS: [&str; 20] = [
    "http:127.0.0.1:{p}/",
    "http:/127.0.0.1:{p}/",
    "http:///127.0.0.1:{p}/",
    "http:////127.0.0.1:{p}/",
    "http:\\\\127.0.0.1:{p}/",
    "http:/\\127.0.0.1:{p}/",
    "ht\ttp://127.0.0.1:{p}/",
    "  http://127.0.0.1:{p}/",
    "HTTP://127.0.0.1:{p}/",
    "https+http://127.0.0.1:{p}/",
    "ftp://127.0.0.1:{p}/",
    "ws://127.0.0.1:{p}/",
    "wss://127.0.0.1:{p}/",
    "gopher://127.0.0.1:{p}/",
    "unix://127.0.0.1:{p}/",
    "file://127.0.0.1:{p}/",
    "blob:http://127.0.0.1:{p}/",
    "javascript://127.0.0.1:{p}/",
    "data:text/plain,127.0.0.1:{p}",
    "//127.0.0.1:{p}/",
];

/// The first and the last address of each network that nobody reaches unless the operator typed the host.
const ENDS_OF_NETWORKS: [&str; 58] = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.0",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.88.99.0",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:ffff",
    "::ffff:0:0",
    "::ffff:8.8.8.8",
    "::ffff:ffff:ffff",
    "::ffff:0:7f00:1",
    "64:ff9b::",
    "64:ff9b::ffff:ffff",
    "64:ff9b:1::",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "100::",
    "100::ffff:ffff:ffff:ffff",
    "2001::",
    "2001:0:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8::",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "2002::",
    "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "3fff::",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fc00::",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe80::",
    "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fec0::",
    "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "ff00::",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

fn urls(port: u16) -> Vec<String> {
    let authorities = AUTHORITIES.iter();
    let http = authorities.clone().map(|authority| format!("http://{authority}/latest/meta-data"));
    let https = authorities.map(|authority| format!("https://{authority}/"));
    let whole = URLS.iter().map(|url| (*url).to_owned());
    http.chain(https).chain(whole).map(|url| url.replace("{p}", &port.to_string())).collect()
}

/// Asks as a plugin asks, whose URL goes through `http::Uri`, and as a monitor does, whose URL does not.
async fn ask(client: &Client, url: &str) -> Vec<String> {
    let mut got = Vec::new();
    if let Ok(uri) = url.parse::<http::Uri>() {
        let mut request = http::Request::new(Bytes::new());
        *request.uri_mut() = uri;
        if let Ok(answer) = client.request(request, 100).await {
            got.push(format!("{url}: {}", answer.status()));
        }
    }
    if let Ok(parsed) = Url::parse(url)
        && let Ok(answer) = client.fetch(Fetch { url: parsed, ..get("http://a.example/") }).await
    {
        got.push(format!("{url}: {}", answer.status));
    }
    got
}

#[tokio::test]
async fn no_spelling_of_an_address_reaches_this_machine_from_a_plugin_that_was_granted_another_origin() {
    let (port, count) = canary().await;
    let mut got = Vec::new();
    for url in urls(port) {
        let mut grants = Grants::none();
        grants.typed(Origin::parse("https://allowed.example").unwrap());
        grants.typed(Origin::parse("http://allowed.example").unwrap());
        got.extend(ask(&Client::with_names(grants, Answers::new(&[&["127.0.0.1", "::1"]])), &url).await);
    }
    assert_eq!(got, Vec::<String>::new());
    is_untouched(port, &count).await;
}

#[tokio::test]
async fn no_spelling_of_an_address_reaches_this_machine_although_its_origin_is_granted_to_the_plugin() {
    let (port, count) = canary().await;
    let (mut got, mut granted) = (Vec::new(), 0);
    for url in urls(port) {
        let mut grants = Grants::none();
        if let Ok(origin) = Origin::parse(&url) {
            grants.declared(origin);
            granted += 1;
        }
        got.extend(ask(&Client::with_names(grants, Answers::new(&[&["127.0.0.1", "::1"]])), &url).await);
    }
    assert!(granted > 200, "only {granted} of them are origins at all");
    assert_eq!(got, Vec::<String>::new());
    is_untouched(port, &count).await;
}

#[tokio::test]
async fn a_name_whose_answer_turns_private_is_refused_at_that_look_up_and_looked_up_once_a_connection() {
    let (port, count) = canary().await;
    let mut grants = Grants::none();
    grants.declared(Origin::parse(&format!("http://rebind.example:{port}")).unwrap());
    let names = Answers::new(&[&["8.8.8.8"], &["127.0.0.1"], &["8.8.8.8"], &["::1"]]);
    let shared: Arc<dyn Names> = Arc::clone(&names) as Arc<dyn Names>;
    let checked = CheckedNames::new(&Arc::new(grants.clone()), &shared);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let addresses = checked.resolve("rebind.example".parse().unwrap()).await;
        seen.push(addresses.map(|found| found.map(|address| address.ip().to_string()).collect::<Vec<_>>()).ok());
    }
    assert_eq!(seen, [Some(vec!["8.8.8.8".to_owned()]), None, Some(vec!["8.8.8.8".to_owned()])]);
    let client = Client::with_names(grants, shared);
    let error = client.fetch(get(&format!("http://rebind.example:{port}/"))).await.unwrap_err();
    assert!(matches!(error, EgressError::Private(_)), "{error}");
    assert_eq!(names.asked.load(Ordering::SeqCst), 4, "one look-up for a connection, none after the check");
    is_untouched(port, &count).await;
}

#[tokio::test]
async fn a_name_that_the_operator_typed_is_connected_to_at_the_address_of_the_one_look_up() {
    let (port, count) = server(vec![answer("204 No Content", "")]).await;
    let url = format!("http://internal.example:{port}/");
    let mut grants = Grants::none();
    grants.typed(Origin::parse(&url).unwrap());
    let names = Answers::new(&[&["127.0.0.1"], &["203.0.113.1"]]);
    let client = Client::with_names(grants, Arc::clone(&names) as Arc<dyn Names>);
    assert_eq!(client.fetch(get(&url)).await.unwrap().status.as_u16(), 204);
    assert_eq!((count.load(Ordering::SeqCst), names.asked.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn every_refused_network_is_refused_as_an_answer_of_a_name_server_and_as_a_literal() {
    for address in ENDS_OF_NETWORKS {
        // An unmapped form of `::ffff:8.8.8.8` is a public address, and may be typed as one.
        let literal = if address.contains(':') { format!("http://[{address}]/") } else { format!("http://{address}/") };
        for url in ["http://name.example/".to_owned(), literal] {
            if address == "::ffff:8.8.8.8" && url.contains('[') {
                continue;
            }
            let mut grants = Grants::none();
            grants.declared(Origin::parse(&url).unwrap());
            let error = Client::with_names(grants, Answers::new(&[&[address]])).fetch(get(&url)).await.unwrap_err();
            assert!(matches!(error, EgressError::Private(_)), "{address} as {url}: {error}");
        }
    }
}

#[tokio::test]
async fn a_redirect_leads_nowhere_but_back_to_the_plugin() {
    let (canary, count) = canary().await;
    for location in [format!("http://127.0.0.1:{canary}/"), "http://169.254.169.254/latest/meta-data/".to_owned()] {
        for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
            let (port, _) = server(vec![answer(&format!("{status}\r\nlocation: {location}"), "")]).await;
            let url = format!("http://127.0.0.1:{port}/");
            let mut request = http::Request::new(Bytes::new());
            *request.uri_mut() = url.parse().unwrap();
            let answer = typed(&url).request(request, 100).await.unwrap();
            assert!(answer.status().is_redirection(), "{}", answer.status());
        }
    }
    is_untouched(canary, &count).await;
}

#[tokio::test]
async fn an_answer_that_switches_protocols_unasked_is_no_answer() {
    let (port, _) =
        server(vec!["HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n".to_owned()])
            .await;
    let url = format!("http://127.0.0.1:{port}/");
    assert!(typed(&url).fetch(Fetch { timeout: Duration::from_secs(60), ..get(&url) }).await.is_err());
}
