//! The components that come inside the binary, as the build script made them.

include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// The component of a bundled plugin.
pub(super) fn find(name: &str) -> Option<&'static [u8]> {
    BUNDLED.iter().find(|(bundled, _, _)| *bundled == name).map(|(_, bytes, _)| *bytes)
}

/// The names there are, for messages.
pub(super) fn names() -> String {
    BUNDLED.iter().map(|(name, _, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The secrets of a bundled plugin that are keys of Standard Webhooks. Its `describe` says so too, but only once it is
/// compiled, and a key that is none stops mag's start, which waits for no compiler.
pub(super) fn signing_keys(name: &str) -> &'static [&'static str] {
    if name == "webhook" { &["signing"] } else { &[] }
}

/// What a bundled plugin is tried out with: its `conformance.toml`.
pub(super) fn conformance(name: &str) -> Option<&'static str> {
    BUNDLED.iter().find(|(bundled, _, _)| *bundled == name).map(|(_, _, script)| *script)
}
