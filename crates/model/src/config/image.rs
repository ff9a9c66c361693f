//! The form of an image name (agents 4.1).

/// Longest name without digest, in bytes.
const IMAGE_MAX_BYTES: usize = 255;

/// Whether `text` is `host`, `NAME`, `NAME:TAG` or `NAME@sha256:HEX`.
pub(super) fn is_image_name(text: &str) -> bool {
    let named = match text.split_once("@sha256:") {
        Some((name, digest)) => {
            digest.len() == 64
                && digest
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                && is_name(name)
        }
        None => match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => is_name(name) && is_part(tag, 128),
            _ => is_name(text),
        },
    };
    named && text.len() <= IMAGE_MAX_BYTES + 72
}

fn is_name(name: &str) -> bool {
    let mut parts = name.split('/');
    let first = parts.next().unwrap_or_default();
    let first = match first.split_once(':') {
        Some((host, port)) if name.contains('/') && port.parse::<u16>().is_ok() => host,
        _ => first,
    };
    name.len() <= IMAGE_MAX_BYTES && is_part(first, 255) && parts.all(|part| is_part(part, 255))
}

fn is_part(part: &str, max: usize) -> bool {
    (1..=max).contains(&part.len())
        && !part.starts_with(['.', '-'])
        && part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_have_a_tag_or_a_digest_at_most() {
        let digest = format!("ubuntu@sha256:{}", "0a".repeat(32));
        for good in [
            "host",
            "ubuntu",
            "vm0/claude-code:latest",
            "localhost:5000/a/b:1.0",
            digest.as_str(),
        ] {
            assert!(is_image_name(good), "{good}");
        }
        for bad in [
            "",
            ":",
            "a:",
            "a b",
            "../a",
            "a//b",
            "/a",
            "a/",
            "a@sha256:0a",
            "a:b:c",
            "-a",
            "a\0",
        ] {
            assert!(!is_image_name(bad), "{bad:?}");
        }
    }
}
