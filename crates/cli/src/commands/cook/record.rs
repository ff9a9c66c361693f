//! `~/.vm0/cook.json`: what was cooked where (CLI 1.3).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vm0_model::id::{CheckpointId, RunId, SessionId};
use vm0_model::time::Timestamp;
use vm0_model::wire::runs::RunDetail;

use crate::config::home;
use crate::error::Failure;
use crate::units;

const FILE: &str = "cook.json";
const LOCK: &str = "cook.lock";
/// A longer file is not ours.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// A directory in which nothing was cooked for this long is forgotten.
const KEPT_MILLIS: i64 = 30 * 24 * 3_600 * 1_000;

/// The last ids of a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// The last run.
    pub(super) run: Option<RunId>,
    /// The session of the last run that completed.
    pub(super) session: Option<SessionId>,
    /// The checkpoint of the last run that completed.
    pub(super) checkpoint: Option<CheckpointId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    ids: Remembered,
    used_at: Timestamp,
}

type Entries = BTreeMap<String, Entry>;

/// The record of one project directory.
#[derive(Debug)]
pub(super) struct Record {
    folder: PathBuf,
    project: String,
}

impl Record {
    /// The record of the directory with this absolute path.
    pub(super) fn of(project: &Path) -> Result<Self, Failure> {
        let folder = home().ok_or_else(|| Failure::usage("HOME is not set"))?;
        Ok(Self {
            folder,
            project: project.to_string_lossy().into_owned(),
        })
    }

    /// What is remembered; nothing if the file is missing or corrupt.
    pub(super) fn read(&self) -> Remembered {
        let mut entries = self.entries(units::now());
        entries
            .remove(&self.project)
            .map(|entry| entry.ids)
            .unwrap_or_default()
    }

    /// Remembers a run; session and checkpoint only if it has them.
    pub(super) fn update(&self, run: &RunDetail) -> io::Result<()> {
        self.update_at(
            Remembered {
                run: Some(run.run.id),
                session: run.session_id,
                checkpoint: run.checkpoint_id,
            },
            units::now(),
        )
    }

    fn update_at(&self, new: Remembered, now: Timestamp) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.folder)?;
        // Two directories may be cooked at once.
        let lock = File::create(self.folder.join(LOCK))?;
        lock.lock()?;
        let mut entries = self.entries(now);
        let old = entries.remove(&self.project).map(|entry| entry.ids);
        let old = old.unwrap_or_default();
        let ids = Remembered {
            run: new.run.or(old.run),
            session: new.session.or(old.session),
            checkpoint: new.checkpoint.or(old.checkpoint),
        };
        let entry = Entry { ids, used_at: now };
        entries.insert(self.project.clone(), entry);
        let file = tempfile::NamedTempFile::new_in(&self.folder)?;
        serde_json::to_writer_pretty(&file, &entries)?;
        file.as_file().sync_all()?;
        file.persist(self.folder.join(FILE))?;
        Ok(())
    }

    /// The entries that are still kept.
    fn entries(&self, now: Timestamp) -> Entries {
        let read = || -> io::Result<Entries> {
            let mut bytes = Vec::new();
            let file = File::open(self.folder.join(FILE))?;
            file.take(FILE_MAX_BYTES).read_to_end(&mut bytes)?;
            Ok(serde_json::from_slice(&bytes)?)
        };
        let mut entries = read().unwrap_or_default();
        entries.retain(|_, entry| now.millis_since(entry.used_at) <= KEPT_MILLIS);
        entries
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use uuid::Uuid;

    use super::*;

    fn record(dir: &Path, project: &str) -> Record {
        Record {
            folder: dir.join(".vm0"),
            project: project.to_owned(),
        }
    }

    fn run(number: u128) -> Remembered {
        Remembered {
            run: Some(RunId::from_uuid(Uuid::from_u128(number))),
            ..Remembered::default()
        }
    }

    #[test]
    fn each_directory_remembers_its_own_and_a_failed_run_forgets_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (record(dir.path(), "/a"), record(dir.path(), "/b"));
        assert_eq!(a.read(), Remembered::default());
        let completed = Remembered {
            session: Some(SessionId::from_uuid(Uuid::from_u128(7))),
            checkpoint: Some(CheckpointId::from_uuid(Uuid::from_u128(8))),
            ..run(1)
        };
        a.update_at(completed.clone(), units::now()).unwrap();
        b.update_at(run(2), units::now()).unwrap();
        assert_eq!((a.read(), b.read()), (completed.clone(), run(2)));
        a.update_at(run(3), units::now()).unwrap();
        let expected = Remembered {
            run: run(3).run,
            ..completed
        };
        assert_eq!(a.read(), expected);
        let mode = |path: &str| {
            let metadata = fs::metadata(dir.path().join(path)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!((mode(".vm0"), mode(".vm0/cook.json")), (0o700, 0o600));
    }

    #[test]
    fn a_corrupt_file_counts_as_empty_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let record = record(dir.path(), "/a");
        fs::create_dir(dir.path().join(".vm0")).unwrap();
        for text in ["", "[]", "{\"/a\": 7}", "\u{0}"] {
            fs::write(dir.path().join(".vm0/cook.json"), text).unwrap();
            assert_eq!(record.read(), Remembered::default(), "{text:?}");
        }
        record.update_at(run(1), units::now()).unwrap();
        assert_eq!(record.read(), run(1));
    }

    #[test]
    fn what_was_not_used_for_thirty_days_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (record(dir.path(), "/old"), record(dir.path(), "/new"));
        let then = units::now().plus_millis(-KEPT_MILLIS - 1);
        old.update_at(run(1), then).unwrap();
        assert_eq!(old.read(), Remembered::default());
        new.update_at(run(2), units::now()).unwrap();
        let text = fs::read_to_string(dir.path().join(".vm0/cook.json")).unwrap();
        assert!(!text.contains("/old"), "{text}");
    }
}
