//! Why something about an image failed.

use std::io;
use std::path::{Path, PathBuf};

/// Why something about an image failed; fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The name does not have the form of an image name.
    #[error(
        "use image name '{0}': it must be NAME[:TAG] or NAME@sha256:HEX, NAME of lower-case letters, digits and ./_-"
    )]
    Name(String),
    /// A file could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The archive holds something that a root file system may not.
    #[error("unpack '{path}': {reason}")]
    Hostile {
        /// The member.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The archive is over a limit.
    #[error("unpack the image: it is over the limit of {limit} {unit}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// `bytes` or `entries`.
        unit: &'static str,
    },
    /// The archive is none that is known.
    #[error("read the image: {0}")]
    Format(&'static str),
    /// A description inside the archive cannot be read.
    #[error("read {file} of the image")]
    Json {
        /// Which file.
        file: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// The content differs from the digest that names it.
    #[error("verify {0}: its content differs from its digest")]
    Digest(String),
    /// It was made for other machines.
    #[error("use the image: it is not for {os}/{architecture}")]
    Platform {
        /// Operating system of this machine.
        os: &'static str,
        /// Architecture of this machine.
        architecture: &'static str,
    },
    /// A program that building needs.
    #[error("run {program}: it is not installed; run: apt-get install {program}")]
    Missing {
        /// The program.
        program: &'static str,
    },
    /// A program that building needs failed.
    #[error("run {program}: {output}")]
    Program {
        /// The program.
        program: &'static str,
        /// The end of what it said.
        output: String,
    },
    /// No recipe.
    #[error("build an image for '{0}'; there are recipes for claude-code, codex")]
    NoRecipe(String),
    /// No such image.
    #[error("find image '{0}'; see: vm0 image list")]
    NotFound(String),
    /// A run uses it.
    #[error("remove image '{0}': a run uses it")]
    InUse(String),
}

impl ImageError {
    /// A failed system call, for `map_err`.
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
