//! The bundle: `instructions.md` and `skills/<name>/…` in a temporary directory, as they are pushed
//! (agents 1.6).

use std::fs;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use vm0_client::Client;
use vm0_model::config::{Instructions, Problem, SkillNeeds, SkillSource};
use vm0_model::limits::INSTRUCTIONS_FILE_MAX_BYTES;
use vm0_model::storage::StorageKind;

use super::agent_file::AgentFile;
use super::fault::SourceFault;
use super::github::{Place, Repositories};
use super::skill_writer::{SkillWriter, copy_directory};
use crate::commands::volume::{PushOutcome, PushRequest, push_tree};
use crate::error::Failure;
use crate::files::scan;
use crate::output::Output;

/// The volume whose versions are bundles.
const BUNDLES: &str = "agent-bundles";

/// Instructions and skills of an agent, collected.
#[derive(Debug)]
pub(super) struct Bundle {
    dir: tempfile::TempDir,
    /// What each skill asks for, by its name.
    pub(super) needs: Vec<(String, SkillNeeds)>,
}

/// Why nothing was collected.
#[derive(Debug)]
pub(super) enum BundleError {
    /// What the file names is not as it should be.
    Problems(Vec<Problem>),
    /// This machine fails.
    Failure(Failure),
}

/// Whether the agent has anything that must be collected.
pub(super) fn is_needed(file: &AgentFile) -> bool {
    let agent = &file.agent;
    let has_file = matches!(agent.instructions, Some(Instructions::Path(_)));
    agent.bundle.is_none() && (has_file || !agent.skills.is_empty())
}

impl Bundle {
    /// Collects what lies beside the file, without a network; skills of GitHub are left out.
    pub(super) fn collect_local(file: &AgentFile) -> Result<Self, BundleError> {
        let dir = tempfile::Builder::new().prefix("vm0-bundle-").tempdir();
        let dir = dir.map_err(|error| BundleError::Failure(Failure::of("bundle", &error)))?;
        let mut bundle = Self {
            dir,
            needs: Vec::new(),
        };
        let mut problems = Vec::new();
        if let Some(Instructions::Path(path)) = &file.agent.instructions {
            let to = bundle.dir.path().join("instructions.md");
            if let Err(fault) = copy_instructions(file.folder(), path, &to) {
                problems.push(file.problem("instructions", fault));
            }
        }
        for (index, source) in skills(file) {
            if let SkillSource::Local { path, name } = &source {
                let copied = bundle
                    .writer(name)
                    .and_then(|writer| copy_skill(file.folder(), path, writer));
                match copied {
                    Ok(needs) => bundle.needs.push((name.clone(), needs)),
                    Err(fault) => problems.push(file.problem(&format!("skills.{index}"), fault)),
                }
            }
        }
        bundle.unless(problems)
    }

    /// Adds the skills of GitHub.
    pub(super) async fn collect_remote(
        mut self,
        file: &AgentFile,
        output: &Output,
    ) -> Result<Self, BundleError> {
        let mut repositories = Repositories::default();
        let mut problems = Vec::new();
        for (index, source) in skills(file) {
            let SkillSource::GitHub {
                owner,
                repository,
                ref_and_path,
                name,
            } = &source
            else {
                continue;
            };
            let place = Place {
                owner,
                repository,
                ref_and_path,
            };
            let spinner = spinner(output, name);
            let fetched = match self.writer(name) {
                Ok(writer) => repositories.fetch(place, writer).await,
                Err(fault) => Err(fault),
            };
            spinner.finish_and_clear();
            match fetched {
                Ok(needs) => self.needs.push((name.clone(), needs)),
                Err(fault) => problems.push(file.problem(&format!("skills.{index}"), fault)),
            }
        }
        self.unless(problems)
    }

    /// Pushes it as a version of the user's volume of bundles.
    pub(super) async fn push(
        &self,
        client: &Client,
        output: &Output,
        agent: &str,
    ) -> Result<PushOutcome, Failure> {
        let root = self.dir.path();
        let request = PushRequest {
            kind: StorageKind::Volume,
            name: BUNDLES,
            root,
            tree: scan(root)?,
            message: Some(format!("Instructions and skills of {agent}")),
            force: false,
            expect: None,
        };
        push_tree(client, output, request).await
    }

    fn writer(&self, name: &str) -> Result<SkillWriter, SourceFault> {
        SkillWriter::create(self.dir.path().join("skills").join(name))
    }

    fn unless(self, problems: Vec<Problem>) -> Result<Self, BundleError> {
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(BundleError::Problems(problems))
        }
    }
}

fn skills(file: &AgentFile) -> impl Iterator<Item = (usize, SkillSource)> {
    let sources = file.agent.skills.iter().enumerate();
    sources.filter_map(|(index, text)| Some((index, SkillSource::parse(text).ok()?)))
}

fn copy_instructions(folder: &Path, path: &str, to: &Path) -> Result<(), SourceFault> {
    let full = resolve(folder, path)?;
    let metadata = fs::metadata(&full).map_err(SourceFault::io(&full))?;
    if !metadata.is_file() {
        return Err(SourceFault::NotFile(path.to_owned()));
    }
    if metadata.len() > INSTRUCTIONS_FILE_MAX_BYTES {
        return Err(SourceFault::InstructionsTooLong(path.to_owned()));
    }
    let bytes = fs::read(&full).map_err(SourceFault::io(&full))?;
    let text = String::from_utf8(bytes).map_err(|_| SourceFault::NotText(path.to_owned()))?;
    fs::write(to, text).map_err(SourceFault::io(to))
}

fn copy_skill(
    folder: &Path,
    path: &str,
    mut writer: SkillWriter,
) -> Result<SkillNeeds, SourceFault> {
    let full = resolve(folder, path)?;
    if !full.is_dir() {
        return Err(SourceFault::NotDirectory(path.to_owned()));
    }
    copy_directory(&full, &mut writer, "")?;
    writer.finish()
}

/// The file or directory itself, links resolved; it must lie in the folder.
fn resolve(folder: &Path, path: &str) -> Result<PathBuf, SourceFault> {
    let base = folder.canonicalize().map_err(SourceFault::io(folder))?;
    let full = base.join(path);
    let found = full.canonicalize().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => SourceFault::NotFound(path.to_owned()),
        std::io::ErrorKind::NotADirectory => SourceFault::NotFound(path.to_owned()),
        _ => SourceFault::io(&full)(error),
    })?;
    if found.starts_with(&base) {
        Ok(found)
    } else {
        Err(SourceFault::Outside(path.to_owned()))
    }
}

/// Shows, where somebody watches, that a skill is being fetched.
fn spinner(output: &Output, name: &str) -> ProgressBar {
    if !output.shows_progress() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(format!("Fetching skill {name}"));
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    spinner
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn collect(write: impl FnOnce(&Path), fields: &str) -> Result<Bundle, Vec<String>> {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("project");
        fs::create_dir(&folder).unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        write(&folder);
        let text = format!("version: \"1.0\"\nagents:\n  demo:\n    {fields}\n");
        fs::write(folder.join("vm0.yaml"), text).unwrap();
        let file = AgentFile::read(&folder.join("vm0.yaml")).unwrap();
        Bundle::collect_local(&file).map_err(|error| match error {
            BundleError::Problems(problems) => problems.iter().map(|p| p.in_file("f")).collect(),
            BundleError::Failure(failure) => vec![failure.message().to_owned()],
        })
    }

    fn skill(folder: &Path, text: &str) {
        fs::create_dir_all(folder.join("skills/a/bin")).unwrap();
        fs::write(folder.join("skills/a/SKILL.md"), text).unwrap();
        fs::write(folder.join("skills/a/bin/run"), "#!/bin/sh\n").unwrap();
        symlink("bin/run", folder.join("skills/a/link")).unwrap();
        fs::create_dir(folder.join("skills/a/.git")).unwrap();
        fs::write(folder.join("skills/a/.git/config"), "").unwrap();
    }

    #[test]
    fn a_bundle_has_the_layout_that_runners_expect() {
        let write = |folder: &Path| {
            fs::write(folder.join("AGENTS.md"), "Be brief.\n").unwrap();
            skill(folder, "---\nvm0_secrets: [GH_TOKEN]\n---\n");
        };
        let bundle = collect(write, "instructions: AGENTS.md\n    skills: [./skills/a/]").unwrap();
        let tree = scan(bundle.dir.path()).unwrap();
        let paths: Vec<_> = tree.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "instructions.md",
                "skills/a/SKILL.md",
                "skills/a/bin/run",
                "skills/a/link"
            ]
        );
        assert_eq!(bundle.needs[0].0, "a");
        assert!(bundle.needs[0].1.secrets.contains("GH_TOKEN"));
    }

    #[test]
    fn what_is_not_as_it_should_be_is_said_of_its_field() {
        let nothing = |_: &Path| {};
        let one = |write: &dyn Fn(&Path), fields: &str| collect(write, fields).unwrap_err();
        assert_eq!(
            one(&nothing, "instructions: AGENTS.md\n    skills: [a, b]"),
            [
                "f:4:5: agents.demo.instructions: 'AGENTS.md' is not there",
                "f:5:14: agents.demo.skills.0: 'a' is not there",
                "f:5:17: agents.demo.skills.1: 'b' is not there",
            ]
        );
        let out = |folder: &Path| {
            symlink("../secret", folder.join("A.md")).unwrap();
            symlink("..", folder.join("up")).unwrap();
        };
        assert_eq!(
            one(&out, "instructions: A.md\n    skills: [up]"),
            [
                "f:4:5: agents.demo.instructions: 'A.md' leads out of the folder of this file",
                "f:5:14: agents.demo.skills.0: 'up' leads out of the folder of this file",
            ]
        );
        let long = |folder: &Path| {
            let bytes = usize::try_from(INSTRUCTIONS_FILE_MAX_BYTES).unwrap() + 1;
            fs::write(folder.join("A.md"), "x".repeat(bytes)).unwrap();
            fs::create_dir(folder.join("empty")).unwrap();
        };
        assert_eq!(
            one(&long, "instructions: A.md\n    skills: [empty]"),
            [
                "f:4:5: agents.demo.instructions: 'A.md' is longer than 256 KiB",
                "f:5:14: agents.demo.skills.0: the skill has no file SKILL.md",
            ]
        );
        let odd = |folder: &Path| {
            fs::write(folder.join("A.md"), b"\xff").unwrap();
            skill(folder, "---\nvm0_vars: REGION\n---\n");
        };
        assert_eq!(
            one(&odd, "instructions: A.md\n    skills: [skills/a]"),
            [
                "f:4:5: agents.demo.instructions: 'A.md' is not UTF-8",
                "f:5:14: agents.demo.skills.0: SKILL.md:2:1: vm0_vars: must be a list, not a string",
            ]
        );
        let leaving = |folder: &Path| {
            skill(folder, "# A\n");
            symlink("../../../secret", folder.join("skills/a/out")).unwrap();
        };
        assert_eq!(
            one(&leaving, "skills: [skills/a]"),
            ["f:4:14: agents.demo.skills.0: the link 'out' leads out of the skill"]
        );
    }
}
