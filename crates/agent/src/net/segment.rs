//! The TCP of one connection: what arrives from a program and what is to be sent to it.
//!
//! Each connection has a TCP/IP stack of its own, so that no packet costs more with more
//! connections, and nothing of one can reach another.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{RecvError, Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr, Ipv4Cidr};

use super::outlet::{Card, Outlet};

/// Bytes that wait in one direction of one connection.
pub(crate) const BUFFER_BYTES: usize = 128 * 1024;

/// How long nothing is said before the program's kernel is asked whether it is still there: a
/// program that has gone and could not say so is missed in the end.
const KEEP_ALIVE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(60);
/// The same while there is something to send. smoltcp forgets to send again what a kernel dropped
/// for want of memory when it closed its window; the third answer to this reminds it.
const REMINDER: smoltcp::time::Duration = smoltcp::time::Duration::from_millis(200);

/// The program's end of a connection, seen from here.
pub(crate) struct Segments {
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    outlet: Rc<Outlet>,
    start: std::time::Instant,
}

/// What can be said of what a program sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// There may be more.
    Open,
    /// All of it has been taken.
    Ended,
    /// It was broken off.
    Broken,
}

impl Segments {
    /// Accepts the connection that the packet `begin` begins.
    pub(crate) fn accept(begin: &[u8], to: SocketAddrV4, outlet: Rc<Outlet>) -> Self {
        let buffer = || SocketBuffer::new(vec![0; BUFFER_BYTES]);
        let mut socket = Socket::new(buffer(), buffer());
        // The other end is the same machine: nothing is gained by waiting.
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        let listening = socket.listen((*to.ip(), to.port()));
        debug_assert!(listening.is_ok(), "port 0 is refused before");
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        let mut segments = Self {
            interface: interface(to, &outlet),
            sockets,
            handle,
            outlet,
            start: std::time::Instant::now(),
        };
        segments.arrive(begin);
        segments
    }

    /// Takes a packet of this connection.
    pub(crate) fn arrive(&mut self, packet: &[u8]) {
        let now = self.now();
        let mut card = Card {
            arrived: Some(packet),
            outlet: &self.outlet,
        };
        self.interface
            .poll_ingress_single(now, &mut card, &mut self.sockets);
    }

    /// Sends what is to be sent by now; after how long there may be more without anything arriving.
    pub(crate) fn depart(&mut self) -> Option<Duration> {
        let now = self.now();
        let socket = self.socket();
        let silence = if socket.send_queue() == 0 {
            KEEP_ALIVE
        } else {
            REMINDER
        };
        socket.set_keep_alive(Some(silence));
        let mut card = Card {
            arrived: None,
            outlet: &self.outlet,
        };
        self.interface.poll(now, &mut card, &mut self.sockets);
        let delay = self.interface.poll_delay(now, &self.sockets)?;
        Some(Duration::from_micros(delay.total_micros()))
    }

    /// Gives bytes that the program sent to `take`, which says how many it took.
    pub(crate) fn take(&mut self, take: impl FnOnce(&[u8]) -> usize) -> Sending {
        let socket = self.socket();
        if socket.state() == State::SynReceived {
            return Sending::Open;
        }
        let taken = socket.recv(|bytes| {
            let count = if bytes.is_empty() { 0 } else { take(bytes) };
            (count, ())
        });
        match taken {
            Ok(()) => Sending::Open,
            Err(RecvError::Finished) => Sending::Ended,
            Err(RecvError::InvalidState) => Sending::Broken,
        }
    }

    /// Has `put` write bytes for the program where there is room; it says how many it wrote.
    pub(crate) fn put(&mut self, put: impl FnOnce(&mut [u8]) -> usize) {
        let socket = self.socket();
        if socket.can_send() {
            let put = socket.send(|room| (if room.is_empty() { 0 } else { put(room) }, ()));
            debug_assert!(put.is_ok(), "asked before");
        }
    }

    /// Says that nothing more will be put, once all that was has arrived; whether it has.
    ///
    /// Not before: smoltcp takes no notice of a window that opens after it has said so.
    pub(crate) fn finish(&mut self) -> bool {
        let arrived = self.socket().send_queue() == 0;
        if arrived {
            self.socket().close();
        }
        arrived
    }

    /// Breaks the connection off.
    pub(crate) fn abort(&mut self) {
        self.socket().abort();
        self.depart();
    }

    /// Whether neither end has anything left to say.
    pub(crate) fn is_over(&mut self) -> bool {
        matches!(self.socket().state(), State::Closed | State::TimeWait)
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn now(&self) -> Instant {
        let micros = i64::try_from(self.start.elapsed().as_micros());
        Instant::from_micros(micros.unwrap_or(i64::MAX))
    }
}

/// Refuses the connection that the packet `begin` begins.
pub(crate) fn refuse(begin: &[u8], to: SocketAddrV4, outlet: &Outlet) {
    let mut sockets = SocketSet::new(Vec::new());
    let mut card = Card {
        arrived: Some(begin),
        outlet,
    };
    interface(to, outlet).poll_ingress_single(Instant::ZERO, &mut card, &mut sockets);
}

/// A stack with one address, to which everything is near.
fn interface(to: SocketAddrV4, outlet: &Outlet) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = RandomState::new().build_hasher().finish();
    let mut card = Card {
        arrived: None,
        outlet,
    };
    let mut interface = Interface::new(config, &mut card, Instant::ZERO);
    interface.update_ip_addrs(|addresses| {
        let near = IpCidr::Ipv4(Ipv4Cidr::new(*to.ip(), 0));
        let added = addresses.push(near);
        debug_assert!(added.is_ok(), "there is room for one address");
    });
    interface
}
