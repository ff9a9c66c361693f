//! Where a skill comes from (agents 1.6).

use crate::name::is_skill_name;

/// Where a skill comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkillSource {
    /// A directory beside `vm0.yaml`.
    Local {
        /// Relative path.
        path: String,
        /// Last component of the path.
        name: String,
    },
    /// A directory of a GitHub repository.
    GitHub {
        /// Owner of the repository.
        owner: String,
        /// The repository.
        repository: String,
        /// Ref and path, not told apart: a ref may contain `/`.
        ref_and_path: String,
        /// Last component of the path.
        name: String,
    },
}

/// Why an entry of `skills` names no skill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SkillSourceError {
    /// A URL of another form.
    #[error("must be a directory or https://github.com/OWNER/REPO/tree/REF/PATH")]
    Url,
    /// A path that may leave the folder.
    #[error("must be a relative path without '..'")]
    Path,
    /// The last component cannot name a directory of skills.
    #[error(
        "invalid skill name '{0}': use 1-64 letters, digits, '.', '_' or '-', beginning with a \
         letter or digit"
    )]
    Name(String),
}

impl SkillSource {
    /// Reads an entry of `skills`.
    ///
    /// # Errors
    /// `SkillSourceError` if it has neither form.
    pub fn parse(text: &str) -> Result<Self, SkillSourceError> {
        if text.contains("://") {
            return Self::parse_url(text);
        }
        if !is_inside(text) {
            return Err(SkillSourceError::Path);
        }
        Ok(Self::Local {
            path: text.to_owned(),
            name: last_name(text)?,
        })
    }

    fn parse_url(text: &str) -> Result<Self, SkillSourceError> {
        let rest = text
            .strip_prefix("https://github.com/")
            .ok_or(SkillSourceError::Url)?;
        let rest = rest.trim_end_matches('/');
        let mut parts = rest.splitn(4, '/');
        let mut next = || {
            parts
                .next()
                .filter(|part| !part.is_empty())
                .ok_or(SkillSourceError::Url)
        };
        let (owner, repository, tree, ref_and_path) = (next()?, next()?, next()?, next()?);
        let plain =
            |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['?', '#', '%']);
        let well_formed =
            tree == "tree" && ref_and_path.contains('/') && rest.split('/').all(plain);
        if !well_formed {
            return Err(SkillSourceError::Url);
        }
        Ok(Self::GitHub {
            owner: owner.to_owned(),
            repository: repository.to_owned(),
            ref_and_path: ref_and_path.to_owned(),
            name: last_name(ref_and_path)?,
        })
    }

    /// Name of the directory that the skill gets.
    pub fn name(&self) -> &str {
        match self {
            Self::Local { name, .. } | Self::GitHub { name, .. } => name,
        }
    }
}

fn last_name(path: &str) -> Result<String, SkillSourceError> {
    let name = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    is_skill_name(name)
        .then(|| name.to_owned())
        .ok_or_else(|| SkillSourceError::Name(name.to_owned()))
}

/// Whether `path` is relative and cannot leave the folder it is relative to.
pub(super) fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with('/')
        && !path.contains('\0')
        && path.split('/').all(|part| part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skill_is_named_after_its_directory() {
        let name = |text| SkillSource::parse(text).map(|source| source.name().to_owned());
        assert_eq!(name("skills/spreadsheet"), Ok("spreadsheet".to_owned()));
        assert_eq!(name("./skills/a.b/"), Ok("a.b".to_owned()));
        assert_eq!(
            name("https://github.com/acme/agent-skills/tree/feature/x/pr-audit"),
            Ok("pr-audit".to_owned())
        );
    }

    #[test]
    fn other_places_are_refused() {
        for (bad, error) in [
            ("/abs", SkillSourceError::Path),
            ("../up", SkillSourceError::Path),
            ("", SkillSourceError::Path),
            (".", SkillSourceError::Name(".".to_owned())),
            ("http://github.com/a/b/tree/main/c", SkillSourceError::Url),
            ("https://gitlab.com/a/b/tree/main/c", SkillSourceError::Url),
            ("https://github.com/a/b/blob/main/c", SkillSourceError::Url),
            ("https://github.com/a/b/tree/main", SkillSourceError::Url),
            (
                "https://github.com/a/b/tree/main/../c",
                SkillSourceError::Url,
            ),
        ] {
            assert_eq!(SkillSource::parse(bad), Err(error), "{bad}");
        }
    }
}
