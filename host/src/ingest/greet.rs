//! What a Forward port with a shared key does before the first chunk: both sides show that they have the key (protocol v1).
//!
//! Whoever has not is told so in the protocol's own words, and nothing of it is ever counted.

use std::time::Duration;

use sha2::{Digest as _, Sha512};
use subtle::ConstantTimeEq as _;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::carrier::Carrier;
use super::{Shared, connection};
use crate::config::SecretValue;
use crate::limits;
use crate::protocol::forward::greeting::{Answer, Nonce, answer, hello, pong};

/// How mag calls itself; a client takes its own name for a loop.
const OWN_NAME: &str = "mag";

/// Why a client is not let in.
enum Refused {
    /// It says by itself that it has another key.
    Stranger,
    Because(&'static str),
}

/// Greets whoever has connected; whether it may go on.
pub(super) async fn greet(carrier: &mut Carrier, peer: &str, shared: &Shared) -> bool {
    let Some(key) = shared.listener.door.key().await else { return true };
    let greeting = timeout(Duration::from_secs(limits::HANDSHAKE_SECONDS), exchange(carrier, &key));
    let greeted = tokio::select! {
        greeted = greeting => greeted.unwrap_or(Err(Refused::Because("its greeting took too long"))),
        () = shared.stop.cancelled() => return false,
    };
    let why = match greeted {
        Ok(()) => return true,
        Err(Refused::Stranger) => "it does not have the `shared_key` of this port",
        Err(Refused::Because(why)) => why,
    };
    shared.turned_away(&peer, &why);
    if let Some(socket) = carrier.tcp() {
        super::end_in_order(&socket);
    }
    connection::linger(carrier, connection::patience(shared)).await;
    false
}

async fn exchange(carrier: &mut Carrier, key: &SecretValue) -> Result<(), Refused> {
    let mut nonce = Nonce::default();
    getrandom::fill(&mut nonce).expect("the system has a source of random numbers, TLS needs one too");
    let patience = Duration::from_secs(limits::HANDSHAKE_SECONDS);
    let gone = |_| Refused::Because("it left during the greeting");
    carrier.write_all_within(&hello(&nonce), patience).await.map_err(gone)?;
    let mut came = Vec::new();
    loop {
        match answer(&came) {
            Answer::Short => {}
            Answer::Broken => return Err(Refused::Because("what it says is no greeting with a shared key")),
            Answer::Whole(used, ping) => {
                let show = |name: &[u8]| proof(&[ping.salt, name, &nonce, key.0.as_bytes()]);
                let is_known = bool::from(show(ping.name).as_bytes().ct_eq(ping.proof));
                let own = is_known.then(|| show(OWN_NAME.as_bytes()));
                carrier.write_all_within(&pong(OWN_NAME, own.as_deref()), patience).await.map_err(gone)?;
                carrier.unread(came.get(used..).unwrap_or_default());
                return if is_known { Ok(()) } else { Err(Refused::Stranger) };
            }
        }
        if carrier.read_buf(&mut came).await.map_err(gone)? == 0 {
            return Err(Refused::Because("it left during the greeting"));
        }
    }
}

/// SHA-512 of all of it, in hex digits.
fn proof(parts: &[&[u8]]) -> String {
    let hash = parts.iter().fold(Sha512::new(), |hash, part| hash.chain_update(part)).finalize();
    hash.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
