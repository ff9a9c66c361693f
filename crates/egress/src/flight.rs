//! The requests that are under way on a connection, so that a change of the policy can cut those
//! that it forbids.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::host::Target;
use crate::policy::{Policy, RequestView};

/// The requests under way on one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flights {
    under_way: Arc<Mutex<HashMap<u64, Flight>>>,
}

#[derive(Debug)]
struct Flight {
    target: Target,
    addresses: Vec<IpAddr>,
    request: RequestView,
    cut: Arc<AtomicBool>,
}

/// One request under way, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Airborne {
    flights: Flights,
    number: u64,
    cut: Arc<AtomicBool>,
}

impl Flights {
    /// Notes that `request` was allowed to go to `addresses`.
    pub(crate) fn take_off(
        &self,
        target: &Target,
        addresses: &[IpAddr],
        request: RequestView,
    ) -> Airborne {
        let cut = Arc::new(AtomicBool::new(false));
        let flight = Flight {
            target: target.clone(),
            addresses: addresses.to_vec(),
            request,
            cut: Arc::clone(&cut),
        };
        let mut under_way = self.lock();
        let number = under_way.keys().max().map_or(0, |last| last + 1);
        under_way.insert(number, flight);
        Airborne {
            flights: self.clone(),
            number,
            cut,
        }
    }

    /// Whether `policy` allows everything that is under way; what it does not is marked as cut.
    pub(crate) fn allowed_by(&self, policy: &Policy) -> bool {
        let mut allowed = true;
        for flight in self.lock().values() {
            let request = Some(&flight.request);
            if !policy.allows_all(&flight.target, &flight.addresses, request) {
                flight.cut.store(true, Ordering::Relaxed);
                allowed = false;
            }
        }
        allowed
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Flight>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Airborne {
    /// Whether a change of the policy has cut it.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

impl Drop for Airborne {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.number);
    }
}
