//! Which sandbox runtimes the tests run on.

use std::path::Path;
use std::process::Command;

use vm0_testkit::{Server, ServerOptions};

/// Declares tests that run once per sandbox runtime: `async fn name(kind: &str)`.
#[macro_export]
macro_rules! on_each_sandbox {
    ($($name:ident),* $(,)?) => {
        mod gvisor {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if $crate::sandboxes::wanted("gvisor") {
                    super::$name("gvisor").await;
                }
            })*
        }
        mod runc {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if $crate::sandboxes::wanted("runc") {
                    super::$name("runc").await;
                }
            })*
        }
    };
}

/// Whether this runtime is to be tested. In CI all are.
pub(crate) fn wanted(kind: &str) -> bool {
    let wanted = std::env::var("VM0_TEST_SANDBOXES").ok();
    let wanted = wanted.is_none_or(|list| list.split(',').any(|item| item == kind));
    if !wanted {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI tests every sandbox runtime"
        );
        eprintln!("{kind} is left out by VM0_TEST_SANDBOXES");
    }
    wanted
}

/// Options of a server with this kind of sandbox.
pub(crate) fn options(kind: &str) -> ServerOptions {
    ServerOptions::new(env!("CARGO_BIN_EXE_vm0"), kind)
}

/// A server with this kind of sandbox.
pub(crate) fn server(kind: &str) -> Server {
    options(kind).start()
}

/// Runs the command line on a data directory and gives what it printed.
pub(crate) fn vm0(data_dir: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_vm0"))
        .args(args)
        .arg("--data-dir")
        .arg(data_dir)
        .output()
        .expect("vm0 runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "vm0 {args:?}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}
