//! Which range of host ids belongs to which sandbox, among all processes of this host.
//!
//! ```text
//!   RUN/.ids/lock   held while one is chosen
//!   RUN/.ids/N      a link whose target is the id of the sandbox that has range N
//! ```
//!
//! A range is taken as long as the run directory of its sandbox is there, which is removed after
//! its last process; so whatever ends a sandbox, also a sweep after a crash, gives its range back.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::ids::RANGES;

const CLAIMS: &str = ".ids";

/// Takes the first free range for the sandbox `id`, whose run directory is `run/id`.
pub(crate) fn claim(run: &Path, id: &str) -> io::Result<u32> {
    let claims = run.join(CLAIMS);
    fs::create_dir_all(&claims)?;
    let lock = File::create(claims.join("lock"))?;
    lock.lock()?;
    for range in 0..RANGES {
        let claim = claims.join(range.to_string());
        match fs::read_link(&claim) {
            Ok(owner) if owner == Path::new(id) => return Ok(range),
            Ok(owner) if run.join(&owner).exists() => continue,
            Ok(_) => fs::remove_file(&claim)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        symlink(id, &claim)?;
        return Ok(range);
    }
    let text = format!("all {RANGES} ranges of user ids are taken");
    Err(io::Error::new(io::ErrorKind::QuotaExceeded, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_of_one_sandbox_until_its_run_directory_is_gone() {
        let run = tempfile::tempdir().unwrap();
        for id in ["a", "b", "c"] {
            fs::create_dir(run.path().join(id)).unwrap();
        }
        assert_eq!(claim(run.path(), "a").unwrap(), 0);
        assert_eq!(claim(run.path(), "b").unwrap(), 1);
        assert_eq!(claim(run.path(), "a").unwrap(), 0, "asked for again");
        fs::remove_dir(run.path().join("a")).unwrap();
        assert_eq!(claim(run.path(), "c").unwrap(), 0);
    }

    #[test]
    fn sandboxes_that_start_at_once_get_different_ranges() {
        let run = tempfile::tempdir().unwrap();
        let mut ranges: Vec<u32> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|number| {
                    let run = run.path();
                    scope.spawn(move || {
                        let id = format!("s-{number}");
                        fs::create_dir(run.join(&id)).unwrap();
                        claim(run, &id).unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        ranges.sort_unstable();
        assert_eq!(ranges, (0..16).collect::<Vec<_>>());
    }

    #[test]
    fn no_range_is_left_when_all_are_taken() {
        let run = tempfile::tempdir().unwrap();
        fs::create_dir(run.path().join("a")).unwrap();
        fs::create_dir(run.path().join(CLAIMS)).unwrap();
        for range in 0..RANGES {
            symlink("a", run.path().join(CLAIMS).join(range.to_string())).unwrap();
        }
        let error = claim(run.path(), "b").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
    }
}
