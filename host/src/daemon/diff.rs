//! What is different in a new config, in lines for a person. Pure.

use std::collections::BTreeMap;

use super::Generation;
use super::listeners::Rules;
use super::reload::Signed;
use crate::config::{Config, Route};

/// A line for each thing that came, changed or went.
pub(super) fn lines(old: &Generation, new: &Generation, fresh: &Signed) -> Vec<String> {
    let mut lines = Vec::new();
    ports(old, new, &mut lines);
    routes(&old.config.route, &new.config.route, &mut lines);
    senders(old, new, fresh, &mut lines);
    monitors(old, new, &mut lines);
    lines.extend(keys(&old.config, &new.config));
    lines
}

/// Keys of sections that are one thing each.
fn keys(old: &Config, new: &Config) -> impl Iterator<Item = String> {
    let (a, b) = (&old.limits, &new.limits);
    let (now, later) = ("changed", "changed, for connections from now on");
    let keys = [
        ("[limits] connections", a.connections != b.connections, later),
        ("[limits] connections_per_address", a.connections_per_address != b.connections_per_address, later),
        ("[limits] idle_timeout", a.idle_timeout != b.idle_timeout, later),
        ("[limits] line", a.line != b.line, later),
        ("[limits] groups", a.groups != b.groups, now),
        ("[limits] groups_per_source", a.groups_per_source != b.groups_per_source, now),
        ("[limits] queue", a.queue != b.queue, now),
        ("[limits] in_flight", a.in_flight != b.in_flight, now),
        ("[limits] alerts", a.alerts != b.alerts, now),
        ("[limits] store", a.store != b.store, now),
        ("[alerts] resolve_timeout", old.alerts != new.alerts, now),
        ("[store] keep", old.store.keep != new.store.keep, now),
        ("[store] ids", old.store.ids != new.store.ids, now),
        ("[store] ids_keep", old.store.ids_keep != new.store.ids_keep, now),
        ("[log]", old.log != new.log, now),
        ("[admin] address", old.admin != new.admin, now),
    ];
    keys.into_iter().filter(|(_, differs, _)| *differs).map(|(key, _, how)| format!("{key}: {how}"))
}

fn ports(old: &Generation, new: &Generation, lines: &mut Vec<String>) {
    let rules = |generation: &Generation| Rules::all(&generation.config, &generation.secrets.listen);
    let mut former = rules(old);
    for rules in rules(new) {
        let known = former.iter().position(|known| known.address() == rules.address());
        let what = match known.map(|at| former.remove(at)) {
            Some(known) if known == rules => continue,
            Some(_) => "changed, for connections from now on",
            None => "added",
        };
        lines.push(format!("listen {}: {what}", rules.address()));
    }
    lines.extend(former.iter().map(|gone| format!("listen {}: removed", gone.address())));
}

fn routes(old: &Route, new: &Route, lines: &mut Vec<String>) {
    let (mut former, mut now) = (Vec::new(), Vec::new());
    flatten(old, &mut former);
    flatten(new, &mut now);
    let by_id: BTreeMap<&str, &Route> = former.iter().map(|route| (route.id.as_str(), *route)).collect();
    let before = lines.len();
    for route in &now {
        match by_id.get(route.id.as_str()) {
            None => lines.push(format!("route {}: added", route.id)),
            Some(known) if !same(known, route) => lines.push(format!("route {}: changed", route.id)),
            Some(_) => {}
        }
    }
    let gone = former.iter().filter(|route| now.iter().all(|other| other.id != route.id));
    lines.extend(gone.map(|route| format!("route {}: removed", route.id)));
    if lines.len() == before && old != new {
        lines.push("routes: in another order".to_owned());
    }
}

/// Whether a route says the same, whatever its children say.
fn same(a: &Route, b: &Route) -> bool {
    let alone = |route: &Route| Route { routes: Vec::new(), ..route.clone() };
    alone(a) == alone(b)
}

fn flatten<'r>(route: &'r Route, into: &mut Vec<&'r Route>) {
    into.push(route);
    route.routes.iter().for_each(|child| flatten(child, into));
}

fn senders(before: &Generation, now: &Generation, fresh: &Signed, lines: &mut Vec<String>) {
    let (old, new) = (&before.config, &now.config);
    for (name, (fresh, said)) in fresh {
        let known = old.senders.iter().any(|sender| sender.name == *name);
        let what = match known {
            true if now.has_same(before, name) => "started again, what waits for it is tried now",
            true => "changed",
            false => "added",
        };
        let manifest = fresh.started.manifest();
        lines.push(format!("sender {name}: {what} ({} {})", manifest.name, manifest.version));
        lines.extend(said.iter().map(|said| format!("{said}; not ready yet, its queue waits")));
    }
    let gone = old.senders.iter().filter(|sender| new.senders.iter().all(|other| other.name != sender.name));
    lines.extend(gone.map(|sender| format!("sender {}: removed, what waits for it becomes dead letters", sender.name)));
}

fn monitors(old: &Generation, new: &Generation, lines: &mut Vec<String>) {
    let names = |config: &Config| config.monitors.iter().map(|monitor| monitor.name.clone()).collect::<Vec<_>>();
    let (former, now) = (names(&old.config), names(&new.config));
    for name in now.iter().filter(|name| new.has_new_monitor(old, name)) {
        let what = if former.contains(name) { "changed" } else { "added" };
        lines.push(format!("monitor {name}: {what}"));
    }
    let gone = former.iter().filter(|name| !now.contains(name));
    lines.extend(gone.map(|name| format!("monitor {name}: removed")));
}
