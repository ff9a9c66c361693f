//! What is asked of the kernel inside about its interfaces (rtnetlink).
//!
//! gVisor has this, and not the older requests by ioctl.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

const HEADER: usize = 16;
const MAX_REPLY: usize = 4096;
const INET: u8 = libc::AF_INET as u8;

/// A conversation with the kernel.
pub(crate) struct Netlink {
    socket: OwnedFd,
}

/// A request that is being written.
struct Request {
    bytes: Vec<u8>,
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        Ok(Self { socket })
    }

    /// Gives an interface its address.
    pub(crate) fn add_address(
        &self,
        interface: u32,
        address: Ipv4Addr,
        prefix: u8,
    ) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        // struct ifaddrmsg
        request.put(&[INET, prefix, 0, 0]);
        request.put(&interface.to_ne_bytes());
        request.attribute(libc::IFA_LOCAL, &address.octets());
        request.attribute(libc::IFA_ADDRESS, &address.octets());
        self.ask(request)
    }

    /// Sets an interface up, for packets of at most `mtu` bytes.
    pub(crate) fn set_up(&self, interface: u32, mtu: u32) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWLINK, 0);
        let up = libc::IFF_UP.cast_unsigned().to_ne_bytes();
        // struct ifinfomsg
        request.put(&[0; 4]);
        request.put(&interface.to_ne_bytes());
        request.put(&up);
        request.put(&up);
        request.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
        self.ask(request)
    }

    /// Sends everything that goes nowhere else to `gateway` on an interface.
    pub(crate) fn add_default_route(&self, interface: u32, gateway: Ipv4Addr) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        let (table, protocol) = (libc::RT_TABLE_MAIN, libc::RTPROT_BOOT);
        let (scope, kind) = (libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST);
        // struct rtmsg
        request.put(&[INET, 0, 0, 0, table, protocol, scope, kind]);
        request.put(&[0; 4]);
        request.attribute(libc::RTA_OIF, &interface.to_ne_bytes());
        request.attribute(libc::RTA_GATEWAY, &gateway.octets());
        self.ask(request)
    }

    fn ask(&self, request: Request) -> io::Result<()> {
        let socket = self.socket.as_raw_fd();
        let kernel = NetlinkAddr::new(0, 0);
        sendto(socket, &request.finish(), &kernel, MsgFlags::empty())?;
        let mut reply = [0; MAX_REPLY];
        let length = recv(socket, &mut reply, MsgFlags::empty())?;
        acknowledged(&reply[..length])
    }
}

/// Whether the kernel has done what it was asked for.
fn acknowledged(reply: &[u8]) -> io::Result<()> {
    let kind = reply.get(4..6).and_then(|bytes| bytes.try_into().ok());
    let error = reply
        .get(HEADER..HEADER + 4)
        .and_then(|bytes| bytes.try_into().ok());
    match (kind.map(u16::from_ne_bytes), error.map(i32::from_ne_bytes)) {
        (Some(kind), Some(0)) if i32::from(kind) == libc::NLMSG_ERROR => Ok(()),
        (Some(kind), Some(error)) if i32::from(kind) == libc::NLMSG_ERROR => {
            Err(io::Error::from_raw_os_error(error.saturating_neg()))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

impl Request {
    fn new(kind: u16, flags: libc::c_int) -> Self {
        let flags = flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        let flags = u16::try_from(flags).expect("netlink flags are 16 bits");
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        Self { bytes }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).expect("values are short");
        self.put(&length.to_ne_bytes());
        self.put(&kind.to_ne_bytes());
        self.put(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).expect("requests are short");
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_length_and_aligned_attributes() {
        let mut request = Request::new(libc::RTM_NEWROUTE, libc::NLM_F_CREATE);
        request.attribute(libc::RTA_OIF, &[1]);
        request.attribute(libc::RTA_GATEWAY, &[1, 2, 3, 4]);
        let bytes = request.finish();
        assert_eq!(bytes.len(), HEADER + 8 + 8);
        assert_eq!(bytes[..4], 32u32.to_ne_bytes());
        assert_eq!(bytes[16..18], 5u16.to_ne_bytes());
    }

    #[test]
    fn only_an_acknowledgement_without_an_error_is_success() {
        let reply = |kind: libc::c_int, error: i32| {
            let mut bytes = vec![0; HEADER];
            bytes[4] = u8::try_from(kind).unwrap();
            bytes.extend_from_slice(&error.to_ne_bytes());
            bytes
        };
        acknowledged(&reply(libc::NLMSG_ERROR, 0)).unwrap();
        let refused = acknowledged(&reply(libc::NLMSG_ERROR, -libc::EPERM)).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        acknowledged(&reply(libc::NLMSG_DONE, 0)).unwrap_err();
        acknowledged(&reply(libc::NLMSG_ERROR, 0)[..18]).unwrap_err();
        acknowledged(&[]).unwrap_err();
    }
}
