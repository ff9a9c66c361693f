//! Programs of others that save directories: restic, borg and tar, each as its manual says.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::error::Failure;
use crate::exit::Exit;

/// The rivals with their repositories.
#[derive(Debug)]
pub(super) struct Rivals {
    dir: PathBuf,
    root: PathBuf,
    backups: u32,
}

impl Rivals {
    /// Makes empty repositories below `dir` for the files in `root`.
    pub(super) fn prepare(dir: &Path, root: &Path) -> Result<Self, Failure> {
        let rivals = Self {
            dir: dir.to_owned(),
            root: root.to_owned(),
            backups: 0,
        };
        rivals.run("restic", &["init", "--quiet"])?;
        rivals.run("borg", &["init", "--encryption=none"])?;
        Ok(rivals)
    }

    /// Seconds of `restic backup`.
    pub(super) fn restic(&self) -> Result<f64, Failure> {
        self.run("restic", &["backup", "--quiet", "."])
    }

    /// Seconds of `borg create`.
    pub(super) fn borg(&mut self) -> Result<f64, Failure> {
        self.backups += 1;
        let archive = format!("::{}", self.backups);
        self.run("borg", &["create", &archive, "."])
    }

    /// Seconds of `tar czf`.
    pub(super) fn tar(&self) -> Result<f64, Failure> {
        let archive = self.dir.join("archive.tar.gz");
        let archive = archive.to_string_lossy();
        let seconds = self.run("tar", &["czf", &archive, "."])?;
        std::fs::remove_file(&*archive)?;
        Ok(seconds)
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<f64, Failure> {
        let started = Instant::now();
        let ran = Command::new(program)
            .args(args)
            .current_dir(&self.root)
            .env("RESTIC_REPOSITORY", self.dir.join("restic"))
            .env("RESTIC_CACHE_DIR", self.dir.join("restic-cache"))
            .env("RESTIC_PASSWORD", "bench")
            .env("BORG_REPO", self.dir.join("borg"))
            .env("BORG_BASE_DIR", self.dir.join("borg-base"))
            .env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
            .stdin(Stdio::null())
            .output();
        let output = match ran {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = format!("{program} is not installed");
                let failure = Failure::new(Exit::Failed, "bench_rival", message);
                return Err(failure.hint("On Debian: apt-get install restic borgbackup tar"));
            }
            ran => ran?,
        };
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let message = format!("{program} failed: {}", text.trim());
            return Err(Failure::new(Exit::Failed, "bench_rival", message));
        }
        Ok(started.elapsed().as_secs_f64())
    }
}
