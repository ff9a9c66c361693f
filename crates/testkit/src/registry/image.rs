//! Images as registries keep them.

use serde_json::{Value, json};

use crate::archive::{gzip, sha256_hex};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The configuration of an image for this machine, with one variable.
pub fn config(variable: &str) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({ "os": "linux", "architecture": architecture, "config": { "Env": [variable] } })
}

/// An image: contents by digest, and the manifest that leads to them.
#[derive(Debug, Clone)]
pub struct TestImage {
    /// Configuration and layers.
    pub(super) blobs: Vec<Vec<u8>>,
    /// The manifest.
    pub manifest: Vec<u8>,
    platform: Value,
}

impl TestImage {
    /// An image of these layers, tars without compression.
    pub fn new(config: &Value, layers: &[Vec<u8>]) -> Self {
        let text = config.to_string().into_bytes();
        let layers: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
        let described: Vec<Value> = layers.iter().map(|it| descriptor(LAYER, it)).collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &text), "layers": described });
        let mut blobs = vec![text];
        blobs.extend(layers);
        Self {
            blobs,
            manifest: manifest.to_string().into_bytes(),
            platform: json!({ "os": config["os"], "architecture": config["architecture"] }),
        }
    }

    /// The digest of a layer, as it is fetched.
    pub fn layer_digest(&self, number: usize) -> String {
        digest(&self.blobs[number + 1])
    }

    /// The digest of the configuration.
    pub fn config_digest(&self) -> String {
        digest(&self.blobs[0])
    }

    /// The digest of the manifest.
    pub fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// The bytes of a layer, as they are fetched.
    pub fn layer(&self, number: usize) -> &[u8] {
        &self.blobs[number + 1]
    }

    /// Its entry in an index.
    pub(super) fn entry(&self) -> Value {
        let mut entry = descriptor(MANIFEST, &self.manifest);
        entry["platform"] = self.platform.clone();
        entry
    }
}

pub(super) fn digest(content: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(content))
}

fn descriptor(kind: &str, content: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": digest(content), "size": content.len() })
}
