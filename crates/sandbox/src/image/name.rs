//! Names of images: `NAME[:TAG]`, the tag being `latest` if none is given, or `NAME@sha256:HEX`. The
//! first part of a name may have a port, as a registry has.

use std::fmt;
use std::str::FromStr;

use super::error::ImageError;
use super::manifest::hex_of;

/// Of the name as a file name.
const MAX_BYTES: usize = 240;

/// A name in the image store, always with its tag or digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName(String);

impl ImageName {
    /// The name of the image that `vm0 image build` makes for a framework.
    ///
    /// # Errors
    /// If the framework's name cannot stand in an image name.
    pub fn of_framework(framework: &str) -> Result<Self, ImageError> {
        format!("vm0/{framework}").parse()
    }

    /// The name with its tag or digest.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its tag, and its digest, if it has one.
    pub(super) fn repository_and_digest(&self) -> (&str, Option<&str>) {
        match self.0.split_once('@') {
            Some((repository, digest)) => (repository, Some(digest)),
            None => {
                let repository = self.0.rsplit_once(':').map(|(repository, _)| repository);
                (repository.unwrap_or(&self.0), None)
            }
        }
    }

    /// A file name that no other image name has.
    pub(crate) fn file_stem(&self) -> String {
        self.0.replace('/', "%2f").replace(':', "%3a")
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageName {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let error = || ImageError::Name(text.to_owned());
        let (name, full) = match (text.split_once('@'), text.rsplit_once(':')) {
            (Some((name, digest)), _) if hex_of(digest).is_ok() => (name, text.to_owned()),
            (None, Some((name, tag))) if is_tag(tag) => (name, text.to_owned()),
            (None, _) => (text, format!("{text}:latest")),
            _ => return Err(error()),
        };
        let full = Self(full);
        if !is_repository(name) || name == "host" || full.file_stem().len() > MAX_BYTES {
            return Err(error());
        }
        Ok(full)
    }
}

fn is_repository(name: &str) -> bool {
    let mut parts = name.split('/');
    let first = parts.next().unwrap_or_default();
    let first = match first.split_once(':') {
        Some((host, port)) if name.contains('/') && port.parse::<u16>().is_ok() => host,
        _ => first,
    };
    is_part(first) && parts.all(is_part)
}

fn is_part(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && part.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    !tag.is_empty()
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_tag_is_the_latest() {
        let name: ImageName = "vm0/claude-code".parse().unwrap();
        assert_eq!(name.as_str(), "vm0/claude-code:latest");
        assert_eq!(name, "vm0/claude-code:latest".parse().unwrap());
        assert_eq!(name.file_stem(), "vm0%2fclaude-code%3alatest");
    }

    #[test]
    fn a_name_may_begin_with_a_registry_and_end_with_a_digest() {
        let parts = |text: &str| {
            let name: ImageName = text.parse().unwrap();
            let (repository, digest) = name.repository_and_digest();
            let digest = digest.map(str::to_owned);
            (name.to_string(), repository.to_owned(), digest)
        };
        let (name, repository, digest) = parts("localhost:5000/team/tools");
        assert_eq!(name, "localhost:5000/team/tools:latest");
        assert_eq!(
            (repository.as_str(), digest),
            ("localhost:5000/team/tools", None)
        );
        let hex = format!("sha256:{}", "0a".repeat(32));
        let (name, repository, digest) = parts(&format!("debian@{hex}"));
        assert_eq!(name, format!("debian@{hex}"));
        assert_eq!((repository.as_str(), digest), ("debian", Some(hex)));
    }

    #[test]
    fn names_that_could_leave_the_store_are_refused() {
        for text in [
            "",
            "..",
            "a/../b",
            "/a",
            "a/",
            "A",
            "a b",
            "a:",
            "a:b/c",
            "host",
            "a\0b",
            "%2f",
            "a:1:b",
            "a:99999/b",
            "a@sha256:00",
            &format!("A@sha256:{}", "0a".repeat(32)),
            &format!("a:1@sha256:{}", "0a".repeat(32)),
            &"a".repeat(300),
        ] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
    }
}
