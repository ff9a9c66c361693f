//! Sockets of all kinds: into the kernel, onto the network, to the host's own programs.

use std::env;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use crate::outcome::{Attempt, nothing};
use crate::registry::Probe;
use crate::sys::{call, descriptor};

const AF_KEY: i32 = 15;
const PATIENCE: Duration = Duration::from_secs(2);
const NETLINK_ROUTE: i32 = 0;
const NETLINK_XFRM: i32 = 6;
const NETLINK_AUDIT: i32 = 9;
const NETLINK_UEVENT: i32 = 15;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const XFRM_MSG_FLUSHPOLICY: u16 = 0x1d;
const AUDIT_GET: u16 = 1000;
/// A request that is to be acknowledged and makes what it names.
const REQUEST: u16 = 0x1 | 0x4 | 0x400;

pub(crate) const PROBES: &[Probe] = &[
    Probe::private("raw-icmp", || socket(libc::AF_INET, libc::SOCK_RAW, 1)),
    Probe::private("raw-ip", || socket(libc::AF_INET, libc::SOCK_RAW, 255)),
    Probe::private("raw-icmp6", || socket(libc::AF_INET6, libc::SOCK_RAW, 58)),
    Probe::private("packet", || socket(libc::AF_PACKET, libc::SOCK_RAW, 0x0300)),
    Probe::private("packet-datagram", || {
        socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0x0300)
    }),
    Probe::private("xdp", || socket(libc::AF_XDP, libc::SOCK_RAW, 0)),
    Probe::private("ipsec-keys", || socket(AF_KEY, libc::SOCK_RAW, 2)),
    Probe::host("vsock", || socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
    Probe::host("kernel-crypto", || {
        socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)
    }),
    Probe::private("netlink-address", netlink_address),
    Probe::private("netlink-route", netlink_route),
    Probe::private("netlink-xfrm", || {
        netlink(NETLINK_XFRM, XFRM_MSG_FLUSHPOLICY, &[0; 4])
    }),
    Probe::host("netlink-audit", || netlink(NETLINK_AUDIT, AUDIT_GET, &[])),
    Probe::host("netlink-uevent", netlink_uevent),
    Probe::private("interface-flags", interface_flags),
    Probe::private("socket-mark", || option(libc::SOL_SOCKET, libc::SO_MARK)),
    Probe::private("socket-force-buffer", force_buffer),
    Probe::private("socket-transparent", || {
        option(libc::IPPROTO_IP, libc::IP_TRANSPARENT)
    }),
    Probe::private("tcp-repair", || option(libc::IPPROTO_TCP, libc::TCP_REPAIR)),
    Probe::host("host-tcp-loopback", || tcp("PROBE_LOOPBACK")),
    Probe::host("host-tcp-address", || tcp("PROBE_ADDRESS")),
    Probe::host("host-udp", udp),
    Probe::host("host-abstract-socket", abstract_socket),
    Probe::host("host-socket-file", socket_file),
];

fn open(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_CLOEXEC;
    Ok(descriptor(call!(libc::SYS_socket, family, kind, protocol)?))
}

fn socket(family: i32, kind: i32, protocol: i32) -> Attempt {
    open(family, kind, protocol)?;
    Ok(format!("a socket of family {family}"))
}

/// Sets an option and asks whether it is set: gVisor takes some and forgets them.
fn option(level: i32, name: i32) -> Attempt {
    let socket = open(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    let number = socket.as_raw_fd();
    let mut value = [1_i32];
    call!(libc::SYS_setsockopt, number, level, name, &value[..], 4)?;
    value = [0];
    let mut length = [4_u32];
    call!(
        libc::SYS_getsockopt,
        number,
        level,
        name,
        &mut value[..],
        &mut length[..]
    )?;
    if value[0] == 0 {
        return Err(nothing("it is not set"));
    }
    Ok(format!("option {name} is {}", value[0]))
}

/// More memory of the kernel than others may have.
fn force_buffer() -> Attempt {
    let socket = open(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    call!(
        libc::SYS_setsockopt,
        socket.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        &[1_i32 << 20][..],
        4
    )?;
    Ok("a buffer of any size".to_owned())
}

/// Sends one request and reads the kernel's acknowledgement.
fn netlink(protocol: i32, kind: u16, payload: &[u8]) -> Attempt {
    let socket = open(libc::AF_NETLINK, libc::SOCK_RAW, protocol)?;
    let length = u32::try_from(16 + payload.len()).map_err(io::Error::other)?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(payload);
    let kernel = [u32::from(libc::AF_NETLINK.unsigned_abs() as u16), 0, 0];
    call!(
        libc::SYS_sendto,
        socket.as_raw_fd(),
        message.as_slice(),
        message.len(),
        0,
        &kernel[..],
        12
    )?;
    let mut answer = [0_u8; 4096];
    let count = call!(
        libc::SYS_recvfrom,
        socket.as_raw_fd(),
        &mut answer[..],
        4096,
        0,
        0,
        0
    )?;
    if count < 20 {
        return Err(nothing("the answer is short"));
    }
    let kind = u16::from_ne_bytes([answer[4], answer[5]]);
    let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if kind == 2 && code != 0 {
        return Err(io::Error::from_raw_os_error(-code));
    }
    Ok("the kernel obeys".to_owned())
}

/// Gives the loopback interface another address.
fn netlink_address() -> Attempt {
    let mut payload = vec![2, 32, 0, 0, 1, 0, 0, 0];
    for kind in [1, 2] {
        payload.extend([8, 0, kind, 0, 10, 9, 8, 7]);
    }
    netlink(NETLINK_ROUTE, RTM_NEWADDR, &payload)
}

/// A route into a black hole.
fn netlink_route() -> Attempt {
    let mut payload = vec![2, 32, 0, 0, 254, 3, 0, 6, 0, 0, 0, 0];
    payload.extend([8, 0, 1, 0, 10, 9, 8, 7]);
    netlink(NETLINK_ROUTE, RTM_NEWROUTE, &payload)
}

/// What the kernel says to the device manager, as if it had said it.
fn netlink_uevent() -> Attempt {
    let socket = open(libc::AF_NETLINK, libc::SOCK_RAW, NETLINK_UEVENT)?;
    let group = [
        u32::from(libc::AF_NETLINK.unsigned_abs() as u16),
        0,
        0x8000_0000,
    ];
    let text = b"vm0-probe";
    call!(
        libc::SYS_sendto,
        socket.as_raw_fd(),
        &text[..],
        9,
        0,
        &group[..],
        12
    )?;
    Ok("sent an event as the kernel".to_owned())
}

fn interface_flags() -> Attempt {
    let socket = open(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    call!(
        libc::SYS_ioctl,
        socket.as_raw_fd(),
        libc::SIOCSIFFLAGS,
        &request[..]
    )?;
    Ok("the interface is down".to_owned())
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}

/// What a listener of the host says first.
fn greeted(mut stream: impl Read) -> Attempt {
    let mut text = [0; 5];
    stream.read_exact(&mut text)?;
    if &text == b"hello" {
        Ok("a program of the host answered".to_owned())
    } else {
        Err(nothing("somebody else answered"))
    }
}

fn tcp(name: &str) -> Attempt {
    let address = variable(name)?;
    let address = address
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| nothing("no address"))?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    greeted(stream)
}

fn udp() -> Attempt {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(b"?", variable("PROBE_UDP")?)?;
    let mut text = [0; 5];
    socket.recv(&mut text)?;
    greeted(&text[..])
}

fn abstract_socket() -> Attempt {
    let address = SocketAddr::from_abstract_name(variable("PROBE_ABSTRACT")?)?;
    greeted(UnixStream::connect_addr(&address)?)
}

fn socket_file() -> Attempt {
    greeted(UnixStream::connect(variable("PROBE_SOCKET")?)?)
}
