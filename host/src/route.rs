//! Which routes a message takes: the tree of `[route]`, flattened so that a route is a small number.
//!
//! Pure: no I/O, no clock, cannot fail. The first matching child wins unless it says `continue`; where no child
//! matches, the route itself takes the message (as in Alertmanager).

use std::sync::Arc;
use std::time::Duration;

use crate::config;
use crate::matcher::{Field, Matcher};
use crate::message::{Message, RouteIndex};

/// What happens to the messages of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its identity across restarts.
    pub id: Arc<str>,
    /// What makes messages the same one.
    pub group_by: Vec<Field>,
    /// A window that reaches this closes at once.
    pub max_messages: u64,
    /// The route's clock.
    pub time_limit: Duration,
    /// Who is told; nobody: held by rule.
    pub senders: Vec<String>,
    /// Whether open windows are told when mag stops.
    pub flush_on_stop: bool,
    /// Kept beside the tree, so that a walk touches one vector only.
    matchers: Vec<Matcher>,
    r#continue: bool,
    children: Vec<RouteIndex>,
}

/// The whole tree; the root is first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    all: Vec<Route>,
}

impl Routes {
    /// Flattens the tree.
    #[must_use]
    pub fn new(root: &config::Route) -> Self {
        let mut routes = Self { all: Vec::new() };
        routes.add(root);
        routes
    }

    fn add(&mut self, route: &config::Route) -> RouteIndex {
        let index = self.all.len();
        self.all.push(Route {
            id: route.id.as_str().into(),
            group_by: route.group_by.clone(),
            max_messages: route.max_messages,
            time_limit: route.time_limit,
            senders: route.senders.clone(),
            flush_on_stop: route.flush_on_stop,
            matchers: route.matchers.clone(),
            r#continue: route.r#continue,
            children: Vec::new(),
        });
        let children = route.routes.iter().map(|child| self.add(child)).collect();
        if let Some(added) = self.all.get_mut(index) {
            added.children = children;
        }
        RouteIndex::new(index)
    }

    /// The route that takes what no other one takes.
    #[must_use]
    pub fn root(&self) -> &Route {
        self.all.first().expect("`new` adds the root before anything else")
    }

    /// The root's place.
    #[must_use]
    pub fn root_index(&self) -> RouteIndex {
        RouteIndex::new(0)
    }

    /// A route by its place.
    #[must_use]
    pub fn get(&self, index: RouteIndex) -> &Route {
        self.all.get(index.place()).expect("an index is only made for a route that was added, and none is removed")
    }

    /// Every route with its place.
    pub fn iter(&self) -> impl Iterator<Item = (RouteIndex, &Route)> {
        self.all.iter().enumerate().map(|(index, route)| (RouteIndex::new(index), route))
    }

    /// The place of the route with this identity.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<RouteIndex> {
        self.all.iter().position(|route| &*route.id == id).map(RouteIndex::new)
    }

    /// Puts the routes that take `message` into `into`: at least one, in the order of the file.
    pub fn of(&self, message: &Message, into: &mut Vec<RouteIndex>) {
        into.clear();
        self.walk(RouteIndex::new(0), message, into);
    }

    fn walk(&self, index: RouteIndex, message: &Message, into: &mut Vec<RouteIndex>) -> bool {
        let route = self.get(index);
        if !route.matchers.iter().all(|matcher| matcher.matches(message)) {
            return false;
        }
        let before = into.len();
        for child in &route.children {
            if self.walk(*child, message, into) && !self.get(*child).r#continue {
                break;
            }
        }
        if into.len() == before {
            into.push(index);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{DEFAULT_KIND, Labels};

    fn route(id: &str, matchers: &[&str], r#continue: bool, routes: Vec<config::Route>) -> config::Route {
        config::Route {
            id: id.to_owned(),
            matchers: matchers.iter().map(|m| Matcher::parse(m).expect("a good matcher")).collect(),
            group_by: vec![Field::Kind, Field::Text],
            max_messages: 30,
            time_limit: Duration::from_secs(30),
            senders: vec!["console".to_owned()],
            flush_on_stop: false,
            r#continue,
            routes,
        }
    }

    #[track_caller]
    fn check(tree: &config::Route, kind: &str, app: &str, expect: &[&str]) {
        let routes = Routes::new(tree);
        let labels = Labels::new(vec![("app".to_owned(), app.to_owned())]);
        let message =
            Message { text: "x".to_owned(), kind: kind.into(), severity: None, labels, source: "127.0.0.1".into() };
        let mut taken = Vec::new();
        routes.of(&message, &mut taken);
        let ids: Vec<&str> = taken.iter().map(|index| routes.get(*index).id.as_ref()).collect();
        assert_eq!(ids, expect);
    }

    #[test]
    fn a_message_that_no_child_matches_stays_with_the_parent() {
        check(
            &route("root", &[], false, vec![route("m", &["kind=monitor"], false, vec![])]),
            DEFAULT_KIND,
            "",
            &["root"],
        );
    }

    #[test]
    fn the_first_matching_child_wins() {
        let tree = route(
            "root",
            &[],
            false,
            vec![route("a", &["app=x"], false, vec![]), route("b", &["app=~.*"], false, vec![])],
        );
        check(&tree, DEFAULT_KIND, "x", &["a"]);
        check(&tree, DEFAULT_KIND, "y", &["b"]);
    }

    #[test]
    fn continue_asks_the_next_sibling_too_and_the_parent_stays_out() {
        let tree = route(
            "root",
            &[],
            false,
            vec![route("a", &["app=x"], true, vec![]), route("b", &["app=x"], false, vec![])],
        );
        check(&tree, DEFAULT_KIND, "x", &["a", "b"]);
    }

    #[test]
    fn a_child_that_matches_takes_its_own_children_into_account() {
        let inner = route("inner", &["app=x"], false, vec![]);
        let tree = route("root", &[], false, vec![route("outer", &["kind=default"], false, vec![inner])]);
        check(&tree, DEFAULT_KIND, "x", &["inner"]);
        check(&tree, DEFAULT_KIND, "y", &["outer"]);
    }
}
