//! A skill of a GitHub repository: the commit without file contents, the list of the directory,
//! then only the contents that it names.

use std::collections::{BTreeSet, HashMap};

use vm0_model::config::SkillNeeds;
use vm0_model::limits::{SKILL_MAX_BYTES, SKILL_MAX_FILES};

use super::fault::SourceFault;
use super::git::{GitError, Repository};
use super::skill_writer::SkillWriter;

/// A branch or tag of more components is not looked for.
const REF_SEGMENTS_MAX: usize = 16;
/// Answers about refs and directories, in bytes.
const LISTING_MAX_BYTES: u64 = 8 << 20;
/// Bytes of a line of `cat-file`.
const OBJECT_LINE_BYTES: u64 = 128;
/// Digits of the id of a commit.
const COMMIT_DIGITS: usize = 40;

/// The repositories that skills of one file come from.
#[derive(Debug, Default)]
pub(super) struct Repositories {
    known: HashMap<String, Repository>,
}

/// Where a skill is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) owner: &'a str,
    pub(super) repository: &'a str,
    /// Ref and path, not told apart.
    pub(super) ref_and_path: &'a str,
}

/// An entry of a directory of a commit.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    kind: EntryKind,
    object: String,
    path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryKind {
    Plain,
    Executable,
    Link,
}

impl Repositories {
    /// Fetches a skill and writes it.
    pub(super) async fn fetch(
        &mut self,
        place: Place<'_>,
        mut writer: SkillWriter,
    ) -> Result<SkillNeeds, SourceFault> {
        let url = format!("https://github.com/{}/{}", place.owner, place.repository);
        if !self.known.contains_key(&url) {
            let repository = Repository::create(&url).await?;
            self.known.insert(url.clone(), repository);
        }
        let repository = &self.known[&url];
        let (reference, path) = find_ref(repository, place.ref_and_path).await?;
        let local = fetch_commit(repository, &reference).await?;
        let entries = list(repository, &local, &reference, path).await?;
        let contents = contents(repository, &entries).await?;
        for entry in &entries {
            let content = &contents[&entry.object];
            match entry.kind {
                EntryKind::Plain => writer.file(&entry.path, false, content.as_slice())?,
                EntryKind::Executable => writer.file(&entry.path, true, content.as_slice())?,
                EntryKind::Link => {
                    let target = std::str::from_utf8(content)
                        .map_err(|_| SourceFault::LinkOut(entry.path.clone()))?;
                    writer.link(&entry.path, target)?;
                }
            }
        }
        writer.finish()
    }
}

/// The longest existing ref that `REF/PATH` begins with, in full, and the path behind it.
async fn find_ref<'a>(
    repository: &Repository,
    ref_and_path: &'a str,
) -> Result<(String, &'a str), SourceFault> {
    let cuts: Vec<usize> = ref_and_path
        .match_indices('/')
        .map(|(at, _)| at)
        .take(REF_SEGMENTS_MAX)
        .collect();
    let wanted: Vec<String> = cuts
        .iter()
        .flat_map(|&at| {
            ["refs/heads/", "refs/tags/"].map(|kind| kind.to_owned() + &ref_and_path[..at])
        })
        .collect();
    let mut args = vec!["ls-remote", "--quiet", "--", "origin"];
    args.extend(wanted.iter().map(String::as_str));
    let listing = repository.run(&args, &[], LISTING_MAX_BYTES).await?;
    let listing = String::from_utf8_lossy(&listing);
    let known: BTreeSet<&str> = listing
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(_, name)| name)
        .collect();
    for &at in cuts.iter().rev() {
        let (name, path) = (&ref_and_path[..at], &ref_and_path[at + 1..]);
        for kind in ["refs/heads/", "refs/tags/"] {
            let full = format!("{kind}{name}");
            if known.contains(full.as_str()) {
                return Ok((full, path));
            }
        }
    }
    let first = ref_and_path.split_once('/');
    let commit = first.filter(|(name, _)| {
        *name == "HEAD"
            || (name.len() == COMMIT_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
    });
    commit
        .map(|(name, path)| (name.to_owned(), path))
        .ok_or_else(|| SourceFault::NoRef(ref_and_path.to_owned()))
}

/// Fetches the commit of a ref with its trees; gives the name that it has here.
async fn fetch_commit(repository: &Repository, reference: &str) -> Result<String, SourceFault> {
    let local = "refs/vm0/skill".to_owned();
    let refspec = format!("+{reference}:{local}");
    let args = [
        "fetch",
        "--quiet",
        "--depth=1",
        "--no-tags",
        "--no-recurse-submodules",
        "--no-write-fetch-head",
        "--filter=blob:none",
        "--",
        "origin",
        &refspec,
    ];
    repository.run(&args, &[], LISTING_MAX_BYTES).await?;
    Ok(local)
}

/// The files and links of a directory. Submodules are left out.
async fn list(
    repository: &Repository,
    local: &str,
    reference: &str,
    path: &str,
) -> Result<Vec<Entry>, SourceFault> {
    let tree = format!("{local}:{path}");
    let args = ["ls-tree", "-r", "-z", "--full-tree", &tree];
    let listing = match repository.run(&args, &[], LISTING_MAX_BYTES).await {
        Err(GitError::Failed { .. }) => {
            return Err(SourceFault::NoDirectory {
                path: path.to_owned(),
                reference: reference
                    .rsplit("refs/heads/")
                    .next()
                    .unwrap_or(reference)
                    .to_owned(),
            });
        }
        other => other?,
    };
    let mut entries = Vec::new();
    for line in listing
        .split(|&byte| byte == 0)
        .filter(|line| !line.is_empty())
    {
        let text = std::str::from_utf8(line)
            .map_err(|_| SourceFault::Name(String::from_utf8_lossy(line).into_owned()))?;
        entries.extend(parse_entry(text));
        if entries.len() > SKILL_MAX_FILES {
            return Err(SourceFault::TooMany);
        }
    }
    Ok(entries)
}

/// `MODE TYPE OBJECT<tab>PATH`
fn parse_entry(line: &str) -> Option<Entry> {
    let (head, path) = line.split_once('\t')?;
    let mut head = head.split(' ');
    let kind = match (head.next()?, head.next()?) {
        ("100755", "blob") => EntryKind::Executable,
        ("120000", "blob") => EntryKind::Link,
        (_, "blob") => EntryKind::Plain,
        _ => return None,
    };
    Some(Entry {
        kind,
        object: head.next()?.to_owned(),
        path: path.to_owned(),
    })
}

/// The contents of the entries, by object.
async fn contents(
    repository: &Repository,
    entries: &[Entry],
) -> Result<HashMap<String, Vec<u8>>, SourceFault> {
    let objects: BTreeSet<&str> = entries.iter().map(|entry| entry.object.as_str()).collect();
    if objects.is_empty() {
        return Ok(HashMap::new());
    }
    let input: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let args = [
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-recurse-submodules",
        "--no-write-fetch-head",
        "--filter=blob:none",
        "--stdin",
        "--",
        "origin",
    ];
    repository
        .run(&args, input.as_bytes(), LISTING_MAX_BYTES)
        .await?;
    let lines = OBJECT_LINE_BYTES * objects.len() as u64;
    let check = ["cat-file", "--batch-check=%(objectsize)"];
    let sizes = repository.run(&check, input.as_bytes(), lines).await?;
    let sizes = String::from_utf8_lossy(&sizes);
    let total: u64 = sizes
        .lines()
        .filter_map(|line| line.parse::<u64>().ok())
        .fold(0, u64::saturating_add);
    if total > SKILL_MAX_BYTES {
        return Err(SourceFault::TooLarge);
    }
    let all = repository
        .run(&["cat-file", "--batch"], input.as_bytes(), total + lines)
        .await?;
    parse_batch(&all, &objects)
}

/// `OBJECT TYPE SIZE<newline>CONTENT<newline>` for each object.
fn parse_batch(
    mut rest: &[u8],
    objects: &BTreeSet<&str>,
) -> Result<HashMap<String, Vec<u8>>, SourceFault> {
    let mut contents = HashMap::new();
    for object in objects {
        let next = (|| {
            let end = rest.iter().position(|&byte| byte == b'\n')?;
            let head = std::str::from_utf8(&rest[..end]).ok()?;
            let size = head.strip_prefix(object)?.strip_prefix(" blob ")?;
            let size: usize = size.parse().ok()?;
            let content = rest.get(end + 1..)?.get(..size)?;
            rest = rest[end + 1 + size..].strip_prefix(b"\n")?;
            Some(content.to_vec())
        })();
        let content = next.ok_or_else(|| GitError::Failed {
            command: "cat-file".to_owned(),
            text: format!("the object {object} is missing"),
        })?;
        contents.insert((*object).to_owned(), content);
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_submodules_left_out() {
        let entry = |line| parse_entry(line).map(|entry| (entry.kind, entry.path));
        assert_eq!(
            entry("100644 blob 0a\ta b.md"),
            Some((EntryKind::Plain, "a b.md".to_owned()))
        );
        assert_eq!(
            entry("100755 blob 0a\tbin/x"),
            Some((EntryKind::Executable, "bin/x".to_owned()))
        );
        assert_eq!(
            entry("120000 blob 0a\tl"),
            Some((EntryKind::Link, "l".to_owned()))
        );
        assert_eq!(entry("160000 commit 0a\tsub"), None);
        assert_eq!(entry("nonsense"), None);
    }

    #[test]
    fn contents_are_read_one_after_the_other() {
        let objects = BTreeSet::from(["aa", "bb"]);
        let found = parse_batch(b"aa blob 3\nx\ny\nbb blob 0\n\n", &objects).unwrap();
        assert_eq!(
            (found["aa"].as_slice(), found["bb"].len()),
            (&b"x\ny"[..], 0)
        );
        for broken in [
            "",
            "aa missing\n",
            "aa blob 9\nx\n",
            "aa blob 1\nxbb",
            "bb blob 0\n\n",
        ] {
            assert!(
                parse_batch(broken.as_bytes(), &objects).is_err(),
                "{broken}"
            );
        }
    }
}
