//! What a packet from the interface is, and packets made in reply.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr, TcpPacket,
    UdpPacket, UdpRepr,
};

use super::address::OWN;
use super::outlet::Outlet;

const HOP_LIMIT: u8 = 64;
/// How much is quoted of an unreachable packet after its header: what its sender is known by.
const QUOTED_BYTES: usize = 8;

/// A packet that something is done with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// Of a connection from a port of [`OWN`].
    Tcp {
        from: u16,
        to: SocketAddrV4,
        /// It begins a connection.
        begins: bool,
    },
    Udp {
        from: u16,
        to: SocketAddrV4,
        payload: &'a [u8],
    },
}

/// Reads a packet; `None` for what is dropped: fragments, IPv6, ICMP, foreign sources, and what
/// cannot be read.
pub(crate) fn parse(packet: &[u8]) -> Option<Incoming<'_>> {
    let ip = Ipv4Packet::new_checked(packet).ok()?;
    let whole = !ip.more_frags() && ip.frag_offset() == 0;
    let destination = ip.dst_addr();
    let unicast = !destination.is_multicast() && !destination.is_broadcast();
    if ip.version() != 4 || !whole || ip.src_addr() != OWN || !unicast {
        return None;
    }
    match ip.next_header() {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(ip.payload()).ok()?;
            (tcp.src_port() != 0).then(|| Incoming::Tcp {
                from: tcp.src_port(),
                to: SocketAddrV4::new(destination, tcp.dst_port()),
                begins: tcp.syn() && !tcp.ack() && !tcp.rst() && !tcp.fin(),
            })
        }
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(ip.payload()).ok()?;
            Some(Incoming::Udp {
                from: udp.src_port(),
                to: SocketAddrV4::new(destination, udp.dst_port()),
                payload: udp.payload(),
            })
        }
        _ => None,
    }
}

/// Sends a datagram to a program.
pub(crate) fn send_datagram(outlet: &Outlet, from: SocketAddrV4, to: u16, payload: &[u8]) {
    let udp = UdpRepr {
        src_port: from.port(),
        dst_port: to,
    };
    let length = udp.header_len() + payload.len();
    send(outlet, *from.ip(), IpProtocol::Udp, length, |bytes| {
        let (from, own) = ((*from.ip()).into(), OWN.into());
        udp.emit(
            &mut UdpPacket::new_unchecked(bytes),
            &from,
            &own,
            payload.len(),
            |buffer| buffer.copy_from_slice(payload),
            &ChecksumCapabilities::default(),
        );
    });
}

/// Tells the program that sent `packet`, which has been read, that nobody listens there.
pub(crate) fn send_unreachable(outlet: &Outlet, packet: &[u8]) {
    let Ok(ip) = Ipv4Packet::new_checked(packet) else {
        return;
    };
    let payload = ip.payload();
    let icmp = Icmpv4Repr::DstUnreachable {
        reason: Icmpv4DstUnreachable::PortUnreachable,
        header: Ipv4Repr {
            src_addr: ip.src_addr(),
            dst_addr: ip.dst_addr(),
            next_header: ip.next_header(),
            payload_len: payload.len(),
            hop_limit: ip.hop_limit(),
        },
        data: &payload[..payload.len().min(QUOTED_BYTES)],
    };
    let length = icmp.buffer_len();
    send(outlet, ip.dst_addr(), IpProtocol::Icmp, length, |bytes| {
        icmp.emit(
            &mut Icmpv4Packet::new_unchecked(bytes),
            &ChecksumCapabilities::default(),
        );
    });
}

fn send(
    outlet: &Outlet,
    from: Ipv4Addr,
    protocol: IpProtocol,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) {
    let ip = Ipv4Repr {
        src_addr: from,
        dst_addr: OWN,
        next_header: protocol,
        payload_len: length,
        hop_limit: HOP_LIMIT,
    };
    let header = ip.buffer_len();
    outlet.send(header + length, |bytes| {
        let (head, body) = bytes.split_at_mut(header);
        fill(body);
        ip.emit(
            &mut Ipv4Packet::new_unchecked(head),
            &ChecksumCapabilities::default(),
        );
    });
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use proptest::prelude::*;

    use super::*;

    type Sent = Rc<RefCell<Vec<Vec<u8>>>>;

    fn outlet() -> (Outlet, Sent) {
        let sent = Sent::default();
        let kept = Rc::clone(&sent);
        let outlet = Outlet::new(move |packet| kept.borrow_mut().push(packet.to_vec()));
        (outlet, sent)
    }

    /// A datagram as a program sends it.
    fn datagram(to: SocketAddrV4, from: u16, payload: &[u8]) -> Vec<u8> {
        let (outlet, sent) = outlet();
        send_datagram(
            &outlet,
            SocketAddrV4::new(*to.ip(), from),
            to.port(),
            payload,
        );
        let mut packet = sent.borrow_mut().remove(0);
        let mut ip = Ipv4Packet::new_unchecked(&mut packet[..]);
        ip.set_src_addr(OWN);
        ip.set_dst_addr(*to.ip());
        packet
    }

    #[test]
    fn a_datagram_is_read_and_its_refusal_quotes_it() {
        let to = SocketAddrV4::new(Ipv4Addr::new(9, 9, 9, 9), 443);
        let packet = datagram(to, 5000, b"hello");
        let expected = Incoming::Udp {
            from: 5000,
            to,
            payload: b"hello",
        };
        assert_eq!(parse(&packet), Some(expected));
        let (outlet, sent) = outlet();
        send_unreachable(&outlet, &packet);
        let sent = sent.borrow();
        let ip = Ipv4Packet::new_checked(&sent[0][..]).unwrap();
        assert!(ip.verify_checksum());
        assert_eq!((ip.src_addr(), ip.dst_addr()), (*to.ip(), OWN));
        let icmp = Icmpv4Packet::new_checked(ip.payload()).unwrap();
        assert!(icmp.verify_checksum());
        let quoted = Ipv4Packet::new_unchecked(icmp.data());
        assert_eq!((quoted.src_addr(), quoted.dst_addr()), (OWN, *to.ip()));
        assert_eq!(icmp.data()[20..], packet[20..28]);
    }

    #[test]
    fn what_is_not_for_us_is_dropped() {
        let to = SocketAddrV4::new(Ipv4Addr::new(9, 9, 9, 9), 53);
        let good = datagram(to, 5000, b"x");
        assert!(parse(&good).is_some());
        let changed = |change: fn(&mut Ipv4Packet<&mut [u8]>)| {
            let mut packet = good.clone();
            change(&mut Ipv4Packet::new_unchecked(&mut packet[..]));
            packet
        };
        for packet in [
            changed(|ip| ip.set_src_addr(Ipv4Addr::new(10, 0, 0, 1))),
            changed(|ip| ip.set_dst_addr(Ipv4Addr::new(224, 0, 0, 1))),
            changed(|ip| ip.set_dst_addr(Ipv4Addr::BROADCAST)),
            changed(|ip| ip.set_more_frags(true)),
            changed(|ip| ip.set_frag_offset(8)),
            changed(|ip| ip.set_version(6)),
            changed(|ip| ip.set_next_header(IpProtocol::Icmp)),
            changed(|ip| ip.set_total_len(4000)),
            good[..27].to_vec(),
        ] {
            assert_eq!(parse(&packet), None, "{packet:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_packets_never_panic(
            mut packet in proptest::collection::vec(any::<u8>(), 0..120),
            protocol in prop_oneof![Just(6u8), Just(17u8), any::<u8>()],
            plausible in any::<bool>(),
        ) {
            if plausible && packet.len() >= 20 {
                let length = u16::try_from(packet.len()).unwrap();
                let mut ip = Ipv4Packet::new_unchecked(&mut packet[..]);
                ip.set_version(4);
                ip.set_header_len(20);
                ip.set_total_len(length);
                ip.set_src_addr(OWN);
                ip.set_next_header(protocol.into());
                ip.set_more_frags(false);
                ip.set_frag_offset(0);
            }
            let (outlet, sent) = outlet();
            if parse(&packet).is_some() {
                send_unreachable(&outlet, &packet);
                prop_assert!(sent.borrow()[0].len() <= 56);
            }
        }
    }
}
