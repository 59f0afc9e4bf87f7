//! From what was typed to what it means: the order in which the parts of a configuration are read and joined.

use toml::de::DeTable;

use super::env::{self, Variables};
use super::report::{Mistake, Mistakes, Places, Spot};
use super::syntax::Syntax;
use super::typed::{File, Section};
use super::{Admin, Alerts, Config, Env, Limits, Listen, Log, Monitor, Reload, Route, Sender, Source, Store};
use super::{admin, alerts, fallback, limits, listen, lock, log, monitor, reload, route, secret, sender, store};

/// The sender of a configuration that has none.
const CONSOLE: &str = "console";
/// What the place of something is called that no file says.
const DEFAULTS: &str = "the shipped defaults";

/// Every section on its own, before they are held against each other.
pub(super) struct Draft {
    pub(super) listen: Vec<Listen>,
    store: Store,
    admin: Option<Admin>,
    pub(super) route: route::Typed,
    pub(super) senders: Vec<Sender>,
    pub(super) monitors: Vec<Monitor>,
    limits: Limits,
    alerts: Alerts,
    pub(super) log: Log,
    reload: Reload,
    /// Names of the file's senders with their places.
    named: Vec<(String, usize)>,
}

impl Config {
    /// Understands a configuration and the environment.
    ///
    /// # Errors
    ///
    /// Every mistake in it, in one go.
    pub fn load(source: &Source, env: &Env<'_>) -> Result<Self, Mistakes> {
        let name = source.file.as_ref().map_or_else(|| DEFAULTS.to_owned(), |file| file.display().to_string());
        let places = Places::new(name, &source.text);
        let (document, errors) = DeTable::parse_recoverable(&source.text);
        let syntax = Syntax::new(&source.text, document.get_ref(), &errors);
        let file = File::new(places.clone(), source.folder(), syntax);

        let mut variables = Variables::new(env);
        let mut root = Section::root(document.get_ref(), &file);
        let mut draft = draft(&mut root, &mut variables);
        root.finish();
        let told = told(&draft);
        env::apply(&mut draft, &mut variables, &file);

        let (route, mut warnings) = join(&mut draft, &told, &file);
        let Draft { listen, store, admin, mut senders, monitors, limits, alerts, log, reload, .. } = draft;
        warnings.append(&mut variables.warnings);
        warnings.append(&mut secret::readable_by_others(&senders, &monitors, &places));
        let (file, mut mistakes) = (source.file.clone(), file.into_mistakes());
        match lock::read(&source.folder()) {
            Ok(mut locked) => senders.iter_mut().for_each(|sender| sender.locked = locked.remove(&sender.name)),
            Err(error) => {
                mistakes.push(Mistake { spot: Spot::Elsewhere(lock::FILE.to_owned()), message: error.to_string() })
            }
        }
        if !mistakes.is_empty() {
            return Err(Mistakes::new(places, mistakes));
        }
        let from_env = variables.used;
        Ok(Self {
            file,
            listen,
            store,
            admin,
            route,
            senders,
            monitors,
            limits,
            alerts,
            log,
            reload,
            warnings,
            from_env,
            places,
        })
    }
}

fn draft(root: &mut Section<'_>, variables: &mut Variables<'_>) -> Draft {
    let listen = listen::read(root);
    let store = store::read(root, || variables.state_folder());
    let admin = admin::read(root, &listen);
    let route = route::read(root);
    let (senders, named) = sender::read(root);
    let monitors = monitor::read(root);
    let limits = limits::read(root);
    let alerts = alerts::read(root);
    let log = log::read(root);
    let reload = reload::read(root);
    Draft { listen, store, admin, route, senders, monitors, limits, alerts, log, reload, named }
}

/// Names of the senders that the file tells, before the environment changes anything.
fn told(draft: &Draft) -> Vec<String> {
    let mut told = draft.route.names();
    if let ([(only, _)], None) = (draft.named.as_slice(), &draft.route.senders) {
        told.push(only.clone());
    }
    told
}

/// Holds routes and senders against each other; gives the tree and what is odd but harms nothing.
fn join(draft: &mut Draft, told: &[String], file: &File) -> (Route, Vec<String>) {
    let wants_console = draft.senders.is_empty() || draft.route.names().iter().any(|name| name == CONSOLE);
    if draft.named.is_empty() && wants_console {
        draft.senders.push(sender::bundled(CONSOLE, CONSOLE, DEFAULTS));
    }
    let made = draft.senders.iter().map(|sender| sender.name.as_str());
    let mut names: Vec<&str> = draft.named.iter().map(|(name, _)| name.as_str()).chain(made).collect();
    names.sort_unstable();
    names.dedup();
    fallback::check(&draft.senders, &names, file);
    let implied = if let [only] = names.as_slice() { vec![(*only).to_owned()] } else { Vec::new() };
    if implied.is_empty() && draft.route.senders.is_none() {
        let place = draft.route.place().or_else(|| draft.named.first().map(|(_, at)| *at..*at));
        let message = format!("missing `senders` in [route]: name who is told, of {}", names.join(", "));
        file.absent(&place.unwrap_or_default(), message);
    }
    let route = route::resolve(&draft.route, implied, &names, file);
    let fallbacks = draft.senders.iter().filter_map(|sender| sender.fallback.as_ref()).map(|f| f.sender.clone());
    let used: Vec<String> = told.iter().cloned().chain(draft.route.names()).chain(fallbacks).collect();
    let idle = draft.named.iter().filter(|(name, _)| !used.contains(name));
    let warning = |(name, at): &(String, usize)| {
        format!("{}: warning: no route names the sender `{name}`", file.places.place(*at))
    };
    (route, idle.map(warning).collect())
}
