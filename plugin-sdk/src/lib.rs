#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod adapter;
pub mod bindings;
pub mod config;
pub mod failure;
pub mod http;
pub mod layout;
pub mod receipt;
mod sender;
mod stdout;
pub mod tell;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod text;
pub mod time;

pub use bindings::exports::mag::sender::sender::{
    ConfigError, Delivered, Egress, Failure, Manifest, Notification, Prepared,
};
pub use bindings::mag::sender::types::{FailureKind, Group, Intent, Label, Link, Markup, Overflow, Secret, Severity};
pub use config::Secrets;
pub use sender::{About, Call, Sender};
pub use stdout::stdout_is_terminal;

/// The answer of a sender that keeps nothing of what it told.
#[must_use]
pub fn delivered() -> Delivered {
    Delivered { receipt: None, updated_in_place: false, extra: String::new() }
}

/// A wish to reach an origin with one method, for [`Sender::validate`].
#[must_use]
pub fn egress(origin: &str, method: &str, why: &str) -> Egress {
    Egress { origin: origin.to_owned(), methods: vec![method.to_owned()], why: why.to_owned() }
}

/// Sets a field of a JSON object; does nothing to any other value.
pub fn set(object: &mut serde_json::Value, name: &str, value: serde_json::Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}
