//! What a running mag cannot take from a new config: it belongs to what was opened, or made room for, at the start. Pure.

use crate::config::Config;

/// Every key that is different and cannot be, a mistake each, with its place in the new file.
pub(super) fn changed(old: &Config, new: &Config) -> Vec<String> {
    let keys = [("store", "path", old.store.path != new.store.path)];
    let mistake = |(section, key, _): &(&str, &str, bool)| {
        let message = format!("`{key}` of [{section}] cannot change while mag runs: set it back, or restart mag");
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
        let old = config("[store]\npath = \"a.db\"\n");
        assert_eq!(changed(&old, &old), Vec::<String>::new());
        let new = config("[store]\npath = \"b.db\"\n");
        let refused = "mag.toml:2:1: error: `path` of [store] cannot change while mag runs: set it back, or restart mag\n\
                       path = \"b.db\"\n^";
        assert_eq!(changed(&old, &new), [refused]);
    }

    #[test]
    fn everything_else_may_change() {
        let old = config("");
        let new = config(
            "[[listen]]\naddress = \"127.0.0.1:1\"\n[store]\nkeep = \"1d\"\non_damage = \"replace\"\n[route]\nmax_messages = 3\n\
             [limits]\nqueue = 5\nline = \"1KiB\"\nin_flight = \"64MiB\"\nstore = \"1GiB\"\n[log]\nlevel = \"debug\"\n[admin]\naddress = \"127.0.0.1:7\"\n\
             [alerts]\nresolve_timeout = \"1h\"\n[senders.x]\nplugin = \"console\"\n",
        );
        assert_eq!(changed(&old, &new), Vec::<String>::new());
    }
}
