//! Who is told by which route, as the store must know it: it never decides it.

use std::collections::HashMap;
use std::sync::Arc;

use super::ledger;

/// Who is told by which route. Routes without senders count for nobody.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    root: Vec<String>,
    by_route: HashMap<Arc<str>, Vec<String>>,
}

impl Routing {
    /// Knows only the root's senders yet.
    #[must_use]
    pub fn new(root: &[String]) -> Self {
        Self { root: root.to_vec(), by_route: HashMap::new() }
    }

    /// Adds a route.
    pub fn add(&mut self, route: Arc<str>, senders: Vec<String>) {
        let senders = if senders.is_empty() { vec![ledger::NOBODY.to_owned()] } else { senders };
        self.by_route.insert(route, senders);
    }

    pub(super) fn knows(&self, route: &str) -> bool {
        self.by_route.contains_key(route)
    }

    pub(super) fn senders(&self, route: &str) -> &[String] {
        self.by_route.get(route).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn root(&self) -> &[String] {
        &self.root
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        let mut routes: Vec<_> = self.by_route.iter().map(|(route, senders)| (&**route, senders.as_slice())).collect();
        routes.sort_unstable();
        routes.into_iter()
    }
}
