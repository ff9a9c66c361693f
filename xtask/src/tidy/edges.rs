//! Which crate may use which: the direction of `ARCHITECTURE.md`, and the one crate that may name
//! each heavy dependency.

use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// What each crate may use of ours.
const EDGES: &[(&str, &[&str])] = &[
    ("vm0-model", &[]),
    ("vm0-guest", &[]),
    ("vm0-agent", &["vm0-guest"]),
    ("vm0-sandbox", &["vm0-guest"]),
    ("vm0-store", &["vm0-model"]),
    ("vm0-blob", &["vm0-model"]),
    ("vm0-egress", &["vm0-model"]),
    ("vm0-client", &["vm0-model"]),
    ("vm0-server", &["vm0-model", "vm0-store", "vm0-blob"]),
    (
        "vm0-runner",
        &[
            "vm0-model",
            "vm0-client",
            "vm0-sandbox",
            "vm0-egress",
            "vm0-blob",
        ],
    ),
    (
        "vm0-cli",
        &[
            "vm0-model",
            "vm0-client",
            "vm0-server",
            "vm0-runner",
            "vm0-blob",
        ],
    ),
    ("vm0-testkit", &["vm0-egress", "vm0-model", "vm0-sandbox"]),
    ("xtask", &["vm0-model"]),
];

/// Dependencies that belong to one crate. `testkit` is a development tool and may name what its
/// servers need.
const OWNERS: &[(&str, &[&str])] = &[
    ("sqlx", &["vm0-store"]),
    ("object_store", &["vm0-blob"]),
    ("rustls", &["vm0-egress", "vm0-server", "vm0-testkit"]),
    ("tokio-rustls", &["vm0-egress", "vm0-server", "vm0-testkit"]),
    ("rcgen", &["vm0-egress", "vm0-testkit"]),
    ("reqwest", &["vm0-client", "vm0-testkit"]),
    ("axum", &["vm0-server", "vm0-testkit"]),
    ("clap", &["vm0-cli"]),
    ("indicatif", &["vm0-cli"]),
    ("yamux", &["vm0-guest"]),
];

pub(crate) fn check(root: &Path) -> Vec<String> {
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()
        .expect("cargo describes its own workspace");
    metadata.packages.iter().flat_map(faults_of).collect()
}

fn faults_of(package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    let Some((_, allowed)) = EDGES.iter().find(|(owner, _)| *owner == name) else {
        return vec![format!(
            "{name} is not in the list of crates of xtask/src/tidy/edges.rs"
        )];
    };
    let used = package
        .dependencies
        .iter()
        .filter(|d| d.kind == DependencyKind::Normal);
    used.filter_map(|dependency| {
        let used = dependency.name.as_str();
        if used.starts_with("vm0-") && !allowed.contains(&used) {
            return Some(format!("{name} may not use {used}"));
        }
        let (_, owners) = OWNERS.iter().find(|(heavy, _)| *heavy == used)?;
        (!owners.contains(&name)).then(|| format!("{name} may not name {used}"))
    })
    .collect()
}
