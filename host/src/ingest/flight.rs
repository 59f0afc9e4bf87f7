//! How much memory all connections together may take: at work, on the way to the engine, and waiting for their clients.
//!
//! A connection at work has a *seat*, which stands for a whole read buffer and a whole merger. What it sends on is a
//! *load*, until the engine has counted it. Whoever waits for a seat holds nothing, and loads are given back by the
//! engine alone, so nobody waits for each other. What a connection keeps while it waits for its client (the beginning of
//! a line, answers that nobody takes), and a request of HTTP until it is answered, is *held*: when that is too much
//! together, whoever has waited longest is cut off.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::limits;

/// A seat: the largest read buffer, the fullest merger, and the message that filled it.
const SEAT_BYTES: usize = 2 * limits::NDJSON_LINE_BYTES + limits::MERGE_BYTES;
/// The grain of loads.
const GRAIN_BYTES: usize = 1024;

/// What all connections of all listeners share.
#[derive(Clone, Debug)]
pub struct Flight {
    /// Another one when there is to be another amount.
    room: Arc<Mutex<Room>>,
    /// One body that takes long to read, with what it is merged to.
    large: Arc<Semaphore>,
    /// Large answers of HTTP that nobody has taken yet.
    answers: Arc<Semaphore>,
    held: Arc<Mutex<Holding>>,
}

/// What an amount is shared out to.
#[derive(Clone, Debug)]
struct Room {
    seats: Arc<Semaphore>,
    loads: Arc<Semaphore>,
    /// Grains that there are.
    load_grains: u32,
    known_bytes: usize,
}

impl Room {
    fn new(bytes: usize) -> Self {
        let at_a_time = (std::thread::available_parallelism().map_or(1, NonZero::get) / 2).max(1);
        let seats = (bytes / 2 / SEAT_BYTES).clamp(1, at_a_time);
        let grains = (bytes / 2 / GRAIN_BYTES).max(1);
        let load_grains = u32::try_from(grains).unwrap_or(u32::MAX);
        Self {
            seats: Arc::new(Semaphore::new(seats.min(Semaphore::MAX_PERMITS))),
            loads: Arc::new(Semaphore::new(load_grains as usize)),
            load_grains,
            known_bytes: bytes / 2 / seats,
        }
    }
}

#[derive(Debug)]
struct Holding {
    most: usize,
    bytes: usize,
    next: u64,
    /// In the order of coming.
    holders: BTreeMap<u64, (usize, Arc<Notify>)>,
}

impl Holding {
    /// Whoever has waited longest goes, until the others fit.
    fn make_room(&mut self) {
        while self.bytes > self.most
            && let Some((_, (bytes, longest))) = self.holders.pop_first()
        {
            self.bytes = self.bytes.saturating_sub(bytes);
            longest.notify_one();
        }
    }
}

/// The right to read and merge, or to have a batch on its way; given back when dropped.
pub(crate) type Pass = OwnedSemaphorePermit;

impl Flight {
    /// Shares `bytes` out: half for seats, half for loads; as much again for what waits for clients, and half as much for
    /// what is known of messages that came before.
    ///
    /// There are no more seats than half the machine's cores: the others count, write and tell, and each seat knows the
    /// same messages anew, in memory that all of them share.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let holding = Holding { most: bytes, bytes: 0, next: 0, holders: BTreeMap::new() };
        Self {
            room: Arc::new(Mutex::new(Room::new(bytes))),
            large: Arc::new(Semaphore::new(1)),
            answers: Arc::new(Semaphore::new(limits::HTTP_ANSWER_BYTES / limits::HTTP_FREE_ANSWER_BYTES)),
            held: Arc::new(Mutex::new(holding)),
        }
    }

    /// Shares out another amount from now on, for all that have a part of this. What is at work or on its way by the
    /// former amount, or waits for that, comes to its end beside it.
    pub(crate) fn resize(&self, bytes: usize) {
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = Room::new(bytes);
        let mut holding = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        holding.most = bytes;
        holding.make_room();
    }

    fn room(&self) -> Room {
        self.room.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a connection that has a seat may know of messages that came before, whoever sent them.
    pub(super) fn known_bytes(&self) -> usize {
        self.room().known_bytes
    }

    /// Waits for a seat.
    pub(super) async fn seat(&self) -> Option<Pass> {
        self.room().seats.acquire_owned().await.ok()
    }

    /// Waits for the one place beside the seats: for what is read for so long that others should not wait for it.
    pub(super) async fn large(&self) -> Option<Pass> {
        Arc::clone(&self.large).acquire_owned().await.ok()
    }

    /// Waits until a batch of so many bytes may be on its way; a larger one than all together goes alone.
    pub(super) async fn load(&self, bytes: usize) -> Option<Pass> {
        let Room { loads, load_grains, .. } = self.room();
        let grains = u32::try_from(bytes / GRAIN_BYTES + 1).unwrap_or(u32::MAX).min(load_grains);
        loads.acquire_many_owned(grains).await.ok()
    }

    /// Room for an answer of HTTP until its client has taken it, if there is any beside those that wait.
    pub(super) fn answer(&self, bytes: usize) -> Option<Pass> {
        let grains = u32::try_from(bytes / limits::HTTP_FREE_ANSWER_BYTES + 1).unwrap_or(u32::MAX);
        Arc::clone(&self.answers).try_acquire_many_owned(grains).ok()
    }

    /// What is held now.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// Takes note of what a connection keeps while it waits for its client; `None` for so little that all connections
    /// may.
    pub(super) fn hold(&self, bytes: usize) -> Option<Held> {
        (bytes > limits::FREE_BYTES).then(|| self.hold_for(bytes, &Arc::default()))
    }

    /// Takes note of what somebody keeps while it waits, however little it is; `evicted` hears when others need the memory
    /// more.
    pub(super) fn hold_for(&self, bytes: usize, evicted: &Arc<Notify>) -> Held {
        let mut holding = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let number = holding.next;
        holding.next += 1;
        holding.bytes = holding.bytes.saturating_add(bytes);
        holding.holders.insert(number, (bytes, Arc::clone(evicted)));
        holding.make_room();
        drop(holding);
        Held { number, evicted: Arc::clone(evicted), flight: Arc::clone(&self.held) }
    }
}

/// What one connection keeps while it waits for its client, or one request.
#[derive(Debug)]
pub(super) struct Held {
    number: u64,
    evicted: Arc<Notify>,
    flight: Arc<Mutex<Holding>>,
}

impl Held {
    /// Returns when others need the memory more; never when little is held.
    pub(super) async fn evicted(held: Option<&Self>) {
        match held {
            Some(held) => held.evicted.notified().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut holding = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((bytes, _)) = holding.holders.remove(&self.number) {
            holding.bytes = holding.bytes.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const MIB: usize = 1024 * 1024;

    async fn evicted(held: Option<&Held>) -> bool {
        timeout(Duration::from_millis(1), Held::evicted(held)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn seats_and_loads_are_waited_for_and_given_back() {
        let flight = Flight::new(2 * SEAT_BYTES);
        let seat = flight.seat().await;
        assert!(timeout(Duration::from_secs(1), flight.seat()).await.is_err(), "one seat");
        drop(seat);
        assert!(flight.seat().await.is_some());
        let large = flight.load(99 * SEAT_BYTES).await;
        assert!(timeout(Duration::from_secs(1), flight.load(1)).await.is_err(), "a load that takes all goes alone");
        drop(large);
        let (_some, _more) = (flight.load(SEAT_BYTES / 2).await, flight.load(SEAT_BYTES / 4).await);
        assert!(timeout(Duration::from_secs(1), flight.load(SEAT_BYTES / 2)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn another_amount_counts_at_once_and_who_has_something_of_the_former_one_keeps_it() {
        let flight = Flight::new(2 * MIB);
        let shared = flight.clone();
        let (all, seat, held) = (flight.load(99 * MIB).await, flight.seat().await, flight.hold(MIB));
        shared.resize(8 * MIB);
        let (more, another) = (flight.load(3 * MIB).await, timeout(Duration::from_secs(1), flight.seat()).await);
        assert!(more.is_some() && another.is_ok(), "there is room beside what has the former amount");
        assert!(timeout(Duration::from_secs(1), flight.load(2 * MIB)).await.is_err(), "it is bounded again");
        drop((all, seat, more));
        assert!(flight.load(4 * MIB).await.is_some());
        assert!(!evicted(held.as_ref()).await);
        shared.resize(MIB / 2);
        assert!(evicted(held.as_ref()).await, "less may be held, so the longest goes");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_waited_longest_makes_room_and_little_is_free() {
        let flight = Flight::new(3 * MIB);
        let little: Vec<_> = (0..1_000).map(|_| flight.hold(limits::FREE_BYTES)).collect();
        assert!(little.iter().all(Option::is_none));
        let (first, second, third) = (flight.hold(MIB), flight.hold(MIB), flight.hold(MIB));
        assert!(!evicted(first.as_ref()).await);
        let fourth = flight.hold(MIB);
        assert!(evicted(first.as_ref()).await && !evicted(second.as_ref()).await);
        drop(third);
        let fifth = flight.hold(MIB);
        assert!(!evicted(second.as_ref()).await && !evicted(fourth.as_ref()).await && !evicted(fifth.as_ref()).await);
        drop((first, second, fourth, fifth));
        assert_eq!(flight.held.lock().unwrap().bytes, 0);
    }
}
