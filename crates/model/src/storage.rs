//! Volumes and artifacts: their kinds and the identity of their versions (API 9.1).

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{StorageId, VersionId};

/// Whether a storage is an input or an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// Input files, never written back.
    Volume,
    /// The working directory of runs.
    Artifact,
}

impl StorageKind {
    /// Lower case, as in paths, rows and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Artifact => "artifact",
        }
    }

    /// Capitalised, as at the beginning of messages.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Volume => "Volume",
            Self::Artifact => "Artifact",
        }
    }
}

impl fmt::Display for StorageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an entry of a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A regular file.
    Plain,
    /// A regular file with the owner's execute bit.
    Executable,
    /// A symbolic link.
    Symlink,
}

/// One entry of a version, as far as the version's identity goes.
///
/// `hash` is the lowercase hex SHA-256 of the content (of the target, for a symlink), or empty
/// where the caller has not declared it; the version id is then provisional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionEntry<'a> {
    /// Path below the root of the version.
    pub path: &'a str,
    /// Hex digest of the content, or empty.
    pub hash: &'a str,
    /// What it is.
    pub kind: EntryKind,
}

/// The id of the version of `storage` that holds exactly `entries`, in whatever order (API 9.1).
pub fn version_id<'a>(
    storage: StorageId,
    entries: impl IntoIterator<Item = VersionEntry<'a>>,
) -> VersionId {
    let mut lines: Vec<String> = entries
        .into_iter()
        .map(|entry| {
            let suffix = match entry.kind {
                EntryKind::Plain => "",
                EntryKind::Executable => ":x",
                EntryKind::Symlink => ":l",
            };
            format!("{}:{}{suffix}", entry.path, entry.hash)
        })
        .collect();
    lines.sort_unstable_by(|a, b| cmp_utf16(a, b));
    let mut digest = Sha256::new();
    digest.update(format!("storage:{storage}\n"));
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            digest.update(b"\n");
        }
        digest.update(line);
    }
    VersionId::from_digest(digest.finalize().into())
}

/// Compares as UTF-16 code units do. It differs from the order of UTF-8 only where a character
/// above U+FFFF (surrogates, from 0xD800) meets one from U+E000 to U+FFFF.
fn cmp_utf16(a: &str, b: &str) -> std::cmp::Ordering {
    if a.is_ascii() && b.is_ascii() {
        return a.cmp(b);
    }
    a.encode_utf16().cmp(b.encode_utf16())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const H: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    const W: &str = "e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317";
    const R: &str = "299001868fb8c02fd431c336c6d058f5558c5dff5b5af5e6fe04b870a6a9cbba";
    const TO_A: &str = "18b7cb099a9ea3f50ba899b5ba81e0d377a5f3b16f8f6eeb8b3e58cd4692b993";

    fn plain<'a>(path: &'a str, hash: &'a str) -> VersionEntry<'a> {
        VersionEntry {
            path,
            hash,
            kind: EntryKind::Plain,
        }
    }

    fn id_in(storage: &str, entries: &[VersionEntry<'_>]) -> String {
        version_id(storage.parse().unwrap(), entries.iter().copied()).to_string()
    }

    fn id(entries: &[VersionEntry<'_>]) -> String {
        id_in("11111111-2222-4333-8444-555555555555", entries)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn the_vectors_of_the_specification_hold() {
        let exec = |path, hash| VersionEntry {
            path,
            hash,
            kind: EntryKind::Executable,
        };
        let link = |path, hash| VersionEntry {
            path,
            hash,
            kind: EntryKind::Symlink,
        };
        let python = hex::encode(Sha256::digest("/usr/bin/python3"));
        let vectors: &[(&[VersionEntry<'_>], &str)] = &[
            (
                &[],
                "393644ae9a37e84acc2438115b9777ac35fc282f5f76485b4471f3aadd881939",
            ),
            (
                &[plain("a.txt", H)],
                "fecf3b842560e310bc59fdf947a715e750ec491ebc8fd2157764ff48520927e8",
            ),
            (
                &[plain("b/c.txt", W), plain("a.txt", H)],
                "ac9de3d6d0e5c45f7568af7c2b8e1bd3a7dcb204cf382e7a3defe6e80f117259",
            ),
            (
                &[plain("a.txt", H), plain("a.txt2", W)],
                "aa1cb45ef58ea230647c89e089fae00799621bc7d67968e532935cf176ba8f77",
            ),
            (
                &[plain("\u{ff5e}", H), plain("\u{1f600}", W)],
                "1c7815ce53f47646f4d6341286cbcdee2763a98afc6df1934d345e023d52ac21",
            ),
            (
                &[plain("a.txt", "")],
                "ca7afbedcb463af43cb2fa235041f583ece9d71ddbcd4cfcceb1f7c1fc7a83ce",
            ),
            (
                &[plain("run.sh", R)],
                "031a9a8c37e0e01a75f1773698a7575104a1072aef1ebb41627a952425b00702",
            ),
            (
                &[exec("run.sh", R)],
                "63503e06808569e33ff8d9f8d77e52b9fbd5a51b5795be059877d9bce41c76fd",
            ),
            (
                &[link("latest.txt", TO_A)],
                "ff54c5d2a2ad67e2a318c2dd953388459bb4f8dde9d538329beb268ba5021740",
            ),
            (
                &[
                    plain("a.txt", H),
                    exec("run.sh", R),
                    link("latest.txt", TO_A),
                ],
                "c46431c669e130df2562fb255bc0ecf82a38e78b9183f3a9f434510ec37cd159",
            ),
            (
                &[link("bin/py", &python), plain("run.sh", R)],
                "54cd788fbc0c41ad78298817d9af5bcc5625ba47be7f4390e1222eb0f6c51f80",
            ),
            (
                &[plain("a\nb", H)],
                "6fd55bae240b3dfb873ffa5d3908b2ffc2023d08f339d1d62e474280a93791c1",
            ),
        ];
        for (entries, expected) in vectors {
            assert_eq!(&id(entries), expected, "{entries:?}");
        }
        assert_eq!(
            id_in("99999999-2222-4333-8444-555555555555", &[plain("a.txt", H)]),
            "040b3b8de53fb94f7cb13c720d25e32f154d11d09b8ac0ab82276690f317841d"
        );
    }

    proptest! {
        #[test]
        fn the_order_of_entries_does_not_matter(
            mut paths in prop::collection::vec("[a-z\u{e000}-\u{ffff}\u{10000}-\u{10100}]{1,6}", 1..8),
            seed in any::<u64>(),
        ) {
            paths.sort();
            paths.dedup();
            let entries: Vec<_> = paths.iter().map(|path| plain(path, H)).collect();
            let mut shuffled = entries.clone();
            let shift = usize::try_from(seed % entries.len() as u64).unwrap();
            shuffled.rotate_left(shift);
            prop_assert_eq!(id(&entries), id(&shuffled));
        }
    }
}
