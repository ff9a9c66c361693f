//! Everything of a sandbox that is made before its runtime starts. Blocking.

use std::fs;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, mkdirat, openat2};

use super::backend::Prepared;
use super::bundle::{self, Bound, contains_home};
use super::cgroup::Cgroup;
use super::handover::Handover;
use super::layout::Layout;
use super::mount;
use super::runtime::Runtime;
use super::scratch::directory;
use super::tun;
use crate::contract::{Resources, RootImage, SandboxSpec};
use crate::error::SandboxError;
use crate::ids;

/// Memory of gVisor's kernel and its file server themselves, on top of the sandbox's limit.
const RUNSC_MEMORY: u64 = 64 << 20;
/// Tasks on the host of gVisor itself; each of the sandbox's may have two.
const RUNSC_TASKS: u32 = 256;

/// Makes disk, overlays, control group and the configuration for the runtime.
pub(crate) fn prepare(
    backend: &Prepared,
    layout: &Layout,
    spec: &SandboxSpec,
    handover: &mut Handover,
) -> Result<Cgroup, SandboxError> {
    make_directories(layout, spec)?;
    let disk = backend
        .scratch
        .create(&layout.scratch_image(), spec.resources.disk_bytes)?;
    disk.attach(&layout.scratch())?;
    make_scratch(layout, spec)?;
    mount_root(backend, layout, spec)?;
    mount::bind(&backend.agent, &layout.agent())?;
    if backend.runtime == Runtime::Runc && spec.network {
        // The guest agent reports what it then lacks.
        tun::make(layout)
            .unwrap_or_else(|error| tracing::debug!(%error, "failed to make the device tun"));
    }
    let order = mount_all(layout, spec)?;
    let cgroup = Cgroup::new(&layout.id);
    if backend.runtime == Runtime::Runsc {
        cgroup
            .create(&runsc_limits(&spec.resources))
            .map_err(SandboxError::io(
                "make the control group",
                cgroup.oci_path(),
            ))?;
    }
    let sources: Vec<PathBuf> = order.iter().map(|index| layout.mount(*index)).collect();
    let bound: Vec<Bound<'_>> = order
        .iter()
        .zip(&sources)
        .map(|(index, source)| Bound {
            source,
            target: &spec.mounts[*index].target,
        })
        .collect();
    let config = bundle::config(backend.runtime, layout, spec, &cgroup.oci_path(), &bound);
    handover
        .give(&config.to_string())
        .map_err(SandboxError::io("write", layout.config()))?;
    Ok(cgroup)
}

fn runsc_limits(limits: &Resources) -> Resources {
    Resources {
        memory_bytes: limits.memory_bytes + RUNSC_MEMORY,
        pids: limits.pids.saturating_mul(2).saturating_add(RUNSC_TASKS),
        ..*limits
    }
}

fn make_directories(layout: &Layout, spec: &SandboxSpec) -> Result<(), SandboxError> {
    let make = || {
        let mut paths = vec![layout.scratch(), layout.root()];
        paths.extend((0..spec.mounts.len()).map(|index| layout.mount(index)));
        for path in paths {
            fs::create_dir_all(path)?;
        }
        fs::write(layout.agent(), "")
    };
    make().map_err(SandboxError::io("make", &layout.run))
}

fn make_scratch(layout: &Layout, spec: &SandboxSpec) -> Result<(), SandboxError> {
    let make = || {
        if spec.mounts.iter().any(|mount| contains_home(&mount.target)) {
            directory(&layout.on_scratch("home"), ids::USER, 0o755)?;
        }
        for (index, spec) in spec.mounts.iter().enumerate() {
            let upper = layout.upper(index);
            directory(&upper, ids::USER, 0o755)?;
            fs::create_dir(upper.with_file_name("work"))?;
            if spec.lower.is_none() {
                fs::create_dir(upper.with_file_name("lower"))?;
            }
        }
        Ok(())
    };
    make().map_err(SandboxError::io("write", layout.scratch()))
}

fn mount_root(backend: &Prepared, layout: &Layout, spec: &SandboxSpec) -> Result<(), SandboxError> {
    let lowers = match &spec.image {
        RootImage::Host => vec![backend.skeleton.host.clone()],
        RootImage::Layers(layers) => layers
            .iter()
            .chain([&backend.skeleton.common])
            .cloned()
            .collect(),
    };
    let root = layout.on_scratch("root");
    mount::overlay(
        &lowers,
        &root.join("upper"),
        &root.join("work"),
        &layout.root(),
    )
}

/// Mounts the overlay of each mount and makes the mount points; the order in which the runtime
/// must bind them.
fn mount_all(layout: &Layout, spec: &SandboxSpec) -> Result<Vec<usize>, SandboxError> {
    let mut order: Vec<usize> = (0..spec.mounts.len()).collect();
    order.sort_by_key(|index| spec.mounts[*index].target.matches('/').count());
    for index in &order {
        let upper = layout.upper(*index);
        let empty = upper.with_file_name("lower");
        let lower = spec.mounts[*index].lower.clone().unwrap_or(empty);
        let work = upper.with_file_name("work");
        mount::overlay(&[lower], &upper, &work, &layout.mount(*index))?;
    }
    for (position, index) in order.iter().enumerate() {
        let target = &spec.mounts[*index].target;
        let (parent, relative) = enclosing(layout, spec, &order[..position], target);
        make_mount_point(&parent, &relative)?;
        if contains_home(target) {
            let relative = vm0_guest::HOME.trim_start_matches(target.as_str());
            make_mount_point(
                &layout.mount(*index),
                Path::new(relative.trim_start_matches('/')),
            )?;
        }
    }
    Ok(order)
}

/// The tree in which the mount point of `target` lies, and where.
fn enclosing(
    layout: &Layout,
    spec: &SandboxSpec,
    mounted: &[usize],
    target: &str,
) -> (PathBuf, PathBuf) {
    let home_is_hidden = mounted
        .iter()
        .any(|index| contains_home(&spec.mounts[*index].target));
    let mut found = (layout.root(), target.trim_start_matches('/'));
    let mut depth = 0;
    let homes = home_is_hidden.then(|| (vm0_guest::HOME, layout.on_scratch("home")));
    let mounts = mounted
        .iter()
        .map(|index| (spec.mounts[*index].target.as_str(), layout.mount(*index)))
        .chain(homes);
    for (base, tree) in mounts {
        if let Some(rest) = target
            .strip_prefix(base)
            .and_then(|rest| rest.strip_prefix('/'))
            && base.len() > depth
        {
            depth = base.len();
            found = (tree, rest);
        }
    }
    (found.0, PathBuf::from(found.1))
}

/// Makes a directory below `tree`, whose content is hostile: no component may be a link.
fn make_mount_point(tree: &Path, relative: &Path) -> Result<(), SandboxError> {
    let full = tree.join(relative);
    let io =
        |error: rustix::io::Errno| SandboxError::io("make the mount point", &full)(error.into());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let mut at = openat2(CWD, tree, flags, Mode::empty(), ResolveFlags::empty()).map_err(io)?;
    for component in relative.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        let opened = openat2(&at, name, flags, Mode::empty(), resolve);
        at = match opened {
            Err(rustix::io::Errno::NOENT) => {
                mkdirat(&at, name, Mode::from_raw_mode(0o755)).map_err(io)?;
                let owner = (Uid::from_raw(ids::USER), Gid::from_raw(ids::USER));
                chownat(
                    &at,
                    name,
                    Some(owner.0),
                    Some(owner.1),
                    rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
                )
                .map_err(io)?;
                openat2(&at, name, flags, Mode::empty(), resolve).map_err(io)?
            }
            opened => opened.map_err(io)?,
        };
    }
    Ok(())
}
