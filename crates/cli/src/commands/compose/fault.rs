//! What can be wrong with instructions and skills. Each is said of a field of the agent file.

use std::io;
use std::path::PathBuf;

use vm0_model::limits::{INSTRUCTIONS_FILE_MAX_BYTES, SKILL_MAX_BYTES, SKILL_MAX_FILES};
use vm0_model::path::FilePathError;

use super::git::GitError;

/// Instructions or a skill cannot be collected.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceFault {
    /// Nothing is there.
    #[error("'{0}' is not there")]
    NotFound(String),
    /// A link leads out of the folder.
    #[error("'{0}' leads out of the folder of this file")]
    Outside(String),
    /// Something else is there.
    #[error("'{0}' is not a file")]
    NotFile(String),
    /// Something else is there.
    #[error("'{0}' is not a directory")]
    NotDirectory(String),
    /// The file of instructions is too long.
    #[error("'{0}' is longer than {max} KiB", max = INSTRUCTIONS_FILE_MAX_BYTES >> 10)]
    InstructionsTooLong(String),
    /// The file of instructions is no text.
    #[error("'{0}' is not UTF-8")]
    NotText(String),
    /// What makes a directory a skill is missing.
    #[error("the skill has no file SKILL.md")]
    NoSkillFile,
    /// The skill is too large.
    #[error("the skill is larger than {} MiB", SKILL_MAX_BYTES >> 20)]
    TooLarge,
    /// The skill has too many files.
    #[error("the skill has more than {SKILL_MAX_FILES} files")]
    TooMany,
    /// A name is not text.
    #[error("the skill has a file whose name is not UTF-8: '{0}'")]
    Name(String),
    /// A path breaks the rules of versions.
    #[error("the skill has a file that cannot be kept: '{path}' {source}")]
    Path {
        /// The path.
        path: String,
        /// The rule.
        source: FilePathError,
    },
    /// Two entries have one path, or one stands where another needs a directory.
    #[error("the skill has two entries at '{0}'")]
    Clash(String),
    /// A file that belongs to git itself.
    #[error("the skill has a file of git itself: '{0}'")]
    GitInternal(String),
    /// A link leads out of the skill.
    #[error("the link '{0}' leads out of the skill")]
    LinkOut(String),
    /// A socket, pipe or device.
    #[error("'{0}' is neither a file nor a link")]
    Special(String),
    /// The front matter is wrong.
    #[error("{0}")]
    SkillFile(String),
    /// The repository has no such ref.
    #[error("the repository has no branch, tag or commit that '{0}' begins with")]
    NoRef(String),
    /// The repository has no such directory.
    #[error("the repository has no directory '{path}' at {reference}")]
    NoDirectory {
        /// The directory.
        path: String,
        /// The branch, tag or commit.
        reference: String,
    },
    /// Git cannot do it.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SourceFault {
    /// A file cannot be read or written.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
