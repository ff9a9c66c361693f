//! Addresses that stand for names.
//!
//! An address is given for a name as long as the name is among the [`MAX_NAMES`] used last, or has a
//! connection. Addresses go round: one that was taken from a name comes back for another only after
//! all others.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::rc::Rc;

use super::address::{POOL, POOL_SIZE};

/// Names remembered at one time.
const MAX_NAMES: usize = 8192;

/// Names and their addresses. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Pool {
    names: Rc<RefCell<Names>>,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<Rc<str>, u32>,
    by_number: HashMap<u32, Entry>,
    /// What may be forgotten, by its last use.
    idle: BTreeMap<u64, u32>,
    clock: u64,
    next: u32,
}

struct Entry {
    name: Rc<str>,
    used: u64,
    connections: usize,
}

/// A name that is not forgotten while this is there.
pub(crate) struct Held {
    pool: Pool,
    number: u32,
    name: Rc<str>,
}

impl Pool {
    /// The address of a name; `None` if every name that is remembered has a connection.
    pub(crate) fn address(&self, name: &str) -> Option<Ipv4Addr> {
        let mut names = self.names.borrow_mut();
        let number = match names.by_name.get(name) {
            Some(number) => *number,
            None => names.add(name)?,
        };
        names.touch(number, 0);
        Some(Ipv4Addr::from_bits(POOL.to_bits() + number))
    }

    /// The name of an address, for a connection.
    pub(crate) fn hold(&self, address: Ipv4Addr) -> Option<Held> {
        let number = address.to_bits().checked_sub(POOL.to_bits())?;
        let mut names = self.names.borrow_mut();
        let name = Rc::clone(&names.by_number.get(&number)?.name);
        names.touch(number, 1);
        let pool = self.clone();
        Some(Held { pool, number, name })
    }
}

impl Names {
    fn add(&mut self, name: &str) -> Option<u32> {
        if self.by_number.len() >= MAX_NAMES {
            let (_, forgotten) = self.idle.pop_first()?;
            if let Some(entry) = self.by_number.remove(&forgotten) {
                self.by_name.remove(&entry.name);
            }
        }
        // There are more addresses than names.
        while self.by_number.contains_key(&self.next) {
            self.next = (self.next + 1) % POOL_SIZE;
        }
        let number = self.next;
        self.next = (self.next + 1) % POOL_SIZE;
        let name: Rc<str> = name.into();
        self.by_name.insert(Rc::clone(&name), number);
        let entry = Entry {
            name,
            used: 0,
            connections: 0,
        };
        self.by_number.insert(number, entry);
        Some(number)
    }

    /// Marks a name as used now, with so many more or fewer connections.
    fn touch(&mut self, number: u32, change: isize) {
        self.clock += 1;
        let Some(entry) = self.by_number.get_mut(&number) else {
            return;
        };
        self.idle.remove(&entry.used);
        entry.used = self.clock;
        entry.connections = entry.connections.saturating_add_signed(change);
        if entry.connections == 0 {
            self.idle.insert(self.clock, number);
        }
    }
}

impl Held {
    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.pool.names.borrow_mut().touch(self.number, -1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(number: usize) -> String {
        format!("n{number}.example")
    }

    #[test]
    fn a_name_keeps_its_address() {
        let pool = Pool::default();
        let first = pool.address("a.example").unwrap();
        let second = pool.address("b.example").unwrap();
        assert_ne!(first, second);
        assert_eq!(pool.address("a.example"), Some(first));
        assert_eq!(pool.hold(second).unwrap().name(), "b.example");
        assert!(pool.hold(Ipv4Addr::new(198, 18, 9, 9)).is_none());
        assert!(pool.hold(Ipv4Addr::new(1, 1, 1, 1)).is_none());
    }

    #[test]
    fn the_name_used_longest_ago_is_forgotten_unless_it_has_a_connection() {
        let pool = Pool::default();
        let held_address = pool.address("held.example").unwrap();
        let held = pool.hold(held_address).unwrap();
        let idle_address = pool.address("idle.example").unwrap();
        for number in 0..MAX_NAMES {
            pool.address(&name(number)).unwrap();
        }
        assert!(pool.hold(idle_address).is_none());
        assert_eq!(pool.hold(held_address).unwrap().name(), "held.example");
        drop(held);
        for number in 0..MAX_NAMES {
            pool.address(&name(MAX_NAMES + number)).unwrap();
        }
        assert!(pool.hold(held_address).is_none());
        assert_eq!(pool.names.borrow().by_number.len(), MAX_NAMES);
    }

    #[test]
    fn an_address_comes_back_for_another_name_only_after_all_others() {
        let pool = Pool::default();
        let first = pool.address("first.example").unwrap();
        let size = usize::try_from(POOL_SIZE).unwrap();
        for number in 1..size {
            assert_ne!(pool.address(&name(number)).unwrap(), first);
        }
        assert_eq!(pool.address("again.example"), Some(first));
    }

    #[test]
    fn without_a_name_to_forget_there_is_no_address() {
        let pool = Pool::default();
        let held: Vec<_> = (0..MAX_NAMES)
            .map(|number| pool.hold(pool.address(&name(number)).unwrap()).unwrap())
            .collect();
        assert_eq!(pool.address("one.more"), None);
        assert!(pool.address(&name(3)).is_some());
        drop(held);
        assert!(pool.address("one.more").is_some());
    }

    proptest! {
        #[test]
        fn a_held_address_always_means_its_name(
            steps in proptest::collection::vec((0usize..40, any::<bool>()), 1..200),
        ) {
            let pool = Pool::default();
            let mut held: HashMap<Ipv4Addr, (Held, String)> = HashMap::new();
            for (number, hold) in steps {
                let name = name(number);
                let address = pool.address(&name).unwrap();
                if hold {
                    held.insert(address, (pool.hold(address).unwrap(), name));
                } else {
                    held.remove(&address);
                }
                for (address, (held, name)) in &held {
                    prop_assert_eq!(held.name(), name);
                    prop_assert_eq!(pool.address(name), Some(*address));
                }
            }
            held.clear();
            let names = pool.names.borrow();
            prop_assert_eq!(names.idle.len(), names.by_number.len());
            prop_assert_eq!(names.by_name.len(), names.by_number.len());
        }
    }
}
