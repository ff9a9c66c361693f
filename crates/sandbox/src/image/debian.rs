//! A Debian root with what agents expect: the lowest layer of every built image.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use super::archive::sha256_hex;
use super::error::ImageError;
use super::import::unpack_into;
use super::store::{ImageStore, Workspace};
use super::unpack::Counted;

const SUITE: &str = "bookworm";
const PACKAGES: &str = "bash,ca-certificates,curl,git,jq,less,nodejs,openssh-client,procps,python3,ripgrep,unzip,xz-utils";

impl ImageStore {
    /// The base layer, built by `mmdebstrap` from this machine's own Debian mirror if it is not
    /// there yet.
    pub(super) fn debian(&self, work: &Workspace) -> Result<String, ImageError> {
        let layer = format!("debian-{SUITE}-{}", &sha256_hex(PACKAGES.as_bytes())[..12]);
        if self.has_layer(&layer) {
            return Ok(layer);
        }
        let tar = work.path().join("debian.tar");
        let mut command = Command::new("mmdebstrap");
        command
            .args(["--quiet", "--variant=minbase", "--mode=root"])
            .arg(format!("--include={PACKAGES}"))
            .arg("--dpkgopt=path-exclude=/usr/share/man/*")
            .arg("--dpkgopt=path-exclude=/usr/share/doc/*")
            .arg(SUITE)
            .arg(&tar);
        run("mmdebstrap", &mut command)?;
        let root = work.path().join("debian");
        let file = File::open(&tar).map_err(ImageError::io("open", &tar))?;
        unpack_into(file, &root, &mut Counted::default())?;
        self.add_layer(&layer, &root)?;
        Ok(layer)
    }
}

/// Runs a program and gives its output.
pub(super) fn run(program: &'static str, command: &mut Command) -> Result<String, ImageError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => ImageError::Missing { program },
            _ => ImageError::Io {
                action: "start",
                path: Path::new(program).to_owned(),
                source,
            },
        })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().collect();
        let output = lines[lines.len().saturating_sub(5)..].join("; ");
        return Err(ImageError::Program { program, output });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
