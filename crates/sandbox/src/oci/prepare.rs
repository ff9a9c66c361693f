//! Everything of a sandbox that is made before its runtime starts. Blocking.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, mkdirat, openat2};

use super::authority;
use super::backend::Prepared;
use super::bundle::{self, Bound, contains_home};
use super::cgroup::Cgroup;
use super::handover::Handover;
use super::idmap::IdMap;
use super::layout::Layout;
use super::mount;
use super::ranges;
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
    let ids = Ids::claim(backend, layout)?;
    ids.bind(&layout.scratch(), &layout.mapped())?;
    mount_root(backend, layout, spec, &ids)?;
    if let Some(certificate) = &spec.authority {
        authority::trust(layout, certificate, ids.first())?;
    }
    mount::bind(&backend.agent, &layout.agent())?;
    if backend.runtime == Runtime::Runc && spec.network {
        // The guest agent reports what it then lacks.
        tun::make(layout, ids.first())
            .unwrap_or_else(|error| tracing::debug!(%error, "failed to make the device tun"));
    }
    let order = mount_all(layout, spec, &ids)?;
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
    let config = bundle::config(
        backend.runtime,
        layout,
        spec,
        &cgroup.oci_path(),
        ids.first(),
        &bound,
    );
    handover
        .give(&config.to_string())
        .map_err(SandboxError::io("write", layout.config()))?;
    Ok(cgroup)
}

/// The ids of a sandbox on the host.
struct Ids {
    /// None where the kernel cannot map ids.
    map: Option<Arc<IdMap>>,
}

impl Ids {
    fn claim(backend: &Prepared, layout: &Layout) -> Result<Self, SandboxError> {
        let Some(maps) = &backend.id_maps else {
            return Ok(Self { map: None });
        };
        let run = layout.run.parent().unwrap_or(&layout.run);
        let map = ranges::claim(run, &layout.id).and_then(|range| maps.get(range));
        map.map(|map| Self { map: Some(map) })
            .map_err(SandboxError::io("take user ids for", &layout.run))
    }

    /// The host id of uid and gid 0 inside.
    fn first(&self) -> u32 {
        self.map.as_ref().map_or(ids::BASE, |map| map.first())
    }

    /// Mounts a stored tree as the sandbox is given it.
    fn bind(&self, source: &Path, target: &Path) -> Result<(), SandboxError> {
        fs::create_dir_all(target).map_err(SandboxError::io("make", target))?;
        match &self.map {
            Some(map) => map
                .bind(source, target)
                .map_err(SandboxError::io("map the user ids of", source)),
            None => mount::bind(source, target),
        }
    }
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

fn mount_root(
    backend: &Prepared,
    layout: &Layout,
    spec: &SandboxSpec,
    ids: &Ids,
) -> Result<(), SandboxError> {
    let stored = match &spec.image {
        RootImage::Host => vec![backend.skeleton.host.clone()],
        RootImage::Layers(layers) => layers
            .iter()
            .chain([&backend.skeleton.common])
            .cloned()
            .collect(),
    };
    let mut lowers = Vec::with_capacity(stored.len());
    for (index, layer) in stored.iter().enumerate() {
        let lower = layout.layer(&format!("root-{index}"));
        ids.bind(layer, &lower)?;
        lowers.push(lower);
    }
    let root = layout.mapped().join("root");
    mount::overlay(
        &lowers,
        &root.join("upper"),
        &root.join("work"),
        &layout.root(),
    )
}

/// Mounts the overlay of each mount and makes the mount points; the order in which the runtime
/// must bind them.
fn mount_all(layout: &Layout, spec: &SandboxSpec, ids: &Ids) -> Result<Vec<usize>, SandboxError> {
    let mut order: Vec<usize> = (0..spec.mounts.len()).collect();
    order.sort_by_key(|index| spec.mounts[*index].target.matches('/').count());
    for index in &order {
        let own = layout.mapped_mount(*index);
        let lower = match &spec.mounts[*index].lower {
            Some(tree) => {
                let lower = layout.layer(&index.to_string());
                ids.bind(tree, &lower)?;
                lower
            }
            None => own.join("lower"),
        };
        let (upper, work) = (own.join("upper"), own.join("work"));
        mount::overlay(&[lower], &upper, &work, &layout.mount(*index))?;
    }
    for (position, index) in order.iter().enumerate() {
        let target = &spec.mounts[*index].target;
        let (parent, relative) = enclosing(layout, spec, &order[..position], target);
        make_mount_point(&parent, &relative, ids.first())?;
        if contains_home(target) {
            let relative = vm0_guest::HOME.trim_start_matches(target.as_str());
            make_mount_point(
                &layout.mount(*index),
                Path::new(relative.trim_start_matches('/')),
                ids.first(),
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
    let homes = home_is_hidden.then(|| (vm0_guest::HOME, layout.mapped().join("home")));
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
fn make_mount_point(tree: &Path, relative: &Path, first_id: u32) -> Result<(), SandboxError> {
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
                let user = ids::user(first_id);
                let owner = (Uid::from_raw(user), Gid::from_raw(user));
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
