//! How many connections the process's limit of open files allows, beside what everything else needs.
//!
//! A connection is a handle, and so are the files of the store and the connections to destinations: whoever connects
//! must not be able to take the last one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits;

/// Connections at a time: as many as `wanted`, or as the process may hold when `others` handles are kept for senders and
/// the admin interface, and a reserve for the rest. Raises the process's limit as far as that needs and the system
/// allows; says so when that is not enough.
#[must_use]
pub fn connections(wanted: usize, others: usize) -> usize {
    let reserve = limits::RESERVED_HANDLES.saturating_add(others);
    let needed = wanted.saturating_add(reserve) as u64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        let raised = limit.maximum.map_or(needed, |most| most.min(needed));
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }) {
            tracing::debug!(%error, "cannot raise the limit of open files");
        }
    }
    let handles = getrlimit(Resource::Nofile).current;
    let allowed = within(handles, wanted, reserve);
    if let Some(handles) = handles.filter(|_| allowed < wanted) {
        tracing::warn!(
            "at most {allowed} connections at a time instead of {wanted}: the process may open {handles} files, and \
             {reserve} of them are kept for the store and the senders; raise `ulimit -n`, or LimitNOFILE of the service"
        );
    }
    allowed
}

/// At least one connection is allowed, else nothing could be sent at all.
fn within(handles: Option<u64>, wanted: usize, reserve: usize) -> usize {
    let Some(handles) = handles else { return wanted };
    let handles = usize::try_from(handles).unwrap_or(usize::MAX);
    wanted.min(handles.saturating_sub(reserve)).max(1)
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn the_reserve_is_kept_from_connections() {
        assert_eq!(within(Some(1_024), 10_000, 64), 960);
        assert_eq!(within(Some(20_000), 10_000, 64), 10_000);
        assert_eq!(within(None, 10_000, 64), 10_000);
        assert_eq!(within(Some(64), 10_000, 64), 1);
    }
}
