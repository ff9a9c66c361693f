//! The members of an uploaded archive, one after the other.
//!
//! The `tar` crate reads headers and finds contents; extended headers (GNU long names, pax) are
//! read here, because they must be bounded: an archive comes from anybody, and a long name of
//! 4 GiB compresses to nothing.

use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};
use vm0_model::limits;

use super::ahead::ReadAhead;
use super::error::{MemberFault, UploadFault};

/// An extended header: one name and one target of the longest kind, and room for what is ignored.
const HEADER_MAX_BYTES: u64 = 64 << 10;
/// Bytes of an archive besides contents: at least this, and so much for each declared entry.
const OVERHEAD_BYTES: u64 = 64 << 20;
const OVERHEAD_BYTES_PER_ENTRY: u64 = 16 << 10;

/// A member that is not a directory.
pub(super) struct Member<'a> {
    /// Its name without a leading `./`.
    pub(super) path: &'a str,
    pub(super) body: MemberBody<'a>,
}

/// What a member is.
pub(super) enum MemberBody<'a> {
    File {
        size: u64,
        executable: bool,
        content: &'a mut dyn Read,
    },
    Symlink {
        target: &'a [u8],
    },
    HardLink {
        to: &'a [u8],
    },
}

/// What a visitor of members answers: a fault of the member, of the upload, or an I/O error of its
/// own.
pub(super) enum VisitError {
    Fault(MemberFault),
    /// Reading the member failed.
    Read(io::Error),
    /// Writing what it holds failed.
    Write(io::Error),
}

/// Why the walk over the members ended early.
pub(super) enum WalkError {
    Fault(UploadFault),
    Write(io::Error),
}

impl From<UploadFault> for WalkError {
    fn from(fault: UploadFault) -> Self {
        Self::Fault(fault)
    }
}

/// Calls `visit` with each member of a gzip'd tar that holds `declared_bytes` in `declared_entries`.
pub(super) fn for_each_member(
    archive: impl Read + Send + 'static,
    declared_bytes: u64,
    declared_entries: usize,
    mut visit: impl FnMut(Member<'_>) -> Result<(), VisitError>,
) -> Result<(), WalkError> {
    let overhead = OVERHEAD_BYTES + OVERHEAD_BYTES_PER_ENTRY * declared_entries as u64;
    let plain = MultiGzDecoder::new(BufReader::with_capacity(256 << 10, archive));
    let plain = ReadAhead::start(plain);
    let mut budget = Budget {
        inner: plain,
        left: declared_bytes.saturating_add(overhead),
    };
    let mut archive = Archive::new(&mut budget);
    let mut extended = Extended::default();
    for entry in archive.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        if extended.absorb(&mut entry)? {
            continue;
        }
        let member = std::mem::take(&mut extended);
        member.visit(&mut entry, &mut visit)?;
    }
    if !extended.is_empty() {
        return Err(unreadable(io::ErrorKind::UnexpectedEof.into()).into());
    }
    // What follows the end mark is padding; reading it verifies the checksum of the gzip stream.
    io::copy(&mut budget, &mut io::sink()).map_err(unreadable)?;
    Ok(())
}

fn unreadable(error: io::Error) -> UploadFault {
    if error
        .get_ref()
        .is_some_and(|inner| inner.is::<BudgetExceeded>())
    {
        return UploadFault::ArchiveTooLarge;
    }
    UploadFault::ArchiveUnreadable(error)
}

fn member_fault(name: &[u8], fault: MemberFault) -> UploadFault {
    UploadFault::Member {
        path: String::from_utf8_lossy(name).into_owned(),
        fault,
    }
}

/// What extended headers say of the member that follows them.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

impl Extended {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.link.is_none() && self.size.is_none() && !self.sparse
    }

    /// Whether `entry` is an extended header, which then is taken over.
    fn absorb<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<bool, UploadFault> {
        let kind = entry.header().entry_type();
        let is_header = kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions();
        if !is_header {
            return Ok(false);
        }
        if entry.size() > HEADER_MAX_BYTES {
            return Err(member_fault(&entry.path_bytes(), MemberFault::Header));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(unreadable)?;
        if (bytes.len() as u64) < entry.size() {
            return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
        }
        if kind.is_gnu_longname() {
            self.name = Some(until_nul(bytes));
        } else if kind.is_gnu_longlink() {
            self.link = Some(until_nul(bytes));
        } else {
            let understood = self.absorb_pax(&bytes, kind.is_pax_global_extensions());
            if !understood {
                return Err(member_fault(&entry.path_bytes(), MemberFault::Header));
            }
        }
        Ok(true)
    }

    /// Whether the records are understood. Global ones may not name members.
    fn absorb_pax(&mut self, mut records: &[u8], global: bool) -> bool {
        while !records.is_empty() {
            let Some((key, value, rest)) = pax_record(records) else {
                return false;
            };
            records = rest;
            let taken = match key {
                b"path" => self.name.replace(value.to_vec()).is_none(),
                b"linkpath" => self.link.replace(value.to_vec()).is_none(),
                b"size" => {
                    let size = std::str::from_utf8(value)
                        .ok()
                        .and_then(|text| text.parse().ok());
                    size.is_some_and(|size| self.size.replace(size).is_none())
                }
                key if key.starts_with(b"GNU.sparse.") => {
                    self.sparse = true;
                    true
                }
                _ => continue,
            };
            if global || !taken {
                return false;
            }
        }
        true
    }

    fn visit<R: Read>(
        self,
        entry: &mut tar::Entry<'_, R>,
        visit: &mut impl FnMut(Member<'_>) -> Result<(), VisitError>,
    ) -> Result<(), WalkError> {
        let header = entry.header().clone();
        let name = self
            .name
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let fault = |fault| WalkError::Fault(member_fault(&name, fault));
        let is_directory = header.entry_type().is_dir()
            || (header.entry_type() == EntryType::Regular && name.ends_with(b"/"));
        let path = clean_name(&name).map_err(fault)?;
        if is_directory {
            return Ok(());
        }
        // A parser that trusts the other size would see other members.
        let size = entry.size();
        if self.sparse || self.size.is_some_and(|pax| pax != size) {
            return Err(fault(MemberFault::Header));
        }
        let path = std::str::from_utf8(path).map_err(|_| fault(MemberFault::Name))?;
        let link = self
            .link
            .or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        let link = link.unwrap_or_default();
        let mut content = entry.take(size);
        let body = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let mode = header.mode().map_err(|_| fault(MemberFault::Header))?;
                MemberBody::File {
                    size,
                    executable: mode & 0o100 != 0,
                    content: &mut content,
                }
            }
            EntryType::Symlink if size == 0 => MemberBody::Symlink { target: &link },
            EntryType::Link if size == 0 => {
                let to = clean_name(&link).map_err(|_| fault(MemberFault::HardLink))?;
                MemberBody::HardLink { to }
            }
            EntryType::Symlink | EntryType::Link => return Err(fault(MemberFault::Size)),
            _ => return Err(fault(MemberFault::Type)),
        };
        visit(Member { path, body }).map_err(|error| match error {
            VisitError::Fault(member) => fault(member),
            VisitError::Read(error) => unreadable(error).into(),
            VisitError::Write(error) => WalkError::Write(error),
        })
    }
}

/// Key and value of the first of `records`, and the others. A record is its own length in decimal,
/// a space, the key, `=`, the value and a line feed; the value may contain any bytes.
fn pax_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().take(20).position(|&byte| byte == b' ')?;
    let len: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let (record, rest) = records.split_at_checked(len)?;
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    Some((&pair[..equals], &pair[equals + 1..], rest))
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// A member's name without a leading `./`.
fn clean_name(name: &[u8]) -> Result<&[u8], MemberFault> {
    if name.len() > limits::PATH_MAX_BYTES + 2 {
        return Err(MemberFault::Name);
    }
    if name.starts_with(b"/") {
        return Err(MemberFault::Absolute);
    }
    if name
        .split(|&byte| byte == b'/')
        .any(|component| component == b"..")
    {
        return Err(MemberFault::Parent);
    }
    Ok(name.strip_prefix(b"./").unwrap_or(name))
}

/// Gives at most `left` bytes, then fails.
struct Budget<R> {
    inner: R,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("the archive is larger than its declared content")]
struct BudgetExceeded;

impl<R: Read> Read for Budget<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other(BudgetExceeded))?;
        Ok(count)
    }
}
