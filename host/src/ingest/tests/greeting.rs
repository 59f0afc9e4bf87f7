//! Forward with a shared key: a client that follows the protocol's text, and such as do not.

use sha2::{Digest as _, Sha512};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::counts;
use super::harness::{Mag, settings, soon, start_as, trickle};
use crate::config::{Protocol, SecretValue};
use crate::ingest::Door;

/// What is said before and behind the nonce of a HELO.
const HELLO: (&[u8], &[u8]) =
    (b"\x92\xd9\x04HELO\x83\xd9\x05nonce\xc4\x10", b"\xd9\x04auth\xc4\x00\xd9\x09keepalive\xc3");
/// One message with a chunk to be acknowledged, and how that is done.
const CHUNK: &[u8] = b"\x94\xa3app\x05\x81\xa3log\xa9disk full\x81\xa5chunk\xa2c1";
const ACK: &[u8] = b"\x81\xdb\x00\x00\x00\x03ack\xdb\x00\x00\x00\x02c1";

async fn guarded() -> Mag {
    let key = Some(SecretValue("s3cret".to_owned()).into());
    start_as(settings(), |listener| {
        listener.door = Door::new(key);
        listener.protocol = Protocol::Forward;
    })
    .await
}

async fn hears(client: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut heard = vec![0; bytes];
    soon(client.read_exact(&mut heard)).await.unwrap();
    heard
}

/// Connects, and gives back the nonce that is said.
async fn greeted(mag: &Mag) -> (TcpStream, Vec<u8>) {
    let mut client = mag.connect().await;
    let said = hears(&mut client, HELLO.0.len() + 16 + HELLO.1.len()).await;
    let nonce = said.strip_prefix(HELLO.0).and_then(|said| said.strip_suffix(HELLO.1)).expect("a HELO");
    (client, nonce.to_vec())
}

/// SHA-512 as the protocol wants it: the salt, a name, the nonce, the key.
fn proof(name: &str, nonce: &[u8], key: &str) -> String {
    let hash = Sha512::new().chain_update(b"salt").chain_update(name).chain_update(nonce).chain_update(key).finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ping(nonce: &[u8], key: &str) -> Vec<u8> {
    [&b"\x96\xa4PING\xa5web-1\xc4\x04salt\xd9\x80"[..], proof("web-1", nonce, key).as_bytes(), b"\xa0\xa0"].concat()
}

#[tokio::test]
async fn who_has_the_key_is_told_that_mag_has_it_too_and_goes_on() {
    let mag = guarded().await;
    let (mut client, nonce) = greeted(&mag).await;
    // What comes right behind the greeting is not lost.
    client.write_all(&[ping(&nonce, "s3cret"), CHUNK.to_vec()].concat()).await.unwrap();
    let pong =
        [&b"\x95\xd9\x04PONG\xc3\xd9\x00\xd9\x03mag\xd9\x80"[..], proof("mag", &nonce, "s3cret").as_bytes()].concat();
    assert_eq!(hears(&mut client, pong.len()).await, pong);
    assert_eq!(hears(&mut client, ACK.len()).await, ACK);
    client.write_all(CHUNK).await.unwrap();
    assert_eq!(hears(&mut client, ACK.len()).await, ACK);
    assert_eq!(mag.engine.counts(), counts(&[("disk full", 2)]));
    let (_other, second) = greeted(&mag).await;
    assert_ne!(nonce, second, "what one client answered helps no other");
}

#[tokio::test]
async fn who_has_another_key_is_told_so_and_nothing_of_it_is_counted() {
    let mag = guarded().await;
    let (mut client, nonce) = greeted(&mag).await;
    client.write_all(&[ping(&nonce, "other"), CHUNK.to_vec()].concat()).await.unwrap();
    let mut told = Vec::new();
    soon(client.read_to_end(&mut told)).await.unwrap();
    assert_eq!(told, b"\x95\xd9\x04PONG\xc2\xd9\x13shared_key mismatch\xd9\x00\xd9\x00");
    assert_eq!((mag.engine.total(), mag.counted(|c| &c.refused_connections)), (0, 1));
}

#[tokio::test]
async fn who_does_not_greet_is_turned_away() {
    let mag = guarded().await;
    let long = [&b"\x96\xa4PING\xdb\x00\x10\x00\x00"[..], &[b'x'; 5_000]].concat();
    for (number, said) in (1..).zip([CHUNK, b"GET / HTTP/1.1\r\n\r\n", &long, b"\x96\xa4PIN"]) {
        let (mut client, _nonce) = greeted(&mag).await;
        client.write_all(said).await.unwrap();
        client.shutdown().await.unwrap();
        let mut told = Vec::new();
        // Who sends on and on may see a reset.
        drop(soon(client.read_to_end(&mut told)).await);
        assert_eq!((told, mag.counted(|c| &c.refused_connections)), (Vec::new(), number));
    }
    assert_eq!(mag.engine.total(), 0);
}

#[tokio::test]
async fn a_greeting_must_be_whole_soon() {
    let mag = guarded().await;
    let (client, nonce) = greeted(&mag).await;
    let told = trickle(client, ping(&nonce, "s3cret").chunks(1)).await;
    assert_eq!((told, mag.engine.total(), mag.counted(|c| &c.refused_connections)), (Vec::new(), 0, 1));
}
