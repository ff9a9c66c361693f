//! The stack with a program's kernel in front of it: one TCP stack against the other, without an
//! interface between them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr, Ipv4Cidr};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Semaphore, mpsc};

use super::address::OWN;
use super::outlet::{Card, Outlet};
use super::segment::BUFFER_BYTES;
use super::stack::{Host, Stack};

const STREAM_BYTES: usize = 64 * 1024;
const ANYWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(9, 9, 9, 9), 80);
const SUCCESS: &[u8] = b"\x05\0\x05\0\0\x01\0\0\0\0\0\0";
const REFUSAL: &[u8] = b"\x05\0\x05\x02\0\x01\0\0\0\0\0\0";

type Packets = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// A host whose streams the test takes.
#[derive(Clone)]
struct Streams(mpsc::UnboundedSender<DuplexStream>);

impl Host for Streams {
    type Stream = DuplexStream;

    async fn open(&self) -> io::Result<DuplexStream> {
        let (near, far) = tokio::io::duplex(STREAM_BYTES);
        self.0.send(far).map_err(io::Error::other)?;
        Ok(near)
    }
}

/// A program's kernel, the stack that it talks to, and the host's end of its connections.
struct World {
    stack: Stack<Streams>,
    streams: mpsc::UnboundedReceiver<DuplexStream>,
    to_program: Packets,
    to_stack: Packets,
    outlet: Outlet,
    interface: Interface,
    sockets: SocketSet<'static>,
    /// Of so many packets one is lost, if any.
    loss: Option<u32>,
    /// Decides which.
    chance: Cell<u32>,
    start: std::time::Instant,
}

fn collect(packets: &Packets) -> Outlet {
    let packets = Rc::clone(packets);
    Outlet::new(move |packet| packets.borrow_mut().push_back(packet.to_vec()))
}

impl World {
    fn new(permits: usize) -> Self {
        let (sender, streams) = mpsc::unbounded_channel();
        let (to_program, to_stack) = (Packets::default(), Packets::default());
        let permits = Arc::new(Semaphore::new(permits));
        let outlet = collect(&to_stack);
        let mut card = Card {
            arrived: None,
            outlet: &outlet,
        };
        let config = Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut card, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let near = IpCidr::Ipv4(Ipv4Cidr::new(OWN, 0));
            addresses.push(near).unwrap();
        });
        Self {
            stack: Stack::new(collect(&to_program), Streams(sender), permits),
            streams,
            to_program,
            to_stack,
            outlet,
            interface,
            sockets: SocketSet::new(Vec::new()),
            loss: None,
            chance: Cell::new(1),
            start: std::time::Instant::now(),
        }
    }

    fn connect(&mut self, to: SocketAddrV4, port: u16) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; STREAM_BYTES]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        // As in `Segments`, and as no kernel needs it.
        socket.set_keep_alive(Some(smoltcp::time::Duration::from_millis(200)));
        let context = self.interface.context();
        socket
            .connect(context, (*to.ip(), to.port()), port)
            .unwrap();
        self.sockets.add(socket)
    }

    fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    fn is_lost(&self) -> bool {
        let next = self.chance.get().wrapping_mul(1_664_525);
        self.chance.set(next.wrapping_add(1_013_904_223));
        self.loss
            .is_some_and(|loss| (self.chance.get() >> 16).is_multiple_of(loss))
    }

    /// Lets packets pass both ways, and the stack's tasks work, for one round.
    async fn round(&mut self) {
        let micros = i64::try_from(self.start.elapsed().as_micros()).unwrap();
        let now = Instant::from_micros(micros);
        loop {
            let arrived = self.to_program.borrow_mut().pop_front();
            let ended = arrived.is_none();
            if arrived.is_some() && self.is_lost() {
                continue;
            }
            let mut card = Card {
                arrived: arrived.as_deref(),
                outlet: &self.outlet,
            };
            self.interface.poll(now, &mut card, &mut self.sockets);
            if ended {
                break;
            }
        }
        loop {
            let Some(packet) = self.to_stack.borrow_mut().pop_front() else {
                break;
            };
            if !self.is_lost() {
                self.stack.arrive(&packet);
            }
        }
        if self.to_program.borrow().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }

    /// Goes on until `done`.
    async fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        while !done(self) {
            self.round().await;
        }
    }

    /// Goes on while `work` is done at the host.
    async fn during<T>(&mut self, work: impl Future<Output = T> + 'static) -> T
    where
        T: 'static,
    {
        let work = tokio::task::spawn_local(work);
        self.until(|_| work.is_finished()).await;
        work.await.unwrap()
    }

    /// The host's end of the next connection, with what was asked for it.
    async fn asked(&mut self) -> (DuplexStream, Vec<u8>) {
        let mut next = None;
        self.until(|world| {
            next = world.streams.try_recv().ok();
            next.is_some()
        })
        .await;
        let mut stream = next.unwrap();
        self.during(async move {
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            request.truncate(length);
            (stream, request)
        })
        .await
    }

    /// A connection that both ends think is there.
    async fn connected(&mut self) -> (SocketHandle, DuplexStream) {
        let handle = self.connect(ANYWHERE, 5000);
        let (mut stream, _) = self.asked().await;
        stream.write_all(SUCCESS).await.unwrap();
        self.until(|world| world.socket(handle).state() == State::Established)
            .await;
        (handle, stream)
    }
}

/// Runs a test on the kind of runtime that PID 1 has.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(60), test)
            .await
            .expect("the connection comes to its end");
    });
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| u8::try_from(index.wrapping_mul(31) % 251).unwrap())
        .collect()
}

#[test]
fn a_program_is_connected_only_once_the_host_is() {
    run(async {
        let mut world = World::new(4);
        let handle = world.connect(ANYWHERE, 5000);
        let (mut stream, request) = world.asked().await;
        assert_eq!(request, b"\x05\x01\0\x05\x01\0\x01\x09\x09\x09\x09\0\x50");
        for _ in 0..20 {
            world.round().await;
        }
        assert_eq!(world.socket(handle).state(), State::SynSent);
        stream.write_all(SUCCESS).await.unwrap();
        world
            .until(|world| world.socket(handle).state() == State::Established)
            .await;
    });
}

#[test]
fn a_refused_program_is_told_so_and_may_try_again() {
    run(async {
        let mut world = World::new(1);
        for _ in 0..3 {
            let handle = world.connect(ANYWHERE, 5000);
            let (mut stream, _) = world.asked().await;
            stream.write_all(REFUSAL).await.unwrap();
            world
                .until(|world| world.socket(handle).state() == State::Closed)
                .await;
        }
    });
}

#[test]
fn an_address_that_stands_for_no_name_and_an_unknown_connection_are_refused() {
    run(async {
        let mut world = World::new(1);
        let unknown = SocketAddrV4::new(Ipv4Addr::new(198, 18, 7, 7), 80);
        let handle = world.connect(unknown, 5000);
        world
            .until(|world| world.socket(handle).state() == State::Closed)
            .await;
        assert!(world.streams.try_recv().is_err());
    });
}

#[test]
fn both_directions_arrive_whole_and_end_one_after_the_other() {
    let lossy = [2, 3, 7].map(|chance| (150_000, Some(12), chance));
    for (length, loss, chance) in [(600_000, None, 1)].into_iter().chain(lossy) {
        run(async move {
            let mut world = World::new(1);
            let (handle, mut stream) = world.connected().await;
            world.loss = loss;
            world.chance.set(chance);
            let (up, down) = (bytes(length), bytes(length - 1000));
            let (sent, expected) = (down.clone(), up.clone());
            let host = tokio::task::spawn_local(async move {
                let mut received = Vec::new();
                stream.read_to_end(&mut received).await.unwrap();
                assert_eq!(received, expected);
                // The other direction goes on after the end of this one.
                stream.write_all(&sent).await.unwrap();
                stream.shutdown().await.unwrap();
                stream
            });
            let mut written = 0;
            let mut received = Vec::new();
            world
                .until(|world| {
                    let socket = world.socket(handle);
                    if socket.can_send() && written < up.len() {
                        written += socket.send_slice(&up[written..]).unwrap();
                        if written == up.len() {
                            socket.close();
                        }
                    }
                    let _ = socket.recv(|bytes| {
                        received.extend_from_slice(bytes);
                        (bytes.len(), ())
                    });
                    matches!(socket.state(), State::TimeWait | State::Closed)
                })
                .await;
            assert!(received == down, "{} of {}", received.len(), down.len());
            host.await.unwrap();
        });
    }
}

#[test]
fn a_host_that_does_not_read_blocks_its_program_and_no_other() {
    run(async {
        let mut world = World::new(2);
        let (stuck, _kept) = world.connected().await;
        let chunk = bytes(STREAM_BYTES);
        let mut written = 0;
        let mut idle = 0;
        world
            .until(|world| {
                let count = world.socket(stuck).send_slice(&chunk).unwrap();
                written += count;
                idle = if count == 0 { idle + 1 } else { 0 };
                idle > 200
            })
            .await;
        assert!(written <= BUFFER_BYTES + 2 * STREAM_BYTES, "{written}");
        let other = world.connect(ANYWHERE, 5001);
        let (mut stream, _) = world.asked().await;
        stream.write_all(SUCCESS).await.unwrap();
        world.until(|world| world.socket(other).can_send()).await;
        world.socket(other).send_slice(b"x").unwrap();
        let read = world.during(async move { stream.read_u8().await.unwrap() });
        assert_eq!(read.await, b'x');
    });
}

#[test]
fn without_a_permit_a_program_waits_for_one() {
    run(async {
        let mut world = World::new(1);
        let (first, stream) = world.connected().await;
        let second = world.connect(ANYWHERE, 5001);
        for _ in 0..20 {
            world.round().await;
        }
        assert!(world.streams.try_recv().is_err());
        assert_eq!(world.socket(second).state(), State::SynSent);
        world.socket(first).close();
        drop(stream);
        let _asked = world.asked().await;
    });
}

#[test]
fn a_connection_that_either_end_breaks_off_is_gone() {
    run(async {
        let mut world = World::new(1);
        let (handle, mut stream) = world.connected().await;
        world.socket(handle).abort();
        let ended = world.during(async move { stream.read(&mut [0; 8]).await.unwrap() });
        assert_eq!(ended.await, 0);
        let (handle, stream) = world.connected().await;
        drop(stream);
        world.socket(handle).send_slice(b"anyone?").unwrap();
        world.until(|world| !world.socket(handle).may_send()).await;
    });
}

/// A segment of the connection from port 5000 to [`ANYWHERE`].
fn segment(control: u8, sequence: u32, acknowledged: u32, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0];
    packet.extend_from_slice(&OWN.octets());
    packet.extend_from_slice(&ANYWHERE.ip().octets());
    packet.extend_from_slice(&5000u16.to_be_bytes());
    packet.extend_from_slice(&ANYWHERE.port().to_be_bytes());
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&acknowledged.to_be_bytes());
    packet.extend_from_slice(&[0x50, control, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend_from_slice(rest);
    let length = u16::try_from(packet.len()).unwrap();
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_segments_neither_panic_nor_are_answered_without_end(
        segments in vec(
            (any::<u8>(), any::<u32>(), any::<u32>(), 5u8..16, vec(any::<u8>(), 0..80)),
            1..40,
        ),
        near in any::<bool>(),
    ) {
        run(async move {
            let mut world = World::new(2);
            let (handle, stream) = world.connected().await;
            world.to_program.borrow_mut().clear();
            let count = segments.len();
            for (control, sequence, acknowledged, header, rest) in segments {
                let sequence = if near { sequence % (1 << 18) } else { sequence };
                let mut packet = segment(control, sequence, acknowledged, &rest);
                packet[32] = header << 4;
                world.stack.arrive(&packet);
            }
            tokio::task::yield_now().await;
            assert!(world.to_program.borrow().len() <= 2 * count + 2);
            drop((handle, stream));
        });
    }
}
