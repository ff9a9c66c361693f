//! mitmproxy, which does the same: decrypts, and puts a value into a header.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::client::Way;
use crate::server::{SECRET, Server};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Mitmproxy {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

/// Starts it; none if it is not installed.
pub(crate) async fn start(server: &Server) -> Option<Mitmproxy> {
    let program = std::env::var_os("VM0_MITMDUMP").map_or("mitmdump".into(), PathBuf::from);
    let version = Command::new(&program).arg("--version").output().ok()?;
    print!(
        "{}",
        String::from_utf8_lossy(&version.stdout)
            .lines()
            .next()
            .map(|line| format!("  {line}\n"))
            .unwrap_or_default()
    );
    let dir = tempfile::tempdir().expect("a directory");
    let addon = dir.path().join("inject.py");
    let script = format!("def request(flow):\n    flow.request.headers['x-key'] = '{SECRET}'\n");
    std::fs::write(&addon, script).expect("a written file");
    let port = free_port();
    let child = Command::new(&program)
        .args([
            "-q",
            "--listen-host",
            "127.0.0.1",
            "--listen-port",
            &port.to_string(),
            "-s",
        ])
        .arg(&addon)
        .args([
            "--set",
            "flow_detail=0",
            "--set",
            &format!("confdir={}", dir.path().display()),
            "--set",
        ])
        .arg(format!(
            "ssl_verify_upstream_trusted_ca={}",
            server.authority().display()
        ))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a started mitmdump");
    let rival = Mitmproxy { child, port, dir };
    let waiting = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() || !rival.authority().exists()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("mitmdump listens");
    Some(rival)
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

impl Mitmproxy {
    fn authority(&self) -> PathBuf {
        Path::new(self.dir.path()).join("mitmproxy-ca-cert.pem")
    }

    pub(crate) fn way(&self, server: &Server) -> Way {
        Way::new(Some(self.port), server, &self.authority(), "placeholder")
    }
}

impl Drop for Mitmproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
