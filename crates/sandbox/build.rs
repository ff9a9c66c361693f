//! Builds the guest agent as a static executable, to be embedded.
//!
//! The nested cargo has a target directory of its own (the outer one is locked) and an environment
//! without what the outer cargo, clippy or nextest have put there.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let out = PathBuf::from(var("OUT_DIR"));
    let root = Path::new(&var("CARGO_MANIFEST_DIR")).join("../..");
    for path in [
        "crates/agent/src",
        "crates/agent/Cargo.toml",
        "crates/guest/src",
        "crates/guest/Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    let target = var("TARGET");
    let build_dir = out.join("agent-target");
    let mut command = Command::new(var("CARGO"));
    for (name, _) in std::env::vars_os() {
        if is_of_outer_build(&name.to_string_lossy()) {
            command.env_remove(&name);
        }
    }
    let status = command
        .args([
            "build",
            "--quiet",
            "--locked",
            "--profile",
            "guest",
            "-p",
            "vm0-agent",
        ])
        .args(["--target", &target])
        .arg("--manifest-path")
        .arg(root.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&build_dir)
        // Linked by GNU ld: what mold makes of a static glibc crashes before main.
        .env(
            "RUSTFLAGS",
            "-C target-feature=+crt-static -C relocation-model=static",
        )
        .status()
        .unwrap_or_else(|error| panic!("cargo for the guest agent does not start: {error}"));
    assert!(status.success(), "the guest agent does not build");
    let agent = build_dir.join(&target).join("guest/vm0-agent");
    std::fs::copy(&agent, out.join("agent"))
        .unwrap_or_else(|error| panic!("{} is not there: {error}", agent.display()));
}

fn is_of_outer_build(name: &str) -> bool {
    const KEPT: [&str; 3] = ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_HTTP_CAINFO"];
    let cargo =
        name.starts_with("CARGO") && !KEPT.contains(&name) && !name.starts_with("CARGO_REGISTR");
    let rustc = name.starts_with("RUSTC") || name.starts_with("RUSTDOC") || name == "RUSTFLAGS";
    let outer = [
        "OUT_DIR",
        "TARGET",
        "HOST",
        "PROFILE",
        "OPT_LEVEL",
        "DEBUG",
        "NUM_JOBS",
        "CLIPPY_ARGS",
    ];
    cargo
        || rustc
        || outer.contains(&name)
        || name.starts_with("DEP_")
        || name.starts_with("NEXTEST")
}

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}
