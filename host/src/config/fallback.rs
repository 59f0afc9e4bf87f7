//! `fallback` and `fallback_after` of senders: who tells what another one cannot.
//!
//! Chains are fine; a circle would hand the same thing around for ever.

use std::time::Duration;

use super::report::did_you_mean;
use super::typed::{File, Section};
use super::{Fallback, Sender, duration};

/// A sender that delivered nothing for so long, though it had something to tell, has trouble.
const AFTER: Duration = Duration::from_secs(5 * 60);

/// What a sender's section says.
pub(super) fn read(section: &mut Section<'_>) -> Option<Fallback> {
    let named = section.take("fallback").and_then(|value| value.filled("the name of another sender"));
    let typed = section.take("fallback_after").and_then(|value| duration::read(&value, Duration::from_secs(1)));
    if typed.is_some() && !section.has("fallback") {
        let place = section.place_of("fallback_after");
        section.file.absent(&place, format!("`fallback_after` needs `fallback` in {}", section.name));
    }
    Some(Fallback { sender: named?.to_owned(), after: typed.unwrap_or(AFTER) })
}

/// Notes fallbacks that are nobody, and circles of them.
pub(super) fn check(senders: &[Sender], names: &[&str], file: &File) {
    for sender in senders {
        let Some(fallback) = &sender.fallback else { continue };
        let place = file.places.find(&["senders", &sender.name, "fallback"]).unwrap_or_default();
        let name = &fallback.sender;
        if !names.contains(&name.as_str()) {
            file.absent(&place, format!("`fallback`: unknown sender `{name}`{}", did_you_mean(name, names)));
        } else if *name == sender.name {
            file.wrong(&place, "`fallback`: a sender cannot be its own fallback");
        } else if let Some(circle) = circle(sender, senders) {
            file.wrong(&place, format!("`fallback`: {circle} is a circle: one of them must have no fallback"));
        }
    }
}

/// The way from a sender back to itself, if its fallbacks lead there; of the senders of a circle the first one says it.
fn circle(start: &Sender, senders: &[Sender]) -> Option<String> {
    let mut way = vec![start.name.as_str()];
    let mut at = start;
    while let Some(fallback) = &at.fallback {
        let next = fallback.sender.as_str();
        if way.contains(&next) {
            let first = senders.iter().find(|sender| way.contains(&sender.name.as_str()))?;
            way.push(next);
            return (next == start.name && first.name == start.name).then(|| way.join(" → "));
        }
        way.push(next);
        at = senders.iter().find(|sender| sender.name == next)?;
    }
    None
}
