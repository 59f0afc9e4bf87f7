//! Variables that send programs through a proxy: mag reads none of them. A proxy looks names up itself, so nothing would
//! be known of the address that is really reached.

use std::io::ErrorKind;
use std::net::TcpListener;

use super::support::{Answer, Home, Receiver, classic};

const VARIABLES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

#[test]
fn no_plugin_and_no_monitor_goes_through_a_proxy_that_the_environment_names() {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy_url = format!("http://{}", proxy.local_addr().expect("its address"));
    let receiver = Receiver::answering(|request| match request.method.as_str() {
        "GET" => Answer::json(&serde_json::json!([])),
        _ => Answer::status(200),
    });
    let config = format!(
        "[route]\nmax_messages = 1\nsenders = [\"here\", \"nowhere\", \"safe\"]\n\
         [senders.here]\nplugin = \"webhook\"\nconfig = {{ url = \"{}\" }}\n\
         [senders.nowhere]\nplugin = \"webhook\"\nconfig = {{ url = \"http://mag-has-no.invalid/\" }}\n\
         [senders.safe]\nplugin = \"webhook\"\nconfig = {{ url = \"https://mag-has-none.invalid/\" }}\n\
         [monitors.numbers]\nurl = \"{}\"\nitems = \"\"\nid = \"/id\"\nvalue = \"/n\"\nalert_if = \"delta < 0\"\n\
         text = \"x\"\ninterval = \"1s\"\n",
        receiver.url("/hook"),
        receiver.url("/numbers"),
    );
    let home = VARIABLES.iter().fold(Home::with(&config), |home, name| home.env(name, &proxy_url));
    let mag = home.start();
    mag.takes(&classic(&["disk full"]));
    for path in ["/hook", "/numbers"] {
        receiver.gets(path, |all| all.iter().any(|request| request.target == path).then_some(()));
    }
    // A proxy would have looked these names up, and been asked for both.
    mag.says("sender nowhere (plugin webhook");
    mag.says("sender safe (plugin webhook");
    mag.stops();
    proxy.set_nonblocking(true).expect("a socket");
    let came = proxy.accept().map(|(_, from)| from).map_err(|error| error.kind());
    assert_eq!(came, Err(ErrorKind::WouldBlock), "somebody connected to the proxy");
}
