//! Whether what a sender prints is read by a person.

/// Whether standard output is a terminal: colours make sense only then.
#[must_use]
#[cfg(target_arch = "wasm32")]
pub fn stdout_is_terminal() -> bool {
    wasip2::cli::terminal_stdout::get_terminal_stdout().is_some()
}

/// Whether standard output is a terminal: colours make sense only then.
#[must_use]
#[cfg(not(target_arch = "wasm32"))]
pub fn stdout_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdout())
}
