//! What the tests share: one backend, and sandboxes that are gone afterwards.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::AsyncReadExt;
use vm0_sandbox::{
    Backend, ExecSpec, Exit, MountSpec, Process, Resources, RootImage, Sandbox, SandboxSpec, Stdin,
};

static NUMBER: AtomicU64 = AtomicU64::new(0);

pub(crate) struct World {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    /// A backend by its kind; `None` if the environment leaves it out.
    pub(crate) fn new(kind: &str) -> Option<Self> {
        if let Ok(wanted) = std::env::var("VM0_TEST_SANDBOXES")
            && !wanted.split(',').any(|name| name == kind)
        {
            eprintln!("NOT TESTED: VM0_TEST_SANDBOXES leaves {kind} out");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let kind = kind.parse().unwrap();
        let backend = vm0_sandbox::open(kind, dir.path()).expect("the backend must work here");
        Some(Self { backend, dir })
    }

    pub(crate) fn spec(&self) -> SandboxSpec {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("test-{}-{number}", std::process::id());
        SandboxSpec {
            dir: self.dir.path().join("sandboxes").join(&id),
            id,
            image: RootImage::Host,
            mounts: vec![MountSpec {
                target: "/home/user/workspace".into(),
                lower: None,
            }],
            resources: Resources {
                cpu_millis: 2000,
                memory_bytes: 512 << 20,
                disk_bytes: 256 << 20,
                pids: 128,
            },
            network: true,
            authority: None,
        }
    }

    pub(crate) async fn start(&self) -> Box<dyn Sandbox> {
        self.backend.create(self.spec()).await.unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

pub(crate) fn program(argv: &[&str]) -> ExecSpec {
    ExecSpec {
        argv: argv.iter().map(|&text| text.to_owned()).collect(),
        env: BTreeMap::from([
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("HOME".to_owned(), "/home/user".to_owned()),
        ]),
        cwd: "/home/user/workspace".to_owned(),
        stdin: Stdin::Null,
        terminal: None,
    }
}

pub(crate) fn script(text: &str) -> ExecSpec {
    program(&["sh", "-c", text])
}

pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) exit: Exit,
}

pub(crate) async fn run(sandbox: &dyn Sandbox, spec: ExecSpec) -> Output {
    finish(sandbox.exec(spec).await.unwrap()).await
}

pub(crate) async fn finish(mut process: Process) -> Output {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (a, b) = tokio::join!(
        process.stdout.read_to_end(&mut stdout),
        process.stderr.read_to_end(&mut stderr)
    );
    a.unwrap();
    b.unwrap();
    Output {
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
        exit: process.control.wait().await.unwrap(),
    }
}

/// One test for each backend.
macro_rules! on_every_backend {
    ($($(#[$attribute:meta])* async fn $name:ident($world:ident) $body:block)*) => {$(
        mod $name {
            use super::*;
            async fn case($world: &World) $body
            $crate::contract::world::backends!(case);
        }
    )*};
}

macro_rules! backends {
    ($case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn fake() {
            if let Some(world) = World::new("fake") {
                $case(&world).await;
            }
        }
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn runc() {
            if let Some(world) = World::new("runc") {
                $case(&world).await;
            }
        }
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn gvisor() {
            if let Some(world) = World::new("gvisor") {
                $case(&world).await;
            }
        }
    };
}

/// Without the fake, which isolates nothing and has no root file system.
macro_rules! real_backends {
    ($case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn runc() {
            if let Some(world) = World::new("runc") {
                $case(&world).await;
            }
        }
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn gvisor() {
            if let Some(world) = World::new("gvisor") {
                $case(&world).await;
            }
        }
    };
}

macro_rules! on_real_backends {
    ($($(#[$attribute:meta])* async fn $name:ident($world:ident) $body:block)*) => {$(
        mod $name {
            use super::*;
            async fn case($world: &World) $body
            $crate::contract::world::real_backends!(case);
        }
    )*};
}

pub(crate) use {backends, on_every_backend, on_real_backends, real_backends};
