//! The device of the interface.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const DEVICE: &str = "/dev/net/tun";

/// A device that has been opened for an interface.
#[derive(Debug)]
pub(crate) struct Opened(File);

/// The other end of the interface: whole packets.
pub(crate) struct Tun(AsyncFd<File>);

impl Opened {
    /// Makes the interface `name`; it goes with the last descriptor of the device.
    #[expect(unsafe_code, reason = "the device's requests have no safe wrapper")]
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(DEVICE)?;
        // SAFETY: `ifreq` is a plain C struct for which all zeros is a value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        let flags = libc::IFF_TUN | libc::IFF_NO_PI;
        request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).expect("two low bits");
        // SAFETY: the request is a live, initialised ifreq, which the call reads and writes.
        let made = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        if made != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(device))
    }

    /// To be called on the runtime that reads it.
    #[expect(
        unsafe_code,
        reason = "the descriptor must stay open while it is registered"
    )]
    pub(crate) fn register(self) -> io::Result<Tun> {
        // SAFETY: a `File` keeps its descriptor open for as long as it lives.
        let device = unsafe { AsyncFd::register_with_interest(self.0, Interest::READABLE) }?;
        Ok(Tun(device))
    }
}

/// Takes the device's file away where that is possible: gVisor puts it there for everyone, and
/// nobody else has a use for it. Where the host has bound it, its mode keeps others out; so it does
/// on the way through our own descriptor below `/proc`.
pub(crate) fn hide() {
    let _ = fs::set_permissions(DEVICE, Permissions::from_mode(0o600));
    let _ = fs::remove_file(DEVICE);
}

impl Tun {
    /// The length of the next packet that a program has sent.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0
            .async_io(Interest::READABLE, |mut device| device.read(buffer))
            .await
    }

    /// Sends a packet to a program. One that cannot be taken now is lost and sent again, if it
    /// matters, by its connection.
    pub(crate) fn send(&self, packet: &[u8]) {
        let mut device: &File = self.0.get_ref();
        let _ = device.write(packet);
    }
}
