//! Who wants the config read again, and what each of them hears. Pure.

use tokio::sync::oneshot;

use crate::admin::{Reload, Reloaded, Unchanged};

/// What came of a reload.
pub(super) type Outcome = Result<Reloaded, Unchanged>;

/// Everybody for whom one reading of the config is done.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Who waits for what comes of it.
    waiting: Vec<oneshot::Sender<Outcome>>,
    /// Whether nobody asked: a watched file changed.
    quiet: bool,
}

impl Wanted {
    /// All that were there before anything is read.
    pub(super) fn new(first: Reload, more: impl IntoIterator<Item = Reload>) -> Self {
        let mut wanted = Self { waiting: Vec::new(), quiet: true };
        for reload in std::iter::once(first).chain(more) {
            wanted.quiet &= reload.quiet;
            wanted.waiting.extend(reload.answer);
        }
        wanted
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Takes the place of a reading that is given up. Where somebody asks anew, whoever asked before is told so; where
    /// only a watched file changed, that is most likely what they asked for, and they hear what comes of this one.
    pub(super) fn overtake(mut self, former: Self) -> Self {
        if self.quiet {
            self.waiting.extend(former.waiting);
            self.quiet = former.quiet;
        } else {
            former.answer(&Err(Unchanged::Overtaken));
        }
        self
    }

    pub(super) fn answer(self, outcome: &Outcome) {
        for waiting in self.waiting {
            if waiting.send(outcome.clone()).is_err() {
                tracing::debug!("nobody waits any more for what came of a reload");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> (Reload, oneshot::Receiver<Outcome>) {
        let (answer, answered) = oneshot::channel();
        (Reload { answer: Some(answer), quiet: false }, answered)
    }

    fn noticed() -> Reload {
        Reload { answer: None, quiet: true }
    }

    fn done() -> Outcome {
        Ok(Reloaded { changes: vec!["a change".to_owned()], warnings: Vec::new() })
    }

    #[test]
    fn everybody_who_asked_before_anything_is_read_hears_the_same() {
        let ((one, mut hears), (other, mut hears_too)) = (asked(), asked());
        let wanted = Wanted::new(one, [noticed(), other]);
        assert!(!wanted.is_quiet());
        wanted.answer(&done());
        assert_eq!((hears.try_recv(), hears_too.try_recv()), (Ok(done()), Ok(done())));
    }

    #[test]
    fn whoever_asks_anew_takes_the_place_of_all_that_asked_before() {
        let ((former, mut hears), (newer, mut hears_later)) = (asked(), asked());
        let wanted = Wanted::new(newer, []).overtake(Wanted::new(former, []));
        assert_eq!(hears.try_recv(), Ok(Err(Unchanged::Overtaken)));
        assert!(hears_later.try_recv().is_err(), "nothing came of it yet");
        wanted.answer(&done());
        assert_eq!(hears_later.try_recv(), Ok(done()));
    }

    #[test]
    fn a_watched_change_takes_along_who_asked_for_it_too() {
        let (former, mut hears) = asked();
        let wanted = Wanted::new(noticed(), []).overtake(Wanted::new(former, []));
        assert!(!wanted.is_quiet(), "somebody asked");
        assert!(hears.try_recv().is_err(), "nothing came of it yet");
        wanted.answer(&done());
        assert_eq!(hears.try_recv(), Ok(done()));
        assert!(Wanted::new(noticed(), []).overtake(Wanted::new(noticed(), [])).is_quiet());
    }
}
