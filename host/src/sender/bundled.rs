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

/// What a bundled plugin is tried out with: its `conformance.toml`.
pub(super) fn conformance(name: &str) -> Option<&'static str> {
    BUNDLED.iter().find(|(bundled, _, _)| *bundled == name).map(|(_, _, script)| *script)
}
