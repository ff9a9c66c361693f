//! Images with an agent's program: a Debian root, and the program from the npm registry above it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::debian::run;
use super::error::ImageError;
use super::import::unpack_into;
use super::name::ImageName;
use super::store::{Image, ImageStore};
use super::unpack::Counted;
use crate::ids::BASE;

/// Where an agent's program comes from and where it goes.
struct Recipe {
    framework: &'static str,
    /// Package whose versions are the agent's.
    versions: &'static str,
    /// What is put into the image.
    parts: &'static [Part],
}

/// A package of the registry, and what of it goes where.
struct Part {
    /// Package, `{version}` being replaced with the agent's.
    package: &'static str,
    /// Directory inside the package, and where it goes below `/usr/local`.
    tree: (&'static str, &'static str),
    /// Link in `/usr/local/bin` and its target.
    link: (&'static str, &'static str),
}

#[cfg(target_arch = "x86_64")]
macro_rules! package {
    ($before:literal, $after:literal) => {
        concat!($before, "x64", $after)
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! package {
    ($before:literal, $after:literal) => {
        concat!($before, "arm64", $after)
    };
}

#[cfg(target_arch = "x86_64")]
const CODEX_TREE: &str = "package/vendor/x86_64-unknown-linux-musl";
#[cfg(target_arch = "aarch64")]
const CODEX_TREE: &str = "package/vendor/aarch64-unknown-linux-musl";

const RECIPES: &[Recipe] = &[
    Recipe {
        framework: "claude-code",
        versions: package!("@anthropic-ai/claude-code-linux-", ""),
        parts: &[Part {
            package: package!("@anthropic-ai/claude-code-linux-", "@{version}"),
            tree: ("package", "lib/claude-code"),
            link: ("claude", "../lib/claude-code/claude"),
        }],
    },
    Recipe {
        framework: "codex",
        versions: "@openai/codex",
        parts: &[Part {
            package: package!("@openai/codex@{version}-linux-", ""),
            tree: (CODEX_TREE, "lib/codex"),
            link: ("codex", "../lib/codex/bin/codex"),
        }],
    },
    Recipe {
        framework: "gemini-cli",
        versions: "@google/gemini-cli",
        parts: &[
            Part {
                package: "@google/gemini-cli@{version}",
                tree: ("package", "lib/gemini-cli"),
                link: ("gemini", "../lib/gemini-cli/bundle/gemini.js"),
            },
            // It needs a newer Node.js than Debian has.
            Part {
                package: package!("node-linux-", "@22"),
                tree: ("package/bin", "lib/node"),
                link: ("node", "../lib/node/node"),
            },
        ],
    },
    Recipe {
        framework: "opencode",
        versions: package!("opencode-linux-", ""),
        parts: &[Part {
            package: package!("opencode-linux-", "@{version}"),
            tree: ("package/bin", "lib/opencode"),
            link: ("opencode", "../lib/opencode/opencode"),
        }],
    },
];

impl ImageStore {
    /// Builds the image of a framework: a Debian root by `mmdebstrap`, and the framework's program
    /// in this version, the newest by default, by `npm`.
    ///
    /// # Errors
    /// An unknown framework, a missing or failing program; nothing is stored then.
    pub fn build(
        &self,
        framework: &str,
        version: Option<&str>,
        name: &ImageName,
    ) -> Result<Image, ImageError> {
        let recipe = RECIPES.iter().find(|recipe| recipe.framework == framework);
        let recipe = recipe.ok_or_else(|| ImageError::NoRecipe(framework.to_owned()))?;
        let version = match version {
            Some(version) => version.to_owned(),
            None => newest(recipe.versions)?,
        };
        let work = self.workspace()?;
        let base = self.debian(&work)?;
        let layer = format!("{framework}-{}", version.replace(|c: char| !plain(c), "_"));
        if !self.has_layer(&layer) {
            let tree = work.path().join("layer");
            for part in recipe.parts {
                let package = part.package.replace("{version}", &version);
                let unpacked = fetch(&package, work.path())?;
                place(part, &unpacked, &tree)?;
            }
            own(&tree)?;
            self.add_layer(&layer, &tree)?;
        }
        self.add(name, BTreeMap::new(), vec![base, layer])
    }
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-')
}

fn newest(package: &str) -> Result<String, ImageError> {
    let output = run(
        "npm",
        Command::new("npm").args(["view", package, "version"]),
    )?;
    Ok(output.trim().to_owned())
}

/// Fetches a package and unpacks it. npm checks it against the registry's digest.
fn fetch(package: &str, work: &Path) -> Result<PathBuf, ImageError> {
    let packed = work.join("packed");
    fs::create_dir_all(&packed).map_err(ImageError::io("create", &packed))?;
    let mut command = Command::new("npm");
    command
        .args(["pack", "--silent", package])
        .current_dir(&packed);
    let output = run("npm", &mut command)?;
    let file = packed.join(output.lines().last().unwrap_or_default().trim());
    let unpacked = work.join("npm");
    let input = File::open(&file).map_err(ImageError::io("open", &file))?;
    unpack_into(input, &unpacked, &mut Counted::default())?;
    Ok(unpacked)
}

/// Puts the package's tree and a link to its program into a layer.
fn place(part: &Part, unpacked: &Path, layer: &Path) -> Result<(), ImageError> {
    let usr_local = layer.join("usr/local");
    let target = usr_local.join(part.tree.1);
    let bin = usr_local.join("bin");
    for path in [&bin, &usr_local.join("lib")] {
        fs::create_dir_all(path).map_err(ImageError::io("create", path))?;
    }
    fs::rename(unpacked.join(part.tree.0), &target).map_err(ImageError::io("find", &target))?;
    let link = bin.join(part.link.0);
    symlink(part.link.1, &link).map_err(ImageError::io("create", &link))?;
    let program = bin.join(part.link.1);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&program, mode).map_err(ImageError::io("find", &program))?;
    fs::remove_dir_all(unpacked).map_err(ImageError::io("remove", unpacked))
}

/// Gives a layer to root.
fn own(path: &Path) -> Result<(), ImageError> {
    lchown(path, Some(BASE), Some(BASE)).map_err(ImageError::io("give away", path))?;
    let meta = fs::symlink_metadata(path).map_err(ImageError::io("find", path))?;
    if meta.is_dir() {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(path, mode).map_err(ImageError::io("set mode of", path))?;
        for entry in fs::read_dir(path).map_err(ImageError::io("read", path))? {
            own(&entry.map_err(ImageError::io("read", path))?.path())?;
        }
    }
    Ok(())
}
