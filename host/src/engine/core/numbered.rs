//! Messages that are told by number: each is routed and looked up once, and from then on counted where it counted last.

use std::sync::Arc;

use tokio::time::Instant;

use super::Core;
use crate::group::Place;
use crate::limits;
use crate::message::{Count, Message, Millis, Numbered, Times};

/// Messages that are counted together: their windows lie in no order, so the memory is asked for all of them at once.
const TOGETHER: usize = 32;

/// What the numbers of one origin stand for.
#[derive(Debug, Default)]
pub(super) struct Known {
    messages: Vec<Arc<Message>>,
    /// Where each counts, as long as that window is open; only for what one route takes.
    places: Vec<Option<Place>>,
}

impl Known {
    /// Where they counted says nothing any more.
    pub(super) fn forget_places(&mut self) {
        self.places.fill(None);
    }

    fn place(&self, number: u32) -> Option<Place> {
        self.places.get(number as usize).copied().flatten()
    }
}

impl Core {
    /// Counts what one origin met.
    pub(super) fn count_numbered(&mut self, numbered: Numbered, now: Millis, at: Instant) {
        let Numbered { origin, new, counts } = numbered;
        let mut known = std::mem::take(self.learned.of(&origin));
        known.messages.extend(new);
        known.places.resize(known.messages.len(), None);
        for counts in counts.chunks(TOGETHER) {
            self.windows.touch(counts.iter().filter_map(|count| known.place(count.number)));
            for Count { number, times } in counts {
                self.count_known(&mut known, *number, *times, (now, at));
            }
        }
        *self.learned.of(&origin) = known;
        origin.give_back(counts);
    }

    fn count_known(&mut self, known: &mut Known, number: u32, times: Times, (now, at): (Millis, Instant)) {
        if let Some(place) = known.place(number)
            && self.count_at(place, times, now)
        {
            return;
        }
        let number = number as usize;
        let (message, place) = known
            .messages
            .get_mut(number)
            .zip(known.places.get_mut(number))
            .expect("a number comes with its message, or after it");
        let slot = self.count_on_routes((message, times), now, at);
        *place = slot.and_then(|slot| self.windows.place_of(slot, message));
        if let Some(same) = slot.and_then(|slot| self.windows.same_message(slot, message)) {
            *message = same;
        }
    }

    /// Counts messages in the window where they counted last; `false` when they must be looked at.
    #[inline]
    fn count_at(&mut self, place: Place, times: Times, now: Millis) -> bool {
        let Some(window) = self.windows.at_mut(place) else { return false };
        let route = window.route;
        let accepted = self.accepted.get_mut(route.place());
        let Some(accepted) = accepted.filter(|accepted| **accepted < limits::ROUTE_MESSAGES) else { return false };
        *accepted = accepted.saturating_add(times.count);
        if window.count == window.saved {
            self.changed.push(place.slot());
        }
        window.grow(times);
        if window.count >= self.routes.get(route).max_messages {
            self.close_full(place.slot(), route, now);
        }
        true
    }
}
