//! `vm0 serve` with a certificate of its own, as curl and the command line see it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use vm0_testkit::{Server, ServerOptions};

const VM0: &str = env!("CARGO_BIN_EXE_vm0");
const LIMIT: Duration = Duration::from_secs(60);

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let files = Self { directory };
        files.renew();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts another certificate with its key in place, which is its own authority.
    fn renew(&self) {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        fs::write(self.path("cert.pem"), made.cert.pem()).expect("a file");
        fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    }

    fn arg(&self, name: &str) -> String {
        self.path(name).to_str().expect("text").to_owned()
    }

    fn serve(&self) -> Server {
        ServerOptions::new(VM0, "fake")
            .arg("--no-runner")
            .arg("--tls-cert")
            .arg(self.arg("cert.pem"))
            .arg("--tls-key")
            .arg(self.arg("key.pem"))
            .start()
    }
}

fn curl(ca: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command
        .args(["-s", "--noproxy", "*", "-m", "20", "--cacert"])
        .arg(ca)
        .args(args);
    command.output().expect("curl runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until the server's certificate is the one in the file.
fn wait_for_certificate(server: &Server, ca: &Path) {
    let url = format!("{}/health", server.url());
    let until = Instant::now() + LIMIT;
    while curl(ca, &[&url]).status.code() != Some(0) {
        assert!(Instant::now() < until, "{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn hang_up(server: &Server) {
    let pid = server.pid().to_string();
    let sent = Command::new("kill").args(["-s", "HUP", &pid]).status();
    assert!(sent.expect("kill runs").success());
}

fn wait_for_log(server: &Server, wanted: &str) {
    let until = Instant::now() + LIMIT;
    while !server.log().contains(wanted) {
        assert!(Instant::now() < until, "no '{wanted}': {}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn both_versions_of_http_are_served_over_tls_and_nothing_is_without() {
    let files = Files::new();
    let server = files.serve();
    assert!(server.url().starts_with("https://127.0.0.1:"));
    let url = format!("{}/health", server.url());
    let ca = files.path("cert.pem");
    let version = ["-o", "/dev/null", "-w", "%{http_code} %{http_version}"];
    let modern = curl(&ca, &[&version[..], &["--http2", &url]].concat());
    assert_eq!(text(&modern), "200 2");
    let old = curl(&ca, &[&version[..], &["--http1.1", &url]].concat());
    assert_eq!(text(&old), "200 1.1");
    let tls12 = curl(&ca, &[&version[..], &["--tls-max", "1.2", &url]].concat());
    assert_eq!(text(&tls12), "200 2");
    let headers = text(&curl(&ca, &["-I", &url])).to_ascii_lowercase();
    assert!(
        headers.contains("strict-transport-security: max-age=31536000"),
        "{headers}"
    );
    let unknown = Command::new("curl")
        .args(["-s", "--noproxy", "*", &url])
        .output()
        .expect("curl runs");
    assert_eq!(
        unknown.status.code(),
        Some(60),
        "a stranger does not trust it"
    );
    let plain = curl(&ca, &[&url.replace("https:", "http:")]);
    assert_ne!(plain.status.code(), Some(0), "{}", text(&plain));
}

#[test]
fn links_cookies_and_the_command_line_are_of_the_same_address() {
    let files = Files::new();
    let server = files.serve();
    let ca = files.path("cert.pem");
    let link = format!("  {}/sign-in/", server.url());
    assert!(server.log().contains(&link), "{}", server.log());
    let origin = format!("Origin: {}", server.url());
    let form = format!("token={}", server.token());
    let sign_in = format!("{}/sign-in", server.url());
    let page = curl(&ca, &["-i", "-H", &origin, "-d", &form, &sign_in]);
    let page = text(&page);
    assert!(page.contains("__Host-vm0_session="), "{page}");
    assert!(page.contains("; Secure"), "{page}");
    let home = tempfile::tempdir().expect("a directory");
    let list = |ca: Option<&Path>| {
        let mut command = server.client(home.path(), &["run", "list", "--json"]);
        if let Some(ca) = ca {
            command.env("VM0_CA_FILE", ca);
        }
        command.output().expect("vm0 runs")
    };
    let trusted = list(Some(&ca));
    let stderr = String::from_utf8_lossy(&trusted.stderr);
    assert_eq!(trusted.status.code(), Some(0), "{stderr}");
    assert_eq!(list(None).status.code(), Some(8), "unreachable");
    let bad = list(Some(&files.path("key.pem")));
    let stderr = String::from_utf8_lossy(&bad.stderr);
    assert!(stderr.contains("VM0_CA_FILE"), "{stderr}");
    // Files go by signed addresses, which are absolute.
    fs::write(home.path().join("a.txt"), "hello").expect("a file");
    for args in [
        &["volume", "init", "--name", "books"][..],
        &["volume", "push"],
    ] {
        let mut command = server.client(home.path(), args);
        let output = command.env("VM0_CA_FILE", &ca).output().expect("vm0 runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
    }
}

#[test]
fn a_replaced_certificate_is_used_and_a_broken_one_is_not() {
    let files = Files::new();
    let server = files.serve();
    files.renew();
    hang_up(&server);
    wait_for_certificate(&server, &files.path("cert.pem"));
    let in_use = files.path("in-use.pem");
    fs::copy(files.path("cert.pem"), &in_use).expect("a file");
    fs::write(files.path("cert.pem"), "nothing").expect("a file");
    hang_up(&server);
    wait_for_log(&server, "a replaced certificate is not used");
    wait_for_certificate(&server, &in_use);
    // Without a word, too.
    files.renew();
    wait_for_certificate(&server, &files.path("cert.pem"));
}

#[test]
fn files_that_are_no_pair_are_refused_at_the_start() {
    let files = Files::new();
    let cert = fs::read(files.path("cert.pem")).expect("a file");
    files.renew();
    fs::write(files.path("other.pem"), cert).expect("a file");
    fs::write(files.path("text.pem"), "hello").expect("a file");
    let refused = |cert: &str, key: &str| {
        let data = tempfile::tempdir().expect("a directory");
        let output = Command::new(VM0)
            .args(["serve", "--no-runner", "--listen", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(data.path())
            .arg("--tls-cert")
            .arg(files.path(cert))
            .arg("--tls-key")
            .arg(files.path(key))
            .output()
            .expect("vm0 runs");
        assert_eq!(output.status.code(), Some(1), "{cert} {key}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (cert, key, wanted) in [
        ("missing.pem", "key.pem", "Failed to read "),
        (
            "text.pem",
            "key.pem",
            "Failed to find a certificate in PEM in ",
        ),
        (
            "cert.pem",
            "text.pem",
            "Failed to find a private key in PEM in ",
        ),
        ("other.pem", "key.pem", "Failed to use the certificate "),
    ] {
        let stderr = refused(cert, key);
        assert!(stderr.contains(wanted), "{cert} {key}: {stderr}");
    }
    let alone = Command::new(VM0)
        .args(["serve", "--tls-cert", "cert.pem"])
        .output()
        .expect("vm0 runs");
    assert_eq!(alone.status.code(), Some(2));
}
