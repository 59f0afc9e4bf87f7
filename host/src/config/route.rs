//! `[route]` and its children: what was typed, then the tree with everything inherited.
//!
//! Between the two the environment may change the root. Decides no message's way; that is `crate::route`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::report::did_you_mean;
use super::sender::check_names;
use super::typed::{File, Section, Value};
use super::{Route, duration};
use crate::matcher::{Field, Matcher, Op};
use crate::message::{Message, Severity};

/// A window that reaches this closes at once, unless the file says otherwise.
pub(super) const MAX_MESSAGES: u64 = 30;
/// The clock of a route, unless the file says otherwise.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The identity of the root.
const ROOT: &str = "root";

/// A route as it was typed: what is `None` is inherited.
#[derive(Default)]
pub(super) struct Typed {
    span: Range<usize>,
    name: Option<(String, Range<usize>)>,
    pub(super) matchers: Vec<Matcher>,
    /// Whether a matcher could not be read, so that nothing can be said about what matches.
    unclear: bool,
    group_by: Option<Vec<Field>>,
    pub(super) max_messages: Option<u64>,
    pub(super) time_limit: Option<Duration>,
    /// Names with their places.
    pub(super) senders: Option<Vec<(String, Range<usize>)>>,
    flush_on_stop: Option<bool>,
    r#continue: bool,
    pub(super) routes: Vec<Typed>,
}

impl Typed {
    /// A child made by the environment.
    pub(super) fn made(matcher: Matcher, max_messages: u64) -> Self {
        Self { matchers: vec![matcher], max_messages: Some(max_messages), ..Self::default() }
    }

    /// Where it was typed, if it was.
    pub(super) fn place(&self) -> Option<Range<usize>> {
        (!self.span.is_empty()).then(|| self.span.clone())
    }

    /// Every name of a sender in this route and those below it.
    pub(super) fn names(&self) -> Vec<String> {
        let own = self.senders.iter().flatten().map(|(name, _)| name.clone());
        own.chain(self.routes.iter().flat_map(Self::names)).collect()
    }

    /// Whether all matchers hold for `message`.
    pub(super) fn matches(&self, message: &Message) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(message))
    }

    /// Whether no message that matches `later` gets past this route.
    fn hides(&self, later: &Self) -> bool {
        let clear = !self.unclear && !later.unclear;
        clear && !self.r#continue && self.matchers.iter().all(|matcher| later.matchers.contains(matcher))
    }
}

/// What `[route]` says.
pub(super) fn read(root: &mut Section<'_>) -> Typed {
    let Some(value) = root.take("route") else { return Typed::default() };
    let read = value.section("[route]", |section| {
        for key in ["match", "continue", "name"] {
            if section.has(key) {
                let message = format!("`{key}`: the root takes every message, write it in [[route.routes]]");
                section.file.wrong(&section.place_of(key), message);
            }
        }
        typed(section, false)
    });
    read.unwrap_or_default()
}

fn typed(section: &mut Section<'_>, is_child: bool) -> Typed {
    let mut route = Typed { span: section.span.clone(), ..Typed::default() };
    let (name, matching, r#continue) = (section.take("name"), section.take("match"), section.take("continue"));
    if is_child {
        route.name = name.and_then(|value| Some((self::name(&value)?, value.span())));
        if let Some(value) = matching {
            (route.matchers, route.unclear) = matchers(&value);
        } else {
            route.unclear = section.has("match");
        }
        route.r#continue = r#continue.and_then(|value| value.bool()).unwrap_or(false);
    }
    route.group_by = section.take("group_by").and_then(|value| group_by(&value));
    route.max_messages = section.take("max_messages").and_then(|value| value.count(1));
    route.time_limit = section.take("time_limit").and_then(|value| duration::read(&value, Duration::from_millis(1)));
    route.senders = section.take("senders").and_then(|value| senders(&value));
    route.flush_on_stop = section.take("flush_on_stop").and_then(|value| value.bool());
    if let Some(value) = section.take("routes") {
        let header = format!("[[{}]]", section.below("routes").trim_matches(['[', ']']));
        let items = value.list(&format!("a list of tables, each headed {header}")).unwrap_or_default();
        route.routes = items.iter().filter_map(|item| item.section(&header, |section| typed(section, true))).collect();
    }
    route
}

fn name(value: &Value<'_>) -> Option<String> {
    let what = "a name without control characters";
    value.parse(what, |text| (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned()))
}

/// Matchers, and whether one of them could not be read.
fn matchers(value: &Value<'_>) -> (Vec<Matcher>, bool) {
    let what = "a list of matchers like ['kind=\"monitor\"']";
    let Some(items) = value.list(what) else { return (Vec::new(), true) };
    let good: Vec<Matcher> = items.iter().filter_map(|item| matcher(item)).collect();
    let unclear = good.len() < items.len();
    (good, unclear)
}

fn matcher(item: &Value<'_>) -> Option<Matcher> {
    let text = item.string("a matcher like 'kind=\"monitor\"'")?;
    let matcher = match Matcher::parse(text) {
        Ok(matcher) => matcher,
        Err(error) => {
            item.file.wrong(&item.inside(error.offset), format!("`match`: {error}"));
            return None;
        }
    };
    // Severities have one word each; a matcher with another one would never match.
    let (value, words) = (matcher.value(), Severity::ALL.map(Severity::as_str));
    let compares = matches!(matcher.op(), Op::Equal | Op::NotEqual) && *matcher.field() == Field::Severity;
    if compares && !value.is_empty() && !words.contains(&value) {
        let meant = Severity::from_word(value).map(|severity| format!(", did you mean `{severity}`?"));
        let hint = meant.unwrap_or_else(|| did_you_mean(value, &words));
        item.wrong(format!("`match`: no severity is called {value:?}{hint}"));
        return None;
    }
    Some(matcher)
}

fn group_by(value: &Value<'_>) -> Option<Vec<Field>> {
    let what = "a list of fields like [\"kind\", \"text\"]";
    let mut fields = Vec::new();
    for item in value.list(what)? {
        let Some(text) = item.string("a field like \"kind\" or \"labels.app\"") else { continue };
        if text == "template" {
            item.wrong("`group_by`: `template` is not in this version");
            continue;
        }
        match Field::parse(text) {
            Ok(field) if fields.contains(&field) => item.wrong(format!("`group_by`: {text:?} is named twice")),
            Ok(field) => fields.push(field),
            Err(error) => item.wrong(format!("`group_by`: {error}")),
        }
    }
    Some(fields)
}

fn senders(value: &Value<'_>) -> Option<Vec<(String, Range<usize>)>> {
    let items = value.list("a list of senders like [\"console\"]")?;
    let name = |item: &Value<'_>| Some((item.string("the name of a sender")?.to_owned(), item.span()));
    Some(items.iter().filter_map(name).collect())
}

/// The tree with everything inherited; `senders` are the names that exist, `implied` who is told where the root names nobody.
pub(super) fn resolve(typed: &Typed, implied: Vec<String>, senders: &[&str], file: &File) -> Route {
    let default = Route {
        id: ROOT.to_owned(),
        matchers: Vec::new(),
        group_by: vec![Field::Kind, Field::Text],
        max_messages: MAX_MESSAGES,
        time_limit: TIME_LIMIT,
        senders: implied,
        flush_on_stop: false,
        r#continue: false,
        routes: Vec::new(),
    };
    let mut resolver = Resolver { senders, file, ids: BTreeMap::new() };
    resolver.ids.insert(ROOT.to_owned(), typed.span.start);
    resolver.route(typed, ROOT.to_owned(), &default)
}

/// What the walk down the tree carries along.
struct Resolver<'r> {
    senders: &'r [&'r str],
    file: &'r File,
    /// Identities that are taken, with the places of their routes.
    ids: BTreeMap<String, usize>,
}

impl Resolver<'_> {
    fn route(&mut self, typed: &Typed, id: String, parent: &Route) -> Route {
        let senders = typed.senders.as_ref().map(|names| {
            check_names(names, self.senders, self.file);
            names.iter().map(|(name, _)| name.clone()).collect()
        });
        let mut route = Route {
            id,
            matchers: typed.matchers.clone(),
            group_by: typed.group_by.clone().unwrap_or_else(|| parent.group_by.clone()),
            max_messages: typed.max_messages.unwrap_or(parent.max_messages),
            time_limit: typed.time_limit.unwrap_or(parent.time_limit),
            senders: senders.unwrap_or_else(|| parent.senders.clone()),
            flush_on_stop: typed.flush_on_stop.unwrap_or(parent.flush_on_stop),
            r#continue: typed.r#continue,
            routes: Vec::new(),
        };
        for (at, child) in typed.routes.iter().enumerate() {
            let id = identity(child, &route.id);
            if self.is_free(child, &id) {
                self.is_reached(child, typed.routes.iter().take(at));
            }
            let child = self.route(child, id, &route);
            route.routes.push(child);
        }
        route
    }

    /// Notes an identity that another route has: windows of the two could not be told apart.
    fn is_free(&mut self, typed: &Typed, id: &str) -> bool {
        let span = typed.name.as_ref().map_or(&typed.span, |(_, span)| span);
        let before =
            if typed.unclear && typed.name.is_none() { None } else { self.ids.insert(id.to_owned(), span.start) };
        if id == ROOT {
            self.file.wrong(span, format!("`{ROOT}` is the name of [route] itself"));
        } else if let Some(before) = before {
            let before = self.file.places.place(before);
            let help = if typed.name.is_some() { "" } else { ": give one of them a `name`" };
            self.file.wrong(span, format!("the route `{id}` is there already, at {before}{help}"));
        }
        before.is_none()
    }

    /// Notes a route that an earlier one leaves nothing to.
    fn is_reached<'t>(&self, typed: &Typed, mut before: impl Iterator<Item = &'t Typed>) {
        if let Some(earlier) = before.find(|earlier| earlier.hides(typed)) {
            let place = self.file.places.place(earlier.span.start);
            let message = format!("this route is never reached: the one at {place} takes all of its messages");
            self.file.wrong(&typed.span, message);
        }
    }
}

/// What a route is called across restarts: its name, else its parent's identity and its own matchers.
fn identity(typed: &Typed, parent: &str) -> String {
    if let Some((name, _)) = &typed.name {
        return name.clone();
    }
    let mut matchers: Vec<String> = typed.matchers.iter().map(Matcher::to_string).collect();
    matchers.sort();
    matchers.dedup();
    let own = if matchers.is_empty() { "*".to_owned() } else { matchers.join(",") };
    // What stands directly below the root needs no prefix.
    if parent == ROOT { own } else { format!("{parent}/{own}") }
}
