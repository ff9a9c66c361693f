//! Which image of which registry: `[HOST[:PORT]/]NAME[:TAG][@sha256:HEX]`.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::digest::Digest;
use crate::server_url::ServerUrl;

/// The registry of references that name none.
pub(super) const DOCKER_HUB: &str = "docker.io";
/// Where it answers.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";
const MAX_BYTES: usize = 255;
const TAG_MAX_BYTES: usize = 128;

/// An image as people write it. Without a registry it is of Docker Hub, without a tag the latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// As written, without tag and digest.
    name: String,
    registry: String,
    repository: String,
    tag: String,
    digest: Option<Digest>,
}

/// The text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' names no image: {reason}; write [HOST[:PORT]/]NAME[:TAG] or NAME@sha256:HEX")]
pub struct ReferenceError {
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Reference {
    /// The registry as login files name it: `HOST[:PORT]`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name of the image in its registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The content that is meant, if it was named.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Tag or digest, as requests name it.
    pub(super) fn version(&self) -> &str {
        self.digest.as_ref().map_or(&self.tag, Digest::as_str)
    }

    /// The name under which an image store of this machine has it: as it was written, with a tag or
    /// a digest.
    pub fn local_name(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.name),
            None => format!("{}:{}", self.name, self.tag),
        }
    }

    /// The address of the registry. Only one on this machine is spoken to without TLS.
    pub(super) fn server(&self) -> ServerUrl {
        let host = match self.registry.as_str() {
            DOCKER_HUB => DOCKER_HUB_HOST,
            host => host,
        };
        host.parse()
            .expect("the host of a reference is an address of a server")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.local_name())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let refused = |reason| ReferenceError {
            text: text.to_owned(),
            reason,
        };
        if text.contains("://") {
            return Err(refused("it is an address; leave out what is before //"));
        }
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => {
                let digest = digest.parse();
                let digest =
                    digest.map_err(|_| refused("its digest is not sha256 and 64 digits"))?;
                (named, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = match named.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (named, "latest"),
        };
        if !is_tag(tag) {
            return Err(refused(
                "its tag has other characters than letters, digits and ._-",
            ));
        }
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            _ => (DOCKER_HUB, name),
        };
        if !is_host(registry) {
            return Err(refused("its registry is not HOST or HOST:PORT"));
        }
        let is_path = path.split('/').all(is_part) && name.len() <= MAX_BYTES;
        if !is_path {
            return Err(refused(
                "its name is not of lower-case letters, digits and ./_-",
            ));
        }
        let registry = match registry {
            "index.docker.io" | DOCKER_HUB_HOST => DOCKER_HUB,
            other => other,
        };
        let repository = match (registry, path.contains('/')) {
            (DOCKER_HUB, false) => format!("library/{path}"),
            _ => path.to_owned(),
        };
        Ok(Self {
            name: name.to_owned(),
            registry: registry.to_owned(),
            repository,
            tag: tag.to_owned(),
            digest,
        })
    }
}

fn is_tag(tag: &str) -> bool {
    (1..=TAG_MAX_BYTES).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_part(part: &str) -> bool {
    let is_edge = |byte: Option<u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    is_edge(part.bytes().next())
        && is_edge(part.bytes().last())
        && part
            .bytes()
            .all(|byte| is_edge(Some(byte)) || b"._-".contains(&byte))
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    !name.is_empty()
        && name.bytes().all(fine)
        && port.is_none_or(is_port)
        && Url::parse(&format!("https://{host}")).is_ok_and(|url| url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn without_a_registry_it_is_of_docker_hub() {
        for (text, registry, repository, version, local) in [
            (
                "debian",
                "docker.io",
                "library/debian",
                "latest",
                "debian:latest",
            ),
            (
                "debian:12",
                "docker.io",
                "library/debian",
                "12",
                "debian:12",
            ),
            (
                "team/tools:1",
                "docker.io",
                "team/tools",
                "1",
                "team/tools:1",
            ),
            (
                "docker.io/debian",
                "docker.io",
                "library/debian",
                "latest",
                "docker.io/debian:latest",
            ),
            (
                "ghcr.io/a/b/c:v1.2-x_y",
                "ghcr.io",
                "a/b/c",
                "v1.2-x_y",
                "ghcr.io/a/b/c:v1.2-x_y",
            ),
            (
                "localhost/a",
                "localhost",
                "a",
                "latest",
                "localhost/a:latest",
            ),
            (
                "localhost:5000/a:2",
                "localhost:5000",
                "a",
                "2",
                "localhost:5000/a:2",
            ),
        ] {
            let reference = read(text);
            let found = (
                reference.registry(),
                reference.repository(),
                reference.version(),
            );
            assert_eq!(found, (registry, repository, version), "{text}");
            assert_eq!(reference.local_name(), local);
        }
        assert_eq!(
            read("debian").server().to_string(),
            "https://registry-1.docker.io"
        );
    }

    #[test]
    fn a_digest_decides_over_a_tag() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let reference = read(&format!("debian:12@{digest}"));
        assert_eq!(reference.version(), digest);
        assert_eq!(reference.local_name(), format!("debian@{digest}"));
    }

    #[test]
    fn only_a_registry_on_this_machine_is_spoken_to_without_tls() {
        for (text, address) in [
            ("localhost:5000/a", "http://localhost:5000"),
            ("127.0.0.1:5000/a", "http://127.0.0.1:5000"),
            ("10.0.0.1:5000/a", "https://10.0.0.1:5000"),
            ("localhost.example.com/a", "https://localhost.example.com"),
        ] {
            assert_eq!(read(text).server().to_string(), address);
        }
    }

    #[test]
    fn what_names_no_image_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "name"),
            ("Debian", "name"),
            ("a//b", "name"),
            ("a/../b", "name"),
            ("-a", "name"),
            ("a b", "name"),
            ("a\n", "name"),
            ("ghcr.io/", "name"),
            ("a:", "tag"),
            ("a:.b", "tag"),
            ("a:b c", "tag"),
            ("a@sha256:00", "digest"),
            ("a@md5:00", "digest"),
            ("https://ghcr.io/a", "address"),
            ("localhost:x/a", "registry"),
            ("localhost:0/a", "registry"),
            ("user@host.example/a", "digest"),
            ("a.b:99999/a", "registry"),
            ("999.999.999.999/a", "registry"),
        ] {
            let refused = text.parse::<Reference>().unwrap_err();
            assert!(refused.reason.contains(reason), "{text}: {refused}");
        }
        assert!("a".repeat(300).parse::<Reference>().is_err());
    }
}
