//! What a running mag cannot take from a new config: it belongs to what was opened, or made room for, at the start. Pure.

use crate::config::Config;

/// Every key that is different and cannot be, a mistake each, with its place in the new file.
pub(super) fn changed(old: &Config, new: &Config) -> Vec<String> {
    let (a, b) = (&old.limits, &new.limits);
    let keys = [
        ("store", "path", old.store.path != new.store.path),
        ("store", "ids", old.store.ids != new.store.ids),
        ("store", "ids_keep", old.store.ids_keep != new.store.ids_keep),
        ("admin", "address", old.admin != new.admin),
        ("limits", "connections", a.connections != b.connections),
        ("limits", "connections_per_address", a.connections_per_address != b.connections_per_address),
        ("limits", "idle_timeout", a.idle_timeout != b.idle_timeout),
        ("limits", "line", a.line != b.line),
        ("limits", "groups", a.groups != b.groups),
        ("limits", "groups_per_source", a.groups_per_source != b.groups_per_source),
        ("limits", "queue", a.queue != b.queue),
        ("limits", "in_flight", a.in_flight != b.in_flight),
        ("limits", "alerts", a.alerts != b.alerts),
        ("limits", "store", a.store != b.store),
        ("alerts", "resolve_timeout", old.alerts != new.alerts),
        ("log", "format", old.log.json != new.log.json),
        ("log", "level", old.log.level != new.log.level),
    ];
    let mistake = |(section, key, _): &(&str, &str, bool)| {
        let message =
            format!("`{key}` of [{section}] cannot change while mag runs: set it back, or stop and start mag");
        new.report_key(&[section, key], &message)
    };
    keys.iter().filter(|(_, _, differs)| *differs).map(mistake).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    fn config(text: &str) -> Config {
        let source = Source { file: Some("mag.toml".into()), text: text.to_owned() };
        Config::load(&source, &|_| None).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_belongs_to_the_start_is_refused_with_its_place() {
        let old = config("[store]\npath = \"a.db\"\n[limits]\nqueue = 5\n");
        assert_eq!(changed(&old, &old), Vec::<String>::new());
        let new = config("[store]\npath = \"b.db\"\n[log]\nlevel = \"debug\"\n");
        let said = changed(&old, &new);
        let starts = [
            "mag.toml:2:1: error: `path` of [store] cannot change while mag runs: set it back, or stop and start mag\npath = \"b.db\"\n^",
            "mag.toml: error: `queue` of [limits] cannot change",
            "mag.toml:4:1: error: `level` of [log] cannot change",
        ];
        assert_eq!(said.len(), starts.len(), "{said:#?}");
        for (said, start) in said.iter().zip(starts) {
            assert!(said.starts_with(start), "{said}");
        }
    }

    #[test]
    fn routes_senders_ports_and_monitors_may_change() {
        let old = config("");
        let new = config(
            "[[listen]]\naddress = \"127.0.0.1:1\"\n[store]\nkeep = \"1d\"\non_damage = \"replace\"\n[route]\nmax_messages = 3\n\
             [senders.x]\nplugin = \"console\"\n",
        );
        assert_eq!(changed(&old, &new), Vec::<String>::new());
    }
}
