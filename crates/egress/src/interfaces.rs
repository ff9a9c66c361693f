//! The addresses of this machine.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

/// Whether `address` belongs to an interface of this machine. Read afresh each time, because
/// addresses come and go; if they cannot be read, every address counts as ours.
pub(crate) fn is_own(address: IpAddr) -> bool {
    let Ok(mut interfaces) = getifaddrs() else {
        return true;
    };
    interfaces.any(|interface| {
        let Some(socket) = interface.address else {
            return false;
        };
        let v4 = socket
            .as_sockaddr_in()
            .map(|socket| IpAddr::V4(socket.ip()));
        let v6 = socket
            .as_sockaddr_in6()
            .map(|socket| IpAddr::V6(socket.ip()));
        v4.or(v6) == Some(address.to_canonical())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_ours_and_the_internet_is_not() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("1.1.1.1".parse().unwrap()));
    }
}
