//! Instructions and skills of an agent, at the places where its framework looks (agents 2.2).
//!
//! They come from the bundle of the agent version, a tree like those of volumes. A user may have
//! pushed anything as a bundle: of the tree only real directories and files are used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use vm0_blob::TreeGuard;
use vm0_model::config::{AgentConfig, Instructions, SkillSource};
use vm0_model::limits::INSTRUCTIONS_FILE_MAX_BYTES;
use vm0_sandbox::{GuestFile, HOME, MountSpec};

use crate::run::Run;
use crate::versions::VersionError;

/// The instructions' name in a bundle.
const INSTRUCTIONS: &str = "instructions.md";
/// The directory of skills in a bundle.
const SKILLS: &str = "skills";

/// What the sandbox gets.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// The file of instructions, below HOME.
    pub(crate) instructions: Option<GuestFile>,
    /// The directories of skills.
    pub(crate) skills: Vec<MountSpec>,
    /// What the skills are mounted from.
    pub(crate) tree: Option<TreeGuard>,
}

/// Instructions or skills cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// The configuration names none.
    #[error("the agent has no bundle of instructions and skills; run: vm0 compose")]
    Missing,
    /// It cannot be fetched.
    #[error("bundle: {}", crate::chain::chain(.0))]
    Version(#[source] VersionError),
    /// It lacks something that the configuration names.
    #[error("the bundle has no {what}; run: vm0 compose")]
    Lacks {
        /// What.
        what: String,
    },
    /// The file of instructions is over its limit.
    #[error("the instructions in the bundle are over {INSTRUCTIONS_FILE_MAX_BYTES} bytes")]
    TooLong,
    /// The tree cannot be read.
    #[error("read the bundle: {source}")]
    Read {
        /// Why.
        source: io::Error,
    },
}

/// Fetches the bundle of a run, if its agent needs one, and says what goes where.
pub(crate) async fn place(run: &Run, config: &AgentConfig) -> Result<Placed, BundleError> {
    let mut placed = Placed::default();
    if let Some(Instructions::Text(text)) = &config.instructions {
        placed.instructions = Some(instructions(config, text.clone().into_bytes()));
    }
    let in_bundle = matches!(config.instructions, Some(Instructions::Path(_)));
    if !in_bundle && config.skills.is_empty() {
        return Ok(placed);
    }
    let version = run.spec.bundle.ok_or(BundleError::Missing)?;
    let tree = run.host.versions.tree(&run.link, version).await;
    let tree = tree.map_err(BundleError::Version)?;
    if in_bundle {
        let bytes = read_instructions(tree.path())?;
        placed.instructions = Some(instructions(config, bytes));
    }
    for text in &config.skills {
        // The configuration was checked: every entry names a skill.
        let Ok(source) = SkillSource::parse(text) else {
            continue;
        };
        let name = source.name();
        let place = &config.framework.places.skills;
        placed.skills.push(MountSpec {
            target: format!("{HOME}/{place}/{name}"),
            lower: Some(skill(tree.path(), name)?),
        });
    }
    placed.tree = Some(tree);
    Ok(placed)
}

fn instructions(config: &AgentConfig, bytes: Vec<u8>) -> GuestFile {
    GuestFile {
        path: config.framework.places.instructions.clone(),
        bytes,
    }
}

fn read_instructions(tree: &Path) -> Result<Vec<u8>, BundleError> {
    let path = tree.join(INSTRUCTIONS);
    let found = metadata(&path)?.filter(fs::Metadata::is_file);
    let found = found.ok_or_else(|| BundleError::Lacks {
        what: INSTRUCTIONS.to_owned(),
    })?;
    if found.len() > INSTRUCTIONS_FILE_MAX_BYTES {
        return Err(BundleError::TooLong);
    }
    fs::read(&path).map_err(|source| BundleError::Read { source })
}

fn skill(tree: &Path, name: &str) -> Result<PathBuf, BundleError> {
    let skills = tree.join(SKILLS);
    let path = skills.join(name);
    for directory in [&skills, &path] {
        if !metadata(directory)?.is_some_and(|found| found.is_dir()) {
            let what = format!("skill '{name}'");
            return Err(BundleError::Lacks { what });
        }
    }
    Ok(path)
}

/// What is at a path itself, not behind a link.
fn metadata(path: &Path) -> Result<Option<fs::Metadata>, BundleError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BundleError::Read { source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_in_a_bundle_do_not_lead_out_of_it() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join(INSTRUCTIONS), "secret").unwrap();
        fs::create_dir(outside.path().join("a")).unwrap();
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path();
        symlink(outside.path().join(INSTRUCTIONS), root.join(INSTRUCTIONS)).unwrap();
        symlink(outside.path(), root.join(SKILLS)).unwrap();
        assert!(matches!(
            read_instructions(root),
            Err(BundleError::Lacks { .. })
        ));
        assert!(matches!(skill(root, "a"), Err(BundleError::Lacks { .. })));
        fs::remove_file(root.join(SKILLS)).unwrap();
        fs::create_dir(root.join(SKILLS)).unwrap();
        symlink(outside.path().join("a"), root.join("skills/a")).unwrap();
        assert!(matches!(skill(root, "a"), Err(BundleError::Lacks { .. })));
        fs::create_dir(root.join("skills/b")).unwrap();
        assert_eq!(skill(root, "b").unwrap(), root.join("skills/b"));
    }

    #[test]
    fn instructions_are_bounded() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join(INSTRUCTIONS);
        let most = usize::try_from(INSTRUCTIONS_FILE_MAX_BYTES).unwrap();
        fs::write(&path, vec![b'x'; most]).unwrap();
        assert_eq!(read_instructions(tree.path()).unwrap().len(), most);
        fs::write(&path, vec![b'x'; most + 1]).unwrap();
        assert!(matches!(
            read_instructions(tree.path()),
            Err(BundleError::TooLong)
        ));
    }
}
