//! Which images are here.

use std::path::Path;

use vm0_runner::images;

use super::check::Check;
use crate::error::chain;

const GROUP: &str = "images";

pub(super) fn checks(data_dir: &Path) -> Vec<Check> {
    let mut checks = vec![Check::ok(
        GROUP,
        "host",
        "always there: the programs of this machine",
    )];
    for program in ["claude", "codex"] {
        checks.extend(in_path(program).map(|path| {
            Check::ok(
                GROUP,
                "host",
                format!("{program} is {path}; inside only if below /usr"),
            )
        }));
    }
    let runner = data_dir.join("runner");
    if !runner.join("images").exists() {
        let fix = "Build one: vm0 image build claude-code";
        checks.push(Check::warn(
            GROUP,
            "claude-code, codex",
            "no image has them",
            fix,
        ));
        return checks;
    }
    match images::open(&runner).and_then(|store| store.list()) {
        Ok(stored) => checks.extend(
            stored
                .iter()
                .map(|(image, _)| Check::ok(GROUP, &image.name, image.digest.clone())),
        ),
        Err(error) => {
            let fix = "Remove the damaged image: vm0 image rm NAME";
            checks.push(Check::fail(GROUP, "store", chain(&error), fix));
        }
    }
    checks
}

fn in_path(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let mut candidates = std::env::split_paths(&path).map(|dir| dir.join(program));
    candidates
        .find(|file| file.is_file())
        .map(|file| file.display().to_string())
}
