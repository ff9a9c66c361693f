//! Loop devices by ioctl: a file as a block device that goes away with its last user.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

const CONTROL: &str = "/dev/loop-control";
const ATTEMPTS: usize = 64;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LOOP_MAJOR: u32 = 7;

/// `struct loop_info64` of linux/loop.h.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// A device that is cleared once neither this nor a mount uses it.
pub(crate) struct LoopDevice {
    pub(crate) path: PathBuf,
    _open: File,
}

impl LoopDevice {
    /// Attaches a file.
    pub(crate) fn attach(image: &File) -> io::Result<Self> {
        let control = File::options().read(true).write(true).open(CONTROL)?;
        let mut last = io::Error::from(io::ErrorKind::ResourceBusy);
        for _ in 0..ATTEMPTS {
            let path = free_device(&control)?;
            let device = OpenOptions::new().read(true).write(true).open(&path)?;
            match configure(&device, image) {
                Ok(()) => {
                    return Ok(Self {
                        path,
                        _open: device,
                    });
                }
                // Someone else took it first.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

#[expect(unsafe_code, reason = "loop devices have no safe wrapper")]
fn free_device(control: &File) -> io::Result<PathBuf> {
    // SAFETY: LOOP_CTL_GET_FREE takes no argument.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
    let number = u32::try_from(number).map_err(|_| io::Error::last_os_error())?;
    let path = PathBuf::from(format!("/dev/loop{number}"));
    if !path.exists() {
        make_node(&path, number)?;
    }
    Ok(path)
}

/// Makes the node where `/dev` is not kept by the kernel.
fn make_node(path: &Path, number: u32) -> io::Result<()> {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let device = makedev(LOOP_MAJOR, number);
    match mknodat(
        CWD,
        path,
        FileType::BlockDevice,
        Mode::from_raw_mode(0o600),
        device,
    ) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[expect(unsafe_code, reason = "loop devices have no safe wrapper")]
fn configure(device: &File, image: &File) -> io::Result<()> {
    // SAFETY: both are plain C structs for which all zeros is a value.
    let mut config: LoopConfig = unsafe { std::mem::zeroed() };
    config.fd = u32::try_from(image.as_raw_fd()).expect("an open descriptor is not negative");
    config.block_size = 4096;
    config.info.flags = LO_FLAGS_AUTOCLEAR;
    // SAFETY: the struct has the layout of linux/loop.h and outlives the call.
    let rc = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
