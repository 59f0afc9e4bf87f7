//! What `mag check` says of secrets that no plugin has to do with: those of monitors and of ports. Never a value.

use std::collections::BTreeSet;

use crate::config::{Listen, Monitor, Protocol, SecretPlace};

/// Of each secret of a monitor where it comes from, where it stands and where it goes.
pub(super) fn of_monitor(monitor: &Monitor) -> Vec<String> {
    let polled = monitor.url.marked().origin().ascii_serialization();
    let refreshed = monitor.token_refresh.as_ref().map(|refresh| &refresh.url);
    let refreshes = refreshed.map(|url| url.marked().origin().ascii_serialization());
    let line = |(name, source): (&String, &_)| {
        let mut uses: BTreeSet<(SecretPlace, &str)> = monitor
            .url
            .asks()
            .filter_map(|(asked, place)| (asked == name).then_some((place, polled.as_str())))
            .collect();
        if monitor.headers.values().any(|value| value.contains(&format!("${{secret:{name}}}"))) {
            uses.extend(
                [Some(&polled), refreshes.as_ref()].into_iter().flatten().map(|to| (SecretPlace::Header, to.as_str())),
            );
        }
        if let (Some(url), Some(to)) = (refreshed, &refreshes) {
            uses.extend(url.asks().filter_map(|(asked, place)| (asked == name).then_some((place, to.as_str()))));
            uses.extend((name == "token").then_some((SecretPlace::Body, to.as_str())));
        }
        let places: BTreeSet<SecretPlace> = uses.iter().map(|(place, _)| *place).collect();
        let places: Vec<&str> = places.into_iter().map(SecretPlace::as_str).collect();
        let origins: BTreeSet<&str> = uses.iter().map(|(_, to)| *to).collect();
        let origins: Vec<&str> = origins.into_iter().collect();
        let whither = if uses.is_empty() {
            "used nowhere".to_owned()
        } else {
            format!("{}; to {}", places.join(", "), origins.join(", "))
        };
        format!("monitor {}: secrets.{name}: from {source}; {whither}", monitor.name)
    };
    monitor.secrets.iter().map(line).collect()
}

/// Of what a port keeps to itself where it comes from.
pub(super) fn of_listener(listen: &Listen) -> Vec<String> {
    let at = &listen.address;
    let (name, wanted) = match listen.protocol {
        Protocol::Forward => ("shared_key", "both sides show that they have it"),
        _ => ("token", "wanted of each request"),
    };
    let token = listen.token.as_ref().map(|source| format!("listen {at}: {name}: from {source}; {wanted}"));
    let key =
        listen.tls.as_ref().map(|tls| format!("listen {at}: tls.key: from file {}; stays here", tls.key.display()));
    token.into_iter().chain(key).collect()
}
