//! The addresses of the interface. 198.18.0.0/15 is for benchmarks (RFC 2544) and never routed.

use std::net::Ipv4Addr;

/// Of the interface, hence of every program that connects.
pub(crate) const OWN: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Of the resolver, which is also the way to everything else.
pub(crate) const RESOLVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// The bits that all addresses of the interface's network share.
pub(crate) const PREFIX: u8 = 15;
/// The first address that stands for a name.
pub(crate) const POOL: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 0);
/// How many addresses stand for names.
pub(crate) const POOL_SIZE: u32 = (1 << 17) - 512;

/// Whether an address is of the interface's network.
pub(crate) fn is_inside(address: Ipv4Addr) -> bool {
    let mask = u32::MAX << (32 - PREFIX);
    address.to_bits() & mask == OWN.to_bits() & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_inside_and_ends_before_the_network_does() {
        let last = Ipv4Addr::from_bits(POOL.to_bits() + POOL_SIZE - 1);
        for address in [OWN, RESOLVER, POOL, last] {
            assert!(is_inside(address), "{address}");
        }
        assert_eq!(last, Ipv4Addr::new(198, 19, 254, 255));
        assert!(!is_inside(Ipv4Addr::new(198, 20, 0, 0)));
        assert!(!is_inside(Ipv4Addr::new(198, 17, 255, 255)));
    }
}
