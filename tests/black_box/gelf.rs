//! GELF as the handlers of `pygelf` send it, with the config of the README's table.

use serde_json::json;

use super::support::{Mag, Python, Receiver};

const PROGRAM: &str = r#"
import logging, os, pygelf
host, port = os.environ["MAG"].rsplit(":", 1)
handler = pygelf.HANDLER(host=host, port=int(port), site="eu", OPTIONS)
logging.getLogger().addHandler(handler)
for _ in range(3):
    logging.getLogger("shop.cart").error("disk full")
handler.close()
"#;

/// Tells a record by this handler, at the address of the port with such a prefix.
#[track_caller]
fn check(handler: &str, options: &str) {
    let Some(python) = Python::with("pygelf") else { return };
    let receiver = Receiver::start();
    let url = receiver.url("/");
    let mag = Mag::with(&format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n[[listen]]\naddress = \"udp:127.0.0.1:0\"\n\
         [route]\nmax_messages = 3\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    ));
    let said = mag.says("listening on udp:127.0.0.1:");
    let datagrams = said.rsplit("udp:").next().and_then(|rest| rest.split([',', ' ', '"']).next()).expect("an address");
    let address = if handler == "GelfUdpHandler" { datagrams.to_owned() } else { mag.address().to_string() };
    let program = PROGRAM.replace("HANDLER", handler).replace("OPTIONS", options);
    python.runs(&program, &[("MAG", &address)]);
    let group = &receiver.request(1).json()["groups"][0];
    assert_eq!((&group["text"], &group["count"]), (&json!("disk full"), &json!(3)));
    assert_eq!((&group["severity"], &group["labels"]["site"]), (&json!("error"), &json!("eu")));
    assert_ne!(group["source"], json!("127.0.0.1"), "the host that the message names");
    mag.stops();
}

#[test]
fn the_tcp_handler_of_pygelf_tells_its_records() {
    check("GelfTcpHandler", "");
}

#[test]
fn the_http_handler_of_pygelf_tells_its_records() {
    check("GelfHttpHandler", "compress=False");
}

#[test]
fn the_http_handler_of_pygelf_may_compress() {
    check("GelfHttpHandler", "compress=True");
}

#[test]
fn the_udp_handler_of_pygelf_tells_its_records() {
    check("GelfUdpHandler", "compress=False");
}

#[test]
fn the_udp_handler_of_pygelf_may_compress() {
    check("GelfUdpHandler", "compress=True");
}

#[test]
fn the_udp_handler_of_pygelf_may_cut_its_records_in_chunks() {
    check("GelfUdpHandler", "compress=False, chunk_size=100");
}
