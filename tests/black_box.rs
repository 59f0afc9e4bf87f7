//! Tests that start the real binary, on a free port and in a folder of its own, and look at it only from outside:
//! what it prints, what it answers, what its receivers get, and what stands in its database once it has stopped.
//!
//! They wait for conditions with a generous limit, never for time to pass.

#[cfg(test)]
mod black_box {
    mod support;

    mod admin;
    mod alertmanager;
    mod backup;
    mod check;
    mod classic;
    mod cloudevents;
    mod conformance;
    mod console;
    mod counts;
    mod crash;
    mod digest;
    mod dlq;
    mod email;
    mod environment;
    mod fallback;
    mod faults;
    mod forward;
    mod full_disk;
    mod gelf;
    mod help;
    mod hostile;
    mod http;
    mod ids;
    mod inspect;
    mod kill_loop;
    mod kits;
    mod limits;
    mod lock;
    mod monitor;
    mod ndjson;
    mod otlp;
    mod pipes;
    mod plugins;
    mod ports;
    mod proxy;
    mod readme;
    mod reload;
    mod reload_keys;
    mod reload_order;
    mod secrets;
    mod send;
    mod senders;
    mod sentry;
    mod service;
    mod signals;
    mod slack;
    mod soak;
    mod start;
    mod storm;
    mod syslog;
    mod verify;
    mod watch;
    mod webhook;
}
