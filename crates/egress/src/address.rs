//! Which addresses are on the internet. The tables are the IANA special-purpose registries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To the internet.
    Public,
    /// To this machine or a private network: closed unless the operator opened it.
    Private,
    /// Nowhere that a sandbox may ever go: link-local, metadata, multicast, reserved.
    Closed,
}

/// Metadata services outside the link-local range.
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254),
];

/// Where `address` leads. An IPv4-mapped address is the IPv4 address in it.
pub(crate) fn reach(address: IpAddr) -> Reach {
    match address.to_canonical() {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

/// Whether an operator can open some address of `network` to agents. No network of eight bits or
/// more begins and ends in what is closed and has something else between.
pub fn can_be_opened(network: &IpNet) -> bool {
    let mut ends = [network.network(), network.broadcast()].into_iter();
    network.prefix_len() < 8 || ends.any(|address| reach(address) != Reach::Closed)
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    if METADATA_V4.contains(&address) {
        return Reach::Closed;
    }
    match address.octets() {
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            Reach::Private
        }
        // This network, link-local, protocol assignments, documentation, 6to4 relays,
        // benchmarking, multicast, reserved and broadcast.
        [0 | 224..=255, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Reach::Closed,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if METADATA_V6.contains(&address) {
        return Reach::Closed;
    }
    if address.is_loopback() || address.is_unique_local() {
        return Reach::Private;
    }
    let segments = address.segments();
    match segments {
        // NAT64: it leads where the embedded address leads.
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        // 6to4.
        [0x2002, high, low, ..] => embedded(high, low),
        // Protocol assignments with Teredo and benchmarking; documentation.
        [0x2001, 0x0000..=0x01ff | 0x0db8, ..] | [0x3fff, 0x0000..=0x0fff, ..] => Reach::Closed,
        // Global unicast is 2000::/3; nothing else is assigned.
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Closed,
    }
}

/// A translated address is public or closed: what `--allow-private` opens is named plainly.
fn embedded(high: u16, low: u16) -> Reach {
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    match reach_v4(Ipv4Addr::new(a, b, c, d)) {
        Reach::Public => Reach::Public,
        Reach::Private | Reach::Closed => Reach::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(addresses: &[&str], expected: Reach) {
        for address in addresses {
            assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn what_is_never_open_cannot_be_opened() {
        let open = |network: &str| can_be_opened(&network.parse().unwrap());
        for never in [
            "169.254.169.254/32",
            "169.254.0.0/16",
            "fe80::/10",
            "100.100.100.200/32",
        ] {
            assert!(!open(never), "{never}");
        }
        for private in [
            "10.0.0.0/8",
            "127.0.0.1/32",
            "100.64.0.0/10",
            "fd00::/8",
            "0.0.0.0/0",
            "::/0",
        ] {
            assert!(open(private), "{private}");
        }
    }

    #[test]
    fn internet_addresses_are_public() {
        all(
            &[
                "1.1.1.1",
                "172.32.0.1",
                "100.63.255.255",
                "100.128.0.0",
                "198.20.0.0",
                "2606:4700::1",
            ],
            Reach::Public,
        );
        all(
            &["::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"],
            Reach::Public,
        );
    }

    #[test]
    fn private_networks_and_loopback_can_be_opened() {
        all(
            &[
                "127.0.0.1",
                "127.255.255.254",
                "10.0.0.1",
                "172.31.0.1",
                "192.168.1.1",
                "100.64.0.1",
            ],
            Reach::Private,
        );
        all(
            &[
                "::1",
                "fd12::1",
                "fc00::1",
                "::ffff:127.0.0.1",
                "::ffff:10.0.0.1",
            ],
            Reach::Private,
        );
    }

    #[test]
    fn metadata_link_local_and_reserved_addresses_are_closed() {
        all(
            &[
                "169.254.169.254",
                "169.254.0.1",
                "168.63.129.16",
                "100.100.100.200",
                "192.0.0.192",
            ],
            Reach::Closed,
        );
        all(
            &[
                "0.0.0.0",
                "0.1.2.3",
                "255.255.255.255",
                "224.0.0.1",
                "240.0.0.1",
            ],
            Reach::Closed,
        );
        all(
            &[
                "192.0.2.1",
                "198.18.0.1",
                "198.19.9.9",
                "198.51.100.1",
                "203.0.113.1",
            ],
            Reach::Closed,
        );
        all(
            &[
                "fe80::1",
                "fec0::1",
                "ff02::1",
                "::",
                "fd00:ec2::254",
                "fd20:ce::254",
            ],
            Reach::Closed,
        );
        all(
            &[
                "2001:db8::1",
                "2001::1",
                "2001:2::1",
                "3fff::1",
                "100::1",
                "4000::1",
            ],
            Reach::Closed,
        );
        all(
            &["::ffff:169.254.169.254", "::ffff:0.0.0.0", "::127.0.0.1"],
            Reach::Closed,
        );
    }

    #[test]
    fn private_addresses_inside_translated_ones_are_closed() {
        all(
            &[
                "64:ff9b::7f00:1",
                "64:ff9b::a9fe:a9fe",
                "64:ff9b:1::1",
                "2002:7f00:1::",
                "2002:a00:1::1",
            ],
            Reach::Closed,
        );
    }
}
