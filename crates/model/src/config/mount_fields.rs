//! `volumes` of an agent: what is mounted where (agents 1.2 and 4.2).

use std::collections::{BTreeMap, HashSet};

use crate::config::agent::{Mount, VolumeConfig};
use crate::config::field::Fields;
use crate::config::problem::Problems;
use crate::config::skill::SkillSource;
use crate::framework::FrameworkSpec;
use crate::path::{HOME, SandboxPath};

/// Most mounts of one agent. The specification names no number; a sandbox needs one.
pub(super) const MOUNTS_MAX: usize = 256;

/// The paths at which something else is mounted: the workspace and the skills.
pub(super) fn taken_paths(
    working_dir: Option<&SandboxPath>,
    framework: Option<&FrameworkSpec>,
    skills: &[String],
) -> HashSet<String> {
    let skill = |text: &String| {
        let place = &framework?.places.skills;
        let source = SkillSource::parse(text).ok()?;
        Some(format!("{HOME}/{place}/{}", source.name()))
    };
    let working_dir = working_dir.map(|path| path.as_str().to_owned());
    working_dir
        .into_iter()
        .chain(skills.iter().filter_map(skill))
        .collect()
}

/// Reads the mounts; none may be at one of the paths that are `taken`.
pub(super) fn read_mounts(
    fields: &Fields<'_>,
    volumes: &BTreeMap<String, VolumeConfig>,
    taken: &HashSet<String>,
    problems: &mut Problems,
) -> Vec<Mount> {
    let Some(field) = fields.get("volumes") else {
        return Vec::new();
    };
    let mut taken = taken.clone();
    let mut mounts = Vec::new();
    for (field, text) in field.strings(problems, 0..=MOUNTS_MAX).unwrap_or_default() {
        let split = text.split_once(':');
        let Some((key, path)) =
            split.filter(|(key, path)| !key.is_empty() && path.starts_with('/'))
        else {
            problems.add(&field, "must have the form key:/absolute/path");
            continue;
        };
        if !volumes.contains_key(key) {
            problems.add(
                &field,
                format_args!("volume '{key}' is not defined under volumes"),
            );
        }
        match SandboxPath::parse(path) {
            Ok(path) if !taken.insert(path.as_str().to_owned()) => {
                problems.add(&field, format_args!("{path} is mounted twice"));
            }
            Ok(path) => mounts.push(Mount {
                key: key.to_owned(),
                path,
            }),
            Err(error) => problems.add(&field, error),
        }
    }
    mounts
}
