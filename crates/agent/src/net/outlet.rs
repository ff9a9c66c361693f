//! Where packets for programs go, and a connection's view of it as a network card.

use std::cell::RefCell;

use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// The longest packet in either direction.
pub(crate) const MTU: usize = 65_535;

/// No headers are longer than this: IP and TCP, or IP, ICMP and the quoted IP.
const HEADERS: usize = 128;

/// Takes a packet.
type Sink = dyn Fn(&[u8]);

/// Sends packets to programs. One that cannot be taken is lost, as on any network.
pub(crate) struct Outlet {
    buffer: RefCell<Box<[u8]>>,
    send: Box<Sink>,
}

impl Outlet {
    pub(crate) fn new(send: impl Fn(&[u8]) + 'static) -> Self {
        Self {
            buffer: RefCell::new(vec![0; MTU].into()),
            send: Box::new(send),
        }
    }

    /// Sends a packet of `length` bytes that `fill` writes. Headers, some of whose fields are left
    /// alone, are zero before.
    pub(crate) fn send<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut buffer = self.buffer.borrow_mut();
        let packet = &mut buffer[..length];
        packet[..length.min(HEADERS)].fill(0);
        let filled = fill(packet);
        (self.send)(packet);
        filled
    }
}

/// A network card on which at most one packet has arrived.
pub(crate) struct Card<'a> {
    pub(crate) arrived: Option<&'a [u8]>,
    pub(crate) outlet: &'a Outlet,
}

pub(crate) struct Arrived<'a>(&'a [u8]);

impl Device for Card<'_> {
    type RxToken<'b>
        = Arrived<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = &'b Outlet
    where
        Self: 'b;

    fn receive(&mut self, _now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        Some((Arrived(self.arrived.take()?), self.outlet))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Self::TxToken<'_>> {
        Some(self.outlet)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        // What comes from the kernel inside was never on a wire.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

impl RxToken for Arrived<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for &Outlet {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        self.send(length, f)
    }
}
