//! How many connections each address has: one client cannot take all of them. Programs on this machine may.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections by address, shared by all listeners.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// How many each may have; `None`: any number.
    most: Option<usize>,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection of an address, as long as it lives.
#[derive(Debug)]
pub(super) struct Counted {
    address: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Addresses {
    /// At most `most` connections of one address.
    #[must_use]
    pub fn new(most: Option<usize>) -> Self {
        Self { most, ..Self::default() }
    }

    /// Another number for connections from now on; those that are open count on.
    #[must_use]
    pub fn with_most(&self, most: Option<usize>) -> Self {
        Self { most, open: Arc::clone(&self.open) }
    }

    /// Whether both let an address have as many.
    #[must_use]
    pub fn allows_as_many_as(&self, other: &Self) -> bool {
        self.most == other.most
    }

    /// Counts one more; `Err` when the address has as many as it may.
    pub(super) fn enter(&self, address: IpAddr) -> Result<Option<Counted>, usize> {
        let Some(most) = self.most.filter(|_| !address.is_loopback()) else { return Ok(None) };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = open.entry(address).or_default();
        if *of_it >= most {
            return Err(most);
        }
        *of_it += 1;
        Ok(Some(Counted { address, open: Arc::clone(&self.open) }))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_it) = open.get_mut(&self.address) {
            *of_it -= 1;
            if *of_it == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Addresses;

    #[test]
    fn an_address_has_its_own_number_and_gets_it_back() {
        let addresses = Addresses::new(Some(2));
        let (a, b) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let (first, second) = (addresses.enter(a), addresses.enter(a));
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(addresses.enter(a).unwrap_err(), 2);
        assert!(addresses.enter(b).is_ok());
        drop(second);
        assert!(addresses.enter(a).is_ok());
        drop(first);
        assert!(addresses.open.lock().unwrap().is_empty());
        assert!(Addresses::default().enter(a).unwrap().is_none());
        let (first, second) = (addresses.enter(a), addresses.enter(a));
        let fewer = addresses.with_most(Some(1));
        drop(first);
        assert_eq!(fewer.enter(a).unwrap_err(), 1, "one from before is open");
        drop(second);
        assert!(fewer.enter(a).is_ok());
        let local = [127, 0, 0, 1].into();
        assert!((0..9).all(|_| addresses.enter(local).is_ok()));
    }
}
