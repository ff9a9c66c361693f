//! Why an upload did not become a version.

use std::fmt;

use crate::blobs::UploadObject;
use crate::error::BlobError;
use crate::parts::PartFault;

/// Why an upload did not become a version. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// An object was never put. The text is the message of API 8.5.
    #[error("{} not uploaded - upload failed or incomplete", title(.0))]
    Incomplete(UploadObject),
    /// The upload is not what was declared. The text names the first culprit.
    #[error(transparent)]
    Invalid(#[from] UploadFault),
    /// The store failed.
    #[error("store the version")]
    Blob(#[from] BlobError),
}

fn title(object: &UploadObject) -> String {
    match object {
        UploadObject::Archive => "Archive".to_owned(),
        UploadObject::Manifest => "Manifest".to_owned(),
        UploadObject::Declaration | UploadObject::Base => "Declaration".to_owned(),
        UploadObject::Part(number) => format!("Part {number}"),
    }
}

/// What is wrong with an upload; the text is for the caller of the API.
#[derive(Debug, thiserror::Error)]
pub enum UploadFault {
    /// `manifest.json` is not the JSON it should be.
    #[error("manifest.json is unreadable: {0}")]
    ManifestUnreadable(#[source] serde_json::Error),
    /// `manifest.json` is larger than any manifest.
    #[error("manifest.json is larger than {limit} bytes")]
    ManifestTooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// `manifest.json` lists a path that was not declared.
    #[error("manifest.json lists '{path}', which was not declared")]
    ManifestUndeclared {
        /// The path.
        path: String,
    },
    /// `manifest.json` lists a path twice.
    #[error("manifest.json lists '{path}' twice")]
    ManifestRepeated {
        /// The path.
        path: String,
    },
    /// `manifest.json` does not list a declared path.
    #[error("manifest.json does not list '{path}'")]
    ManifestMissing {
        /// The path.
        path: String,
    },
    /// `manifest.json` says something else of a path than the declaration.
    #[error("manifest.json and the declaration differ in the {field} of '{path}'")]
    ManifestDiffers {
        /// The path.
        path: String,
        /// What differs.
        field: &'static str,
    },
    /// A declared entry breaks a rule of API 8.4.
    #[error("the declaration of '{path}' is invalid: {field}")]
    Declaration {
        /// The path.
        path: String,
        /// What is wrong.
        field: &'static str,
    },
    /// The archive is not a gzip'd tar, or is cut short.
    #[error("the archive is unreadable: {0}")]
    ArchiveUnreadable(#[source] std::io::Error),
    /// The archive holds more than its declared content can need.
    #[error("the archive is larger than its declared content")]
    ArchiveTooLarge,
    /// A member of the archive is refused.
    #[error("archive member '{path}' {fault}")]
    Member {
        /// Name of the member.
        path: String,
        /// What is wrong with it.
        fault: MemberFault,
    },
    /// A part does not hold the chunks of its place.
    #[error("part {number} {fault}")]
    Part {
        /// Which part, from 0.
        number: usize,
        /// What is wrong with it.
        fault: PartFault,
    },
    /// The chunks of a file do not make it up.
    #[error("'{path}' {fault}")]
    File {
        /// Its path.
        path: String,
        /// What is wrong with it.
        fault: MemberFault,
    },
    /// A declared entry is not in the archive.
    #[error("'{path}' is declared but not in the archive")]
    Missing {
        /// The path.
        path: String,
    },
}

/// What is wrong with a member of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberFault {
    /// It was not declared.
    Undeclared,
    /// It was there before.
    Repeated,
    /// Its name is absolute.
    Absolute,
    /// Its name has a component `..`.
    Parent,
    /// Its name is not UTF-8.
    Name,
    /// It is a device or FIFO, or of a type that no version can hold.
    Type,
    /// It is a hard link to something that is no earlier member.
    HardLink,
    /// It is declared as another kind of entry.
    Kind,
    /// Its size is not the declared one.
    Size,
    /// Its content does not have the declared hash.
    Hash,
    /// Its target is not the declared one.
    Target,
    /// Its execute bit is not the declared one.
    Executable,
    /// Its extended header is too long or not understood.
    Header,
}

impl fmt::Display for MemberFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undeclared => "was not declared",
            Self::Repeated => "is repeated",
            Self::Absolute => "has an absolute name",
            Self::Parent => "has '..' in its name",
            Self::Name => "has a name that is not UTF-8",
            Self::Type => "is neither a file, a symlink nor a directory",
            Self::HardLink => "is a hard link to something that is no earlier member",
            Self::Kind => "is of another kind than declared",
            Self::Size => "has another size than declared",
            Self::Hash => "has another hash than declared",
            Self::Target => "has another link target than declared",
            Self::Executable => "has another execute bit than declared",
            Self::Header => "has an extended header that is too long or not understood",
        })
    }
}
