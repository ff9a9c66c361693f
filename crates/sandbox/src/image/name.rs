//! Names of images: `NAME[:TAG]`, the tag being `latest` if none is given.

use std::fmt;
use std::str::FromStr;

use super::error::ImageError;

const MAX_BYTES: usize = 200;

/// A name in the image store, always with its tag.
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

    /// The name with its tag.
    pub fn as_str(&self) -> &str {
        &self.0
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
        let (name, tag) = match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (text, "latest"),
        };
        let fine = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part.bytes().all(|b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
                })
        };
        let tag_fine = !tag.is_empty()
            && tag
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if text.len() > MAX_BYTES || !tag_fine || !name.split('/').all(fine) || name == "host" {
            return Err(error());
        }
        Ok(Self(format!("{name}:{tag}")))
    }
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
    fn names_that_could_leave_the_store_are_refused() {
        for text in [
            "", "..", "a/../b", "/a", "a/", "A", "a b", "a:", "a:b/c", "host", "a\0b", "%2f",
        ] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
    }
}
