//! What becomes of each packet that a program sends.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vm0_guest::frame::{self, MAX_GUEST_FRAME};
use vm0_guest::{GuestHeader, Mux, MuxStream};

use super::address::{self, RESOLVER};
use super::flow::Shared;
use super::outlet::{MTU, Outlet};
use super::packet::{self, Incoming};
use super::pool::{Held, Pool};
use super::resolver;
use super::segment::{Segments, refuse};
use super::socks;
use super::tun::Tun;

const DNS: u16 = 53;
/// Bytes in flight to and from the resolver on one connection.
const DNS_BUFFER_BYTES: usize = 4096;

/// Opens streams to the host.
pub(crate) trait Host: Clone + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// Opens a stream to the host's gateway.
    fn open(&self) -> impl Future<Output = io::Result<Self::Stream>>;
}

impl Host for Mux {
    type Stream = MuxStream;

    async fn open(&self) -> io::Result<MuxStream> {
        let mut stream = Self::open(self).await.map_err(io::Error::other)?;
        frame::write(&mut stream, &GuestHeader::Forward, MAX_GUEST_FRAME)
            .await
            .map_err(io::Error::other)?;
        Ok(stream)
    }
}

/// Serves the interface until it fails, which it does not while the sandbox lives. `permits` are for
/// connections to the host.
pub(crate) async fn serve(tun: Tun, host: Mux, permits: Arc<Semaphore>) {
    let tun = Rc::new(tun);
    let sender = Rc::clone(&tun);
    let outlet = Outlet::new(move |packet| sender.send(packet));
    let stack = Stack::new(outlet, host, permits);
    let mut buffer = vec![0; MTU];
    loop {
        match tun.receive(&mut buffer).await {
            Ok(length) => stack.arrive(&buffer[..length]),
            Err(error) => {
                eprintln!("vm0 agent: cannot read from the interface: {error}");
                return;
            }
        }
    }
}

/// A connection's program port and destination; the program's address is always the same.
type Key = (u16, SocketAddrV4);

/// All connections.
pub(crate) struct Stack<H> {
    outlet: Rc<Outlet>,
    host: H,
    permits: Arc<Semaphore>,
    resolver_permits: Arc<Semaphore>,
    pool: Pool,
    flows: Rc<RefCell<HashMap<Key, Stage>>>,
}

enum Stage {
    /// The host is being asked.
    Opening,
    Open(Shared),
}

/// Removes a connection from the table.
struct Entered {
    flows: Rc<RefCell<HashMap<Key, Stage>>>,
    key: Key,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.flows.borrow_mut().remove(&self.key);
    }
}

/// Where a connection is to be taken.
enum Destination {
    Resolver,
    Name(Held),
    Address,
}

impl<H: Host> Stack<H> {
    pub(crate) fn new(outlet: Outlet, host: H, permits: Arc<Semaphore>) -> Self {
        Self {
            outlet: Rc::new(outlet),
            host,
            permits,
            resolver_permits: Arc::new(Semaphore::new(resolver::MAX_CONNECTIONS)),
            pool: Pool::default(),
            flows: Rc::default(),
        }
    }

    /// Takes a packet from a program.
    pub(crate) fn arrive(&self, packet: &[u8]) {
        match packet::parse(packet) {
            None => {}
            Some(Incoming::Udp { from, to, payload }) => {
                // Whichever resolver a program knows, it is this one.
                if to.port() != DNS {
                    packet::send_unreachable(&self.outlet, packet);
                } else if let Some(reply) = resolver::reply(&self.pool, payload) {
                    packet::send_datagram(&self.outlet, to, from, &reply);
                }
            }
            Some(Incoming::Tcp { from, to, begins }) => {
                let key = (from, to);
                let flow = match self.flows.borrow().get(&key) {
                    Some(Stage::Open(flow)) => Some(flow.clone()),
                    Some(Stage::Opening) => return,
                    None => None,
                };
                match flow {
                    Some(flow) => flow.arrive(packet),
                    None if begins => self.begin(key, packet),
                    None => refuse(packet, to, &self.outlet),
                }
            }
        }
    }

    fn begin(&self, key: Key, begin: &[u8]) {
        let (_, to) = key;
        let Some(destination) = self.destination(to) else {
            return refuse(begin, to, &self.outlet);
        };
        let permits = match destination {
            Destination::Resolver => &self.resolver_permits,
            Destination::Name(_) | Destination::Address => &self.permits,
        };
        // Without a permit the program's kernel asks again after a while: it waits.
        let Ok(permit) = Arc::clone(permits).try_acquire_owned() else {
            return;
        };
        self.flows.borrow_mut().insert(key, Stage::Opening);
        let entered = Entered {
            flows: Rc::clone(&self.flows),
            key,
        };
        let (begin, outlet) = (begin.to_vec(), Rc::clone(&self.outlet));
        match destination {
            Destination::Resolver => {
                let (near, far) = tokio::io::duplex(DNS_BUFFER_BYTES);
                tokio::task::spawn_local(self.resolve(far, permit));
                tokio::task::spawn_local(carry(entered, begin, outlet, near));
            }
            Destination::Name(held) => {
                tokio::task::spawn_local(self.forward(entered, begin, Some(held), permit));
            }
            Destination::Address => {
                tokio::task::spawn_local(self.forward(entered, begin, None, permit));
            }
        }
    }

    /// `None` if nothing can be there.
    fn destination(&self, to: SocketAddrV4) -> Option<Destination> {
        if to.port() == 0 {
            return None;
        }
        if !address::is_inside(*to.ip()) {
            return Some(Destination::Address);
        }
        if (*to.ip(), to.port()) == (RESOLVER, DNS) {
            return Some(Destination::Resolver);
        }
        self.pool.hold(*to.ip()).map(Destination::Name)
    }

    fn resolve(
        &self,
        stream: DuplexStream,
        permit: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + use<H> {
        let pool = self.pool.clone();
        async move {
            resolver::serve(&pool, stream).await;
            drop(permit);
        }
    }

    fn forward(
        &self,
        entered: Entered,
        begin: Vec<u8>,
        held: Option<Held>,
        permit: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + use<H> {
        let (host, outlet) = (self.host.clone(), Rc::clone(&self.outlet));
        async move {
            let (_, to) = entered.key;
            let name = held.as_ref().map(Held::name);
            match connect(&host, name, to).await {
                Ok(stream) => carry(entered, begin, outlet, stream).await,
                Err(_) => {
                    // First, so that the program may try again from the same port at once.
                    drop(entered);
                    refuse(&begin, to, &outlet);
                }
            }
            drop((held, permit));
        }
    }
}

async fn connect<H: Host>(host: &H, name: Option<&str>, to: SocketAddrV4) -> io::Result<H::Stream> {
    let mut stream = host.open().await?;
    let destination = name.map_or(socks::Host::Address(*to.ip()), socks::Host::Name);
    socks::connect(&mut stream, destination, to.port()).await?;
    Ok(stream)
}

/// Accepts a connection and carries it to its end.
async fn carry<S>(entered: Entered, begin: Vec<u8>, outlet: Rc<Outlet>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (_, to) = entered.key;
    let flow = Shared::new(Segments::accept(&begin, to, outlet));
    let stage = Stage::Open(flow.clone());
    entered.flows.borrow_mut().insert(entered.key, stage);
    flow.carry(stream).await;
}
