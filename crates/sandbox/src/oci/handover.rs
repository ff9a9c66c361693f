//! How a runtime gets the configuration of its container.
//!
//! `runc` reads it once. It is started first and reads from a pipe, so that it gets ready while
//! disk and overlays are made. `runsc` reads it again in its other processes: it gets a file, and
//! is started when that is there.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::stat::Mode;

use super::layout::Layout;
use super::runtime::Runtime;

/// A configuration that is handed over by a pipe has at most this many bytes.
const PIPE_BYTES: i32 = 1 << 20;

/// The place of a configuration; to be kept until the runtime has read it, because a pipe that
/// nobody has open forgets what is in it.
#[derive(Debug)]
pub(crate) struct Handover {
    place: File,
}

impl Handover {
    /// Makes the bundle's directory with a place for its configuration in it.
    pub(crate) fn begin(runtime: Runtime, layout: &Layout) -> io::Result<Self> {
        fs::create_dir(layout.bundle())?;
        fs::create_dir(layout.runtime_root())?;
        // The root inside must be able to pass; the state of the runtime is not for it.
        fs::set_permissions(layout.runtime_root(), Permissions::from_mode(0o700))?;
        let path = layout.config();
        let place = match runtime {
            Runtime::Runsc => File::create(path)?,
            Runtime::Runc => {
                nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
                // Open at both ends, so that opening waits for nobody; without waiting for room,
                // because the reader may be dead.
                let place = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .custom_flags(nix::libc::O_NONBLOCK)
                    .open(path)?;
                fcntl(&place, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES))?;
                place
            }
        };
        Ok(Self { place })
    }

    /// Hands the configuration over.
    pub(crate) fn give(&mut self, config: &str) -> io::Result<()> {
        self.place.write_all(config.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn layout(dir: &std::path::Path) -> Layout {
        Layout {
            id: "a-1".into(),
            dir: dir.to_owned(),
            run: dir.to_owned(),
            targets: Vec::new(),
        }
    }

    #[test]
    fn a_reader_that_comes_late_gets_the_whole_configuration() {
        for runtime in [Runtime::Runc, Runtime::Runsc] {
            let dir = tempfile::tempdir().unwrap();
            let layout = layout(dir.path());
            let mut handover = Handover::begin(runtime, &layout).unwrap();
            let config = "x".repeat(300_000);
            handover.give(&config).unwrap();
            let mut reader = File::open(layout.config()).unwrap();
            drop(handover);
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, config);
        }
    }

    #[test]
    fn a_configuration_that_nobody_reads_is_refused_instead_of_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut handover = Handover::begin(Runtime::Runc, &layout(dir.path())).unwrap();
        let too_long = "x".repeat(2 * PIPE_BYTES as usize);
        let error = handover.give(&too_long).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
