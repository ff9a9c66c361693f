//! Devices of the host: those that are there, and new names for them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;

use crate::outcome::Attempt;
use crate::registry::Probe;
use crate::runs::any;
use crate::sys::call;

const CHARACTER: u32 = libc::S_IFCHR | 0o666;
const BLOCK: u32 = libc::S_IFBLK | 0o666;

pub(crate) const PROBES: &[Probe] = &[
    Probe::host("disk", disk),
    Probe::private("mount-fuse", fuse),
    Probe::host("dev-loop-control", || open("/dev/loop-control")),
    Probe::private("tun-interface", tun),
    Probe::host("dev-kvm", || open("/dev/kvm")),
    Probe::host("dev-console", || open("/dev/console")),
    Probe::host("mknod-disk", mknod_disk),
    Probe::private("mknod-memory", || mknod(CHARACTER, 1, 1)),
    Probe::private("mknod-kmsg", || mknod(CHARACTER, 1, 11)),
    Probe::private("mknod-whiteout", || mknod(CHARACTER, 0, 0)),
];

fn open(path: &str) -> Attempt {
    OpenOptions::new().read(true).write(true).open(path)?;
    Ok(format!("opened {path}"))
}

/// A file system of our own making, which others would read.
fn fuse() -> Attempt {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")?;
    fs::create_dir_all("place")?;
    let number = device.as_raw_fd();
    let options = format!("fd={number},rootmode=40000,user_id=0,group_id=0");
    let options = std::ffi::CString::new(options).map_err(io::Error::other)?;
    call!(
        libc::SYS_mount,
        c"none",
        c"place",
        c"fuse",
        0,
        options.as_c_str()
    )?;
    Ok("mounted a file system of its own".to_owned())
}

fn tun() -> Attempt {
    const TUNSETIFF: usize = 0x4004_54ca;
    const IFF_TUN: u8 = 1;
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    let mut request = [0_u8; 40];
    request[..4].copy_from_slice(b"esc0");
    request[16] = IFF_TUN;
    call!(libc::SYS_ioctl, device.as_raw_fd(), TUNSETIFF, &request[..])?;
    Ok("a network interface".to_owned())
}

/// The disk that the campaign has put on the host, and its number.
fn planted() -> io::Result<(String, u64)> {
    let path = std::env::var("PROBE_DISK").map_err(io::Error::other)?;
    let minor = path.trim_start_matches("/dev/loop").parse();
    Ok((path, minor.map_err(io::Error::other)?))
}

fn read_byte(path: &str) -> Attempt {
    let mut byte = [0];
    File::open(path)?.read_exact(&mut byte)?;
    Ok(format!("read {path}"))
}

fn disk() -> Attempt {
    let (path, _) = planted()?;
    any([&path, "/dev/vda", "/dev/sda", "/dev/nvme0n1"].map(read_byte))
}

fn mknod_disk() -> Attempt {
    const LOOP: u64 = 7;
    let (_, minor) = planted()?;
    make("disk-node", BLOCK, LOOP, minor)?;
    let read = read_byte("disk-node");
    fs::remove_file("disk-node")?;
    read
}

fn make(path: &str, mode: u32, major: u64, minor: u64) -> io::Result<()> {
    let path = std::ffi::CString::new(path).map_err(io::Error::other)?;
    let device = (major << 8) | (minor & 0xff) | ((minor & !0xff) << 12);
    call!(
        libc::SYS_mknodat,
        libc::AT_FDCWD,
        path.as_c_str(),
        mode,
        device
    )
    .map(drop)
}

fn mknod(mode: u32, major: u64, minor: u64) -> Attempt {
    make("node", mode, major, minor)?;
    Ok(format!("made device {major}:{minor}"))
}
