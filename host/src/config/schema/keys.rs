//! Every key of `mag.toml`, section by section: the first one is the file itself.

use super::Kind::{Count, Duration, Free, Many, Named, One, Size, Text, TextOr, TextTable, Texts, Truth, Word};
use super::{Key, Section, key};

const fn section(name: &'static str, keys: &'static [Key]) -> Section {
    Section { name, keys, one_of: &[] }
}

pub(super) const SECTIONS: &[Section] = &[
    section("", FILE),
    section("listen", LISTEN),
    section("tls", CERTIFICATE),
    section("store", STORE),
    section("admin", ADMIN),
    section("route", ROUTE),
    section("child", CHILD),
    section("sender", SENDER),
    section("plugin", PLUGIN),
    section("sender_limits", SENDER_LIMITS),
    section("smtp", SMTP),
    Section { name: "sender_secret", keys: SENDER_SECRET, one_of: SECRET_SOURCES },
    Section { name: "secret", keys: SECRET, one_of: SECRET_SOURCES },
    section("monitor", MONITOR),
    section("token_refresh", TOKEN_REFRESH),
    section("limits", LIMITS),
    section("alerts", ALERTS),
    section("log", LOG),
    section("reload", RELOAD),
];

const FILE: &[Key] = &[
    key("listen", Many("listen"), "Where messages come in"),
    key("store", One("store"), "The database"),
    key("admin", One("admin"), "Where a running mag can be looked at; without it, nowhere"),
    key("route", One("route"), "The root route: it takes every message"),
    key("senders", Named("sender"), "Who can be told; without it, the console"),
    key("monitors", Named("monitor"), "HTTP endpoints that are polled and become messages"),
    key("limits", One("limits"), "Bounds"),
    key("alerts", One("alerts"), "Alerts of Prometheus and other clients of Alertmanager's API"),
    key("log", One("log"), "How mag speaks about itself, on standard error"),
    key("reload", One("reload"), "When a running mag reads this file again by itself"),
];

const LISTEN: &[Key] = &[
    key("address", Text, "HOST:PORT, udp:HOST:PORT, unix:PATH, unixgram:PATH, or systemd:NAME for a socket that the service manager gives")
        .required(),
    key(
        "protocol",
        Word(&["auto", "classic", "ndjson", "http", "syslog", "relp", "forward", "gelf"]),
        "auto: told apart by the first bytes",
    )
    .or(r#""auto""#),
    key("tls", One("tls"), "TLS on this port; the files are read again when they change"),
    key("token", One("secret"), "What HTTP requests must bring, as Authorization: Bearer TOKEN"),
    key("shared_key", One("secret"), "What clients of Fluent Forward must have as their shared key; only with protocol = \"forward\""),
    key("labels", TextTable, "Labels for every message that comes in here and does not have them"),
    key("allow", Texts, "Networks or addresses whose peers may connect; without it, all"),
    key("trust_proxy", Truth, "Every connection begins with a PROXY header, version 1 or 2, that says who the peer is")
        .or("false"),
];

const CERTIFICATE: &[Key] = &[
    key("cert", Text, "PEM file, the server's own certificate first").required(),
    key("key", Text, "PEM file").required(),
    key("client_ca", Text, "PEM file: clients must show a certificate of these; without it, none"),
];

const STORE: &[Key] = &[
    key("path", Text, "The file, relative to this one, or \":memory:\", which keeps nothing").or(r#""mag.db""#),
    key("keep", Duration, "How long what was told stays to be looked at").or(r#""30d""#),
    key("ids", Count(1), "How many ids of messages are remembered, so that one that is sent again is counted once")
        .or("1000000"),
    key("ids_keep", Duration, "For how long").or(r#""24h""#),
    key(
        "on_damage",
        Word(&["refuse", "replace"]),
        "Whether mag refuses to start with a damaged store, or moves it aside and begins a new one",
    )
    .or(r#""refuse""#),
];

const ADMIN: &[Key] = &[key("address", Text, "HOST:PORT, only on the loopback").or(r#""127.0.0.1:3051""#)];

const GROUP_BY: Key =
    key("group_by", Texts, "Messages with equal fields count together: kind, text, severity, source, labels.NAME");
const MAX_MESSAGES: Key = key("max_messages", Count(1), "A group that reaches this is told at once");
const TIME_LIMIT: Key =
    key("time_limit", Duration, "Else all open groups together, this long after the first one opened");
const SENDERS: Key = key("senders", Texts, "Who is told; an empty list counts and tells nobody");
const FLUSH_ON_STOP: Key =
    key("flush_on_stop", Truth, "Tell open groups when mag stops, instead of going on at the next start");
const ROUTES: Key = key("routes", Many("child"), "Routes below: the first one that matches takes a message");

const ROUTE: &[Key] = &[
    GROUP_BY.or(r#"["kind", "text"]"#),
    MAX_MESSAGES.or("30"),
    TIME_LIMIT.or(r#""30s""#),
    SENDERS,
    FLUSH_ON_STOP.or("false"),
    ROUTES,
];

const CHILD: &[Key] = &[
    key("name", Text, "What the route is called across restarts; else its matchers"),
    key("match", Texts, "Matchers, all of which must hold: = != =~ !~ on kind, severity, source, text and labels"),
    key("continue", Truth, "Whether later routes beside this one are asked too").or("false"),
    GROUP_BY,
    MAX_MESSAGES,
    TIME_LIMIT,
    SENDERS,
    FLUSH_ON_STOP,
    ROUTES,
];

const SENDER: &[Key] = &[
    key(
        "plugin",
        TextOr("plugin"),
        "A bundled one, as console or slack, or the path of a component: \"./my.wasm\", or a path and the hash of its file",
    )
    .required(),
    key("config", Free, "What the plugin wants; `mag check` knows. ${secret:NAME} stands for a secret"),
    key("secrets", Named("sender_secret"), "Values that the plugin never sees, by name"),
    key("timeout", Duration, "One attempt, at most 60s").or(r#""10s""#),
    key(
        "rate",
        Text,
        "Attempts: N/s, N/m or N/h; webhook 10/s, other bundled ones 10/m to 1/s, console unlimited, others 1/s",
    ),
    key("burst", Count(1), "Attempts that may follow each other at once").or("5"),
    key("concurrency", Count(1), "Attempts under way at a time").or("1"),
    key("give_up_after", Duration, "How long a notification is tried before it is a dead letter").or(r#""24h""#),
    key(
        "style",
        Word(&["digest", "living"]),
        "All groups in one notification, or one message a group that is kept up to date",
    )
    .or(r#""digest""#),
    key("repeat_after", Duration, "With style = \"living\": after this long a new message is posted, 24h unless given"),
    key("fallback", Text, "The sender that tells what this one cannot"),
    key("fallback_after", Duration, "With fallback: after this long without a delivery, 5m unless given"),
    key("allow", Texts, "Origins that the plugin may reach beyond those in its config"),
    key("allow_private", Truth, "Whether it may reach private addresses behind names that were not typed here")
        .or("false"),
    key("smtp", One("smtp"), "The server for a plugin that sends mail"),
    key("limits", One("sender_limits"), "How far one call of the plugin may go"),
];

const SENDER_LIMITS: &[Key] = &[
    key("offline_timeout", Duration, "describe and validate, which have no network: each in all, 10ms to 10s")
        .or(r#""1s""#),
    key("offline_cpu", Duration, "Of it, computing, 10ms to 10s").or(r#""1s""#),
    key("prepare_timeout", Duration, "One prepare in all, 10ms to 10m").or(r#""60s""#),
    key("prepare_cpu", Duration, "Of it, computing, 10ms to 10m").or(r#""5s""#),
    key("cpu", Duration, "Computing in one send, 10ms to 60s; in all it has the sender's timeout").or(r#""2s""#),
    key("memory", Size, "Memory of one call, 1MiB to 1GiB").or(r#""128MiB""#),
    key("tables", Count(1), "Elements of its tables, 1 to 1000000").or("200000"),
    key("instances", Count(1), "Core modules inside the component, 1 to 256").or("64"),
    key("resources", Count(16), "Requests, bodies and streams that it holds at a time, 16 to 4096").or("256"),
    key("transfer", Size, "What one step moves out of the plugin, 64KiB to 64MiB").or(r#""4MiB""#),
    key("requests", Count(0), "HTTP requests and mails of one send, 0 to 256").or("8"),
    key("prepare_requests", Count(0), "HTTP requests of one prepare, 0 to 1024").or("64"),
    key("requests_at_once", Count(1), "Of them under way at a time, 1 to 64").or("8"),
    key("headers", Count(1), "Header fields of one request, 1 to 256").or("64"),
    key("header_size", Size, "Their names and values, 1KiB to 256KiB").or(r#""32KiB""#),
    key("request_size", Size, "The body of one request, 1KiB to 16MiB").or(r#""1MiB""#),
    key(
        "answer_timeout",
        Duration,
        "From a request to the end of its answer, 1ms to 10m; without it, what the call has",
    ),
    key("answer_size", Size, "The body of one answer in a send, 1KiB to 16MiB").or(r#""256KiB""#),
    key("prepare_answer_size", Size, "The body of one answer in a prepare, 1KiB to 64MiB").or(r#""4MiB""#),
    key("log_size", Size, "What one call may write into the log, 1KiB to 1MiB; the rest is cut").or(r#""16KiB""#),
    key("log_lines", Count(1), "Lines of it, 1 to 10000").or("200"),
    key("state", Size, "What prepare may give back, 1B to 1MiB").or(r#""64KiB""#),
    key("receipt", Size, "What a notification may leave behind, 1B to 64KiB").or(r#""4KiB""#),
];

const PLUGIN: &[Key] = &[
    key("path", Text, "The path of a component").required(),
    key("sha256", Text, "The hash that its file must have, as sha256sum prints it").required(),
];

const SMTP: &[Key] = &[
    key("url", Text, "smtps://HOST or smtp://HOST, with a port if it is not the usual one").required(),
    key("username", Text, "The name to log in with; the password is secrets.smtp_password"),
    key(
        "tls",
        Word(&["auto", "required", "none"]),
        "auto: smtps is TLS; smtp with a user needs STARTTLS, else takes it",
    )
    .or(r#""auto""#),
];

const SECRET_SOURCES: &[&str] = &["env", "file", "credential", "command"];
const ENV: Key = key("env", Text, "The environment variable that holds it");
const SECRET_FILE: Key = key("file", Text, "The file that holds it, relative to this one; read again when it changes");
const CREDENTIAL: Key = key("credential", Text, "The credential of the service manager that holds it");
const COMMAND: Key = key("command", Texts, "The program that prints it, and what that is given");
const REFRESH: Key =
    key("refresh", Duration, "With command: after so long, 10s or more, it is run again; else at a start only");

const SECRET: &[Key] = &[ENV, SECRET_FILE, CREDENTIAL, COMMAND, REFRESH];

const SENDER_SECRET: &[Key] = &[
    ENV,
    SECRET_FILE,
    CREDENTIAL,
    COMMAND,
    REFRESH,
    key(
        "in",
        Texts,
        "Where it may stand in a request: path, query, header, body, basic, sign; without it, not in bodies",
    ),
    key("origins", Texts, "Origins that it may go to, of those that the sender may reach; without it, see the README"),
];

const MONITOR: &[Key] = &[
    key("url", Text, "What is polled; ${secret:NAME} may stand in its path and its query").required(),
    key("headers", TextTable, "Sent with each poll; ${secret:NAME} stands for a secret"),
    key("secrets", Named("secret"), "Values for the headers, by name"),
    key("interval", Duration, "Between two polls").or(r#""5m""#),
    key("keep", Count(2), "Snapshots compared").or("3"),
    key("items", Text, "JSON pointer to the list").required(),
    key("id", Text, "JSON pointer inside an item").required(),
    key("value", Text, "JSON pointer inside an item, to a number").required(),
    key("alert_if", Text, "\"delta < 1000\", of the sum over the ids that this poll and the one before share")
        .required(),
    key("text", Text, "The message, with {delta} and {seconds}").required(),
    key("token_refresh", One("token_refresh"), "How secrets.token is renewed"),
];

const TOKEN_REFRESH: &[Key] = &[
    key("url", Text, "Gets a POST of {\"token\": old}, answers {\"token\": new}").required(),
    key("every", Duration, "How often").required(),
];

const LIMITS: &[Key] = &[
    key("connections", Count(1), "Connections at a time; more are closed at once").or("10000"),
    key("connections_per_address", Count(1), "Connections of one address but the loopback; more are closed at once")
        .or("256"),
    key("idle_timeout", Duration, "A connection that sends nothing for this long is closed; without it, none"),
    key("line", Size, "A longer classic text is cut; at most 64KiB").or(r#""64KiB""#),
    key("groups", Count(1), "Open groups; what would open more is counted together, and says so").or("100000"),
    key("groups_per_source", Count(1), "Of those, open groups of one source; more of it are counted together"),
    key("queue", Count(1), "Groups that wait for one sender; more count together, in one entry a route").or("100000"),
    key("in_flight", Size, "What all connections together have read and not counted; 16MiB or more").or(r#""128MiB""#),
    key("alerts", Count(1), "Alerts that fire at a time; more count each time they are posted").or("10000"),
    key("store", Size, "The database file; when it is this large mag behaves as on a full disk; 1MiB or more"),
];

const ALERTS: &[Key] = &[key(
    "resolve_timeout",
    Duration,
    "An alert whose client names no end is over this long after it was last posted",
)
.or(r#""5m""#)];

const LOG: &[Key] = &[
    key("format", Word(&["text", "json"]), "For people or for programs").or(r#""text""#),
    key("level", Text, "error, warn, info, debug or trace").or(r#""info""#),
];

const RELOAD: &[Key] = &[key(
    "watch",
    Truth,
    "Whether it does so when this file or a plugin's file changes; else `mag reload` or SIGHUP says when",
)
.or("false")];
