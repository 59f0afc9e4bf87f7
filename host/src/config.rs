//! `mag.toml`, checked: what the rest of mag may rely on.
//!
//! Loading goes in two steps: what was typed, with a span for every key, then what it means. All mistakes of a
//! file come out in one run, each with file, line and column. Nothing else reads the file or the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::matcher::{Field, Matcher};

mod admin;
mod alerts;
mod command;
mod duration;
mod env;
mod fallback;
mod json;
mod limits;
mod listen;
mod live;
mod load;
mod locate;
mod lock;
mod log;
mod monitor;
mod monitor_url;
mod pin;
mod plugin_limits;
mod reload;
mod report;
mod route;
mod schema;
mod secret;
mod sender;
mod size;
mod smtp;
mod source;
mod store;
mod syntax;
mod typed;
mod values;

#[cfg(test)]
mod tests;

pub use live::LiveSecret;
pub use lock::{LockError, Locked};
pub use monitor_url::MonitorUrl;
pub use pin::Sha256;
pub use report::{Mistakes, Places};
pub use schema::schema;
pub use secret::{SecretCommand, SecretPlace, SecretSource, SecretValue, SenderSecret};
pub use sender::is_bundled;
pub use source::{Source, SourceError};
pub use values::{SecretValues, Values};

/// The environment: a variable's value by its name. Passed in, so that a test can have its own.
pub type Env<'e> = dyn Fn(&str) -> Option<String> + 'e;

/// Everything that a run of mag is told, after defaults, file and environment.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file as it was typed, for messages; `None` when mag runs on its shipped defaults.
    pub file: Option<PathBuf>,
    /// Where messages come in; at least one.
    pub listen: Vec<Listen>,
    /// The store.
    pub store: Store,
    /// Where mag can be looked at; `None`: nowhere.
    pub admin: Option<Admin>,
    /// The root route with all its children.
    pub route: Route,
    /// Every sender, by name.
    pub senders: Vec<Sender>,
    /// Every monitor, by name.
    pub monitors: Vec<Monitor>,
    /// Bounds that the operator may move.
    pub limits: Limits,
    /// How long alerts fire.
    pub alerts: Alerts,
    /// How mag logs.
    pub log: Log,
    /// When the config is read again.
    pub reload: Reload,
    /// Mistakes that harm nothing: a sender nobody uses, a variable that is no number. Printed at start.
    pub warnings: Vec<String>,
    /// Names of the environment variables that had an effect, never their values.
    pub from_env: Vec<String>,
    /// What places in messages are found by.
    pub places: Places,
}

/// One listening address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// As it was typed: `host:port`, resolved when it is bound, or `unix:PATH`.
    pub address: String,
    /// What is bound.
    pub socket: Socket,
    /// What is spoken there.
    pub protocol: Protocol,
    /// TLS, unless the bytes are plain.
    pub tls: Option<Certificate>,
    /// What HTTP requests must bring; on a port of Forward the key that both sides must have.
    pub token: Option<SecretSource>,
    /// Labels for every message that comes in there and does not have them.
    pub labels: Vec<(String, String)>,
    /// Whether every connection begins with a PROXY header that says who the peer is.
    pub trust_proxy: bool,
    /// Networks whose peers may connect; empty: all.
    pub allow: Vec<IpNet>,
    /// Where its `token` stands in the file, for whoever misses its value.
    pub place: usize,
}

/// What a `[[listen]]` binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    /// TCP, at the address.
    Tcp,
    /// A unix stream socket.
    Unix(PathBuf),
    /// Datagrams over UDP, at this host and port.
    Udp(String),
    /// Datagrams over a unix socket.
    UnixDatagram(PathBuf),
    /// What the service manager has bound, by its name or its number, from 0.
    Inherited(String),
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Whatever the first bytes say.
    #[default]
    Auto,
    /// The Go service's protocol.
    Classic,
    /// One JSON object a line.
    Ndjson,
    /// HTTP/1.1 and HTTP/2.
    Http,
    /// Syslog of either RFC.
    Syslog,
    /// RELP.
    Relp,
    /// GELF, ended by NUL.
    Gelf,
    /// Fluent Forward.
    Forward,
}

/// A certificate with its key, read again when the files change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The chain, PEM, the server's own first.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Whose certificates clients must show, PEM; nobody has to without it.
    pub client_ca: Option<PathBuf>,
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// `host:port`, on the loopback.
    pub address: String,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The database file; `None` for `:memory:`.
    pub path: Option<PathBuf>,
    /// How long what was told stays to be looked at.
    pub keep: Duration,
    /// Ids of messages that are remembered, so that one that is sent again is counted once.
    pub ids: usize,
    /// For how long.
    pub ids_keep: Duration,
    /// `on_damage`: whether a damaged file is moved aside and a new one begun; else mag does not start.
    pub replace_damaged: bool,
}

/// A route after inheritance: every value is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The identity: the `name`, else the canonical matchers from the root down; the root's is `root`.
    pub id: String,
    /// All of them must match; empty for the root.
    pub matchers: Vec<Matcher>,
    /// What makes messages the same one here.
    pub group_by: Vec<Field>,
    /// A window that reaches this closes at once.
    pub max_messages: u64,
    /// The route's clock.
    pub time_limit: Duration,
    /// Names of senders; empty: held by rule.
    pub senders: Vec<String>,
    /// Whether open windows are told when mag stops, instead of going on at the next start.
    pub flush_on_stop: bool,
    /// Whether later siblings are asked too when this one matched.
    pub r#continue: bool,
    /// Children, asked in order.
    pub routes: Vec<Route>,
}

/// Which component a sender runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// Embedded in the binary, by its name.
    Bundled(String),
    /// A file, resolved against the config file's folder.
    Path(PathBuf),
}

/// How often a destination may be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// How many…
    pub count: u32,
    /// …in this time.
    pub per: Duration,
}

/// `[senders.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sender {
    /// NAME.
    pub name: String,
    /// What it runs.
    pub plugin: Plugin,
    /// The hash that the plugin's file must have.
    pub pin: Option<Sha256>,
    /// What a person accepted of it, where there is a `mag.lock`.
    pub locked: Option<Locked>,
    /// `config`, as JSON, with `${secret:NAME}` still in it.
    pub config: serde_json::Value,
    /// By name.
    pub secrets: BTreeMap<String, SenderSecret>,
    /// One attempt may take this long.
    pub timeout: Duration,
    /// `None`: as often as there is something to tell.
    pub rate: Option<Rate>,
    /// Attempts that may follow each other at once.
    pub burst: u32,
    /// Attempts that may be under way together.
    pub concurrency: usize,
    /// How long a delivery is tried while mag runs.
    pub give_up_after: Duration,
    /// Set for `style = "living"`, to `repeat_after`: how long a message is kept up to date.
    pub living: Option<Duration>,
    /// Who tells what this sender cannot.
    pub fallback: Option<Fallback>,
    /// Origins granted beyond those in `config`.
    pub allow: Vec<String>,
    /// Whether private and local addresses may be reached.
    pub allow_private: bool,
    /// For the host's mail service.
    pub smtp: Option<Smtp>,
    /// How far its plugin may go.
    pub limits: PluginLimits,
    /// `FILE:LINE:COL` of its name, or the environment variable that made it: for messages about it.
    pub place: String,
}

/// `limits` of a sender: how far one call of its plugin may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    /// `describe` and `validate`, each: they have no network and only compute.
    pub offline_timeout: Duration,
    /// Of it, computing.
    pub offline_cpu: Duration,
    /// One `prepare` in all.
    pub prepare_timeout: Duration,
    /// Of it, computing.
    pub prepare_cpu: Duration,
    /// Computing in one `send`; how long it may take in all is the sender's `timeout`.
    pub send_cpu: Duration,
    /// All linear memories together.
    pub memory_bytes: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    /// Core modules inside the component.
    pub instances: usize,
    /// Handles that it may hold at a time: requests, bodies, streams.
    pub resources: usize,
    /// What one step may move out of the guest: what it hands to a function of the host, or gives back.
    pub transfer_bytes: usize,
    /// Requests and mails of one `send`.
    pub send_requests: u32,
    /// Requests and mails of one `prepare`.
    pub prepare_requests: u32,
    /// Of them under way at a time; one whose answer is not read to its end is.
    pub requests_at_once: u32,
    /// Header fields of one request.
    pub header_fields: usize,
    /// Their names and values.
    pub header_bytes: usize,
    /// The body of one request.
    pub request_bytes: usize,
    /// From a request to the end of its answer; `None`: as long as the call may take.
    pub answer_timeout: Option<Duration>,
    /// The body of one answer in a `send`.
    pub send_answer_bytes: usize,
    /// The body of one answer in a `prepare`.
    pub prepare_answer_bytes: usize,
    /// What one call may write into the log; what is longer is cut.
    pub log_bytes: usize,
    /// Lines of it.
    pub log_lines: usize,
    /// What `prepare` may give back.
    pub state_bytes: usize,
    /// What a notification that was told may leave behind, and what an attempt leaves for the next one.
    pub receipt_bytes: usize,
}

/// `fallback` of a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The other sender's name.
    pub sender: String,
    /// After so long without a delivery, though there was something to tell.
    pub after: Duration,
}

/// `smtp = { … }` of a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smtp {
    /// Whether TLS from the first byte (`smtps`).
    pub implicit_tls: bool,
    /// The server's name or address.
    pub host: String,
    /// 465, 587 or 25, unless given.
    pub port: u16,
    /// Login name; the password is `secrets.smtp_password`.
    pub username: Option<String>,
    /// Whether the connection must, may or may not be encrypted.
    pub tls: Tls,
}

/// `tls` of `smtp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// `smtps` is TLS; `smtp` with a user needs STARTTLS, without one takes it when offered.
    #[default]
    Auto,
    /// Fail without it.
    Required,
    /// Never.
    None,
}

/// `[monitors.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    /// NAME.
    pub name: String,
    /// What is fetched.
    pub url: MonitorUrl,
    /// Sent with each fetch; values may hold `${secret:NAME}`.
    pub headers: BTreeMap<String, String>,
    /// By name.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Between two fetches.
    pub interval: Duration,
    /// Snapshots compared; at least 2.
    pub keep: usize,
    /// JSON pointer to the array.
    pub items: String,
    /// JSON pointer inside an item.
    pub id: String,
    /// JSON pointer inside an item.
    pub value: String,
    /// When a message is made.
    pub alert_if: AlertIf,
    /// The message, with `{delta}` and `{seconds}`.
    pub text: String,
    /// How the secret `token` is renewed.
    pub token_refresh: Option<TokenRefresh>,
}

/// `delta OP NUMBER`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlertIf {
    /// How the sum's change is compared…
    pub op: Comparison,
    /// …with this.
    pub threshold: f64,
}

/// An operator of [`AlertIf`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

/// `token_refresh = { url, every }`.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRefresh {
    /// Gets a POST of `{"token": old}`, answers `{"token": new}`.
    pub url: MonitorUrl,
    /// How often.
    pub every: Duration,
}

/// `[alerts]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// An alert whose client names no end is over this long after it was last posted.
    pub resolve_timeout: Duration,
}

/// `[reload]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Whether a running mag reads the config again when its file or a plugin's file changes.
    pub watch: bool,
}

/// `[limits]`; sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Bytes of a classic line before it is cut.
    pub line: usize,
    /// Open groups at a time, on all routes together.
    pub groups: usize,
    /// Of those, open groups that messages of one source opened; `None`: any number.
    pub groups_per_source: Option<usize>,
    /// Groups that wait for one sender.
    pub queue: u64,
    /// Bytes that all connections together may have read and not counted, and as many that wait for their clients.
    pub in_flight: usize,
    /// Alerts that fire at a time; more count each time they are posted.
    pub alerts: usize,
    /// Bytes of the database file; `None`: as large as the disk allows.
    pub store: Option<u64>,
    /// Connections of one address at a time, unless it is the loopback.
    pub connections_per_address: usize,
    /// How long a connection may send nothing; `None`: for ever.
    pub idle_timeout: Option<Duration>,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Text for people or JSON for machines.
    pub json: bool,
    /// The least important level that is shown: error, warn, info, debug, trace.
    pub level: tracing::Level,
}
