//! What is put on the host for the probes to find: a file, a process, listeners, a disk.

use std::io::Write;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};

/// The content of the planted file.
pub(super) const SECRET: &str = "secret-of-the-host-4711";
const GREETING: &[u8; 5] = b"hello";

/// Planted as long as this lives.
pub(super) struct Plants {
    pub(super) dir: tempfile::TempDir,
    process: Child,
    disk: Option<String>,
    variables: Vec<(&'static str, String)>,
}

impl Plants {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let name = format!("vm0-planted-{}", std::process::id());
        let process = Command::new("sleep").arg0(&name).arg("86400").spawn();
        let mut plants = Self {
            dir,
            process: process.expect("sleep runs"),
            disk: None,
            variables: vec![("PROBE_REKRAM", name.chars().rev().collect())],
        };
        std::fs::write(plants.secret(), SECRET).expect("the directory is ours");
        plants.add("PROBE_FILE", plants.secret().display().to_string());
        plants.listen(&format!("vm0-listener-{}", std::process::id()));
        plants.plant_disk();
        plants
    }

    /// The file that only the host may read.
    pub(super) fn secret(&self) -> PathBuf {
        self.dir.path().join("secret")
    }

    /// The variables that tell a probe where to look.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }

    fn add(&mut self, name: &'static str, value: String) {
        self.variables.push((name, value));
    }

    fn listen(&mut self, name: &str) {
        let tcp = TcpListener::bind("0.0.0.0:0").expect("a free port");
        let port = tcp.local_addr().expect("an address").port();
        std::thread::spawn(move || greet(tcp.incoming()));
        let udp = UdpSocket::bind("0.0.0.0:0").expect("a free port");
        let udp_port = udp.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            let mut request = [0; 16];
            while let Ok((_, from)) = udp.recv_from(&mut request) {
                let _ = udp.send_to(GREETING, from);
            }
        });
        let address = SocketAddr::from_abstract_name(name).expect("a short name");
        let hidden = UnixListener::bind_addr(&address).expect("a free name");
        std::thread::spawn(move || greet(hidden.incoming()));
        let path = self.dir.path().join("socket");
        let file = UnixListener::bind(&path).expect("the directory is ours");
        std::thread::spawn(move || greet(file.incoming()));
        self.add("PROBE_LOOPBACK", format!("127.0.0.1:{port}"));
        self.add("PROBE_ADDRESS", format!("{}:{port}", own_address()));
        self.add("PROBE_UDP", format!("{}:{udp_port}", own_address()));
        self.add("PROBE_ABSTRACT", name.to_owned());
        self.add("PROBE_SOCKET", path.display().to_string());
    }

    fn plant_disk(&mut self) {
        let image = self.dir.path().join("disk");
        std::fs::write(&image, [b'x'; 4096]).expect("the directory is ours");
        let output = Command::new("losetup")
            .args(["--find", "--show"])
            .arg(&image)
            .output()
            .expect("losetup is there");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "losetup: {error}");
        let device = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        self.add("PROBE_DISK", device.clone());
        self.disk = Some(device);
    }
}

impl Drop for Plants {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(device) = &self.disk {
            let _ = Command::new("losetup").args(["--detach", device]).status();
        }
    }
}

fn greet<S: Write>(incoming: impl Iterator<Item = std::io::Result<S>>) {
    for mut stream in incoming.flatten() {
        let _ = stream.write_all(GREETING);
    }
}

/// An address of this host that others can see, or at worst loopback. Nothing is sent.
fn own_address() -> IpAddr {
    let found = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    found.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}
