//! What describes an image: an index of images for several platforms, a manifest, a configuration.
//! OCI image specification 1.1; Docker's own forms have the same keys.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::archive::sha256_hex;
use super::error::ImageError;

const OS: &str = "linux";
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: &str = "amd64";
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: &str = "arm64";

/// Indexes on the way to a manifest.
pub const MAX_INDEXES: usize = 3;

/// A content, named by its digest.
#[derive(Debug, Clone, Deserialize)]
pub struct Descriptor {
    /// `sha256:` and 64 digits; to be checked by whoever uses it.
    pub digest: String,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    platform: Option<Platform>,
}

#[derive(Debug, Clone, Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

/// What an image consists of.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// What the content that an image's name leads to is.
#[derive(Debug, Clone)]
pub enum Described {
    /// An index: the description of the image for this machine is there.
    Elsewhere(Descriptor),
    /// An image.
    Image(Manifest),
}

#[derive(Deserialize)]
struct Document {
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

impl Described {
    /// Reads an index or a manifest.
    ///
    /// # Errors
    /// It is neither, or an index that has no image for this machine.
    pub fn parse(text: &[u8]) -> Result<Self, ImageError> {
        let document: Document = parse("the manifest", text)?;
        match document {
            Document {
                manifests: Some(manifests),
                ..
            } => {
                let fits = |entry: &Descriptor| {
                    let platform = entry.platform.as_ref();
                    platform.is_none_or(|platform| {
                        is_for_this_machine(&platform.os, &platform.architecture)
                    })
                };
                let found = manifests.into_iter().find(fits);
                found.map(Self::Elsewhere).ok_or_else(other_machine)
            }
            Document {
                config: Some(config),
                layers: Some(layers),
                ..
            } if !layers.is_empty() => Ok(Self::Image(Manifest { config, layers })),
            _ => Err(ImageError::Format("its manifest names no layers")),
        }
    }
}

/// The settings of an image, of which only the variables are used.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    os: Option<String>,
    architecture: Option<String>,
    config: Option<Settings>,
}

#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(rename = "Env")]
    env: Option<Vec<String>>,
}

impl Config {
    /// Reads the configuration of an image for this machine.
    pub(super) fn parse(text: &[u8]) -> Result<Self, ImageError> {
        let config: Self = parse("the configuration", text)?;
        let os = config.os.as_deref().unwrap_or(OS);
        let architecture = config.architecture.as_deref().unwrap_or(ARCHITECTURE);
        if !is_for_this_machine(os, architecture) {
            return Err(other_machine());
        }
        Ok(config)
    }

    pub(super) fn env(self) -> BTreeMap<String, String> {
        let pairs = self.config.and_then(|settings| settings.env);
        let pairs = pairs.unwrap_or_default();
        let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

impl Manifest {
    /// The layers, each once.
    pub(super) fn distinct_layers(&self) -> Vec<&Descriptor> {
        let mut seen = BTreeSet::new();
        let layers = self.layers.iter();
        layers
            .filter(|layer| seen.insert(layer.digest.as_str()))
            .collect()
    }
}

/// The digits of a digest.
pub(super) fn hex_of(digest: &str) -> Result<&str, ImageError> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    let fine = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if hex.len() != 64 || !hex.bytes().all(fine) {
        return Err(ImageError::Format("a digest in it is not sha256"));
    }
    Ok(hex)
}

/// Checks a content that is in memory against its digest.
pub(super) fn verify(text: &[u8], digest: &str) -> Result<(), ImageError> {
    if hex_of(digest)? == sha256_hex(text) {
        Ok(())
    } else {
        Err(ImageError::Digest(digest.to_owned()))
    }
}

fn is_for_this_machine(os: &str, architecture: &str) -> bool {
    os == OS && architecture == ARCHITECTURE
}

fn other_machine() -> ImageError {
    ImageError::Platform {
        os: OS,
        architecture: ARCHITECTURE,
    }
}

pub(super) fn parse<T: DeserializeOwned>(file: &str, text: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(text).map_err(|source| ImageError::Json {
        file: file.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(letter: &str, os: &str, architecture: &str) -> serde_json::Value {
        json!({ "digest": format!("sha256:{}", letter.repeat(64)), "size": 1,
            "platform": { "os": os, "architecture": architecture } })
    }

    #[test]
    fn an_index_leads_to_the_image_for_this_machine() {
        let index = json!({ "manifests": [
            entry("a", "linux", "s390x"),
            entry("b", "unknown", "unknown"),
            entry("c", OS, ARCHITECTURE),
        ] });
        let described = Described::parse(index.to_string().as_bytes()).unwrap();
        let Described::Elsewhere(found) = described else {
            panic!("{described:?}");
        };
        assert!(found.digest.ends_with("cc"));
        let other = json!({ "manifests": [entry("a", "windows", ARCHITECTURE)] });
        let refused = Described::parse(other.to_string().as_bytes()).unwrap_err();
        assert!(matches!(refused, ImageError::Platform { .. }), "{refused}");
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for text in ["", "[]", "{}", r#"{"manifests":[]}"#, r#"{"layers":[]}"#] {
            assert!(Described::parse(text.as_bytes()).is_err(), "{text}");
        }
        for digest in [
            "",
            "sha256:",
            "md5:00",
            &format!("sha256:{}", "A".repeat(64)),
        ] {
            assert!(hex_of(digest).is_err(), "{digest}");
        }
    }

    #[test]
    fn a_configuration_for_another_machine_is_refused() {
        let config = Config::parse(br#"{"config":{"Env":["A=b=c","broken"]}}"#).unwrap();
        let expected = BTreeMap::from([("A".to_owned(), "b=c".to_owned())]);
        assert_eq!(config.env(), expected);
        for text in [r#"{"architecture":"s390x"}"#, r#"{"os":"windows"}"#] {
            let refused = Config::parse(text.as_bytes()).unwrap_err();
            assert!(matches!(refused, ImageError::Platform { .. }), "{text}");
        }
    }
}
