//! A large download inside gVisor, beside what the channel into it carries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use vm0_egress::{Gateway, Outside};
use vm0_sandbox::{
    ExecSpec, HOME, Kind, MountSpec, PROXY_URL, Process, Resources, RootImage, Sandbox,
    SandboxSpec, Stdin,
};

use crate::gateway::gateway;
use crate::quantile::p50;
use crate::report::{Bound, Report};
use crate::server::{NAME, Server};

const BYTES: usize = 256 << 20;
const ROUNDS: usize = 5;
/// Where this program is inside.
const PROGRAM: &str = "/home/user/bench";

pub(crate) async fn throughput(report: &mut Report, server: &Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let backend = match vm0_sandbox::detect(Kind::Gvisor, dir.path()).await {
        Ok(backend) => backend,
        Err(error) => {
            report.note(&format!("in gVisor: not measured, {error}"));
            return;
        }
    };
    let program = tempfile::tempdir().expect("a directory");
    let this = std::env::current_exe().expect("this program");
    std::fs::copy(this, program.path().join("egress")).expect("a copy of this program");
    let outside = Outside::new(&[server.authority().to_owned()], None).expect("a way out");
    let mut times = [const { Vec::new() }; 4];
    for (inject, column) in [(false, 2), (true, 3)] {
        let gateway = gateway(server.port(), outside.clone(), inject);
        let id = format!("bench-{}-{column}", std::process::id());
        let spec = spec(dir.path().join(&id), id, &gateway, program.path());
        let sandbox = backend.create(spec).await.expect("a sandbox");
        for _ in 0..ROUNDS {
            times[0].push(fill(&*sandbox).await);
            times[1].push(download_within(&*sandbox).await);
            times[column].push(download(&*sandbox, &gateway, server).await);
        }
        let stopped = sandbox.stop().await.expect("a stopped sandbox");
        stopped.remove().await.expect("a removed sandbox");
    }
    let [bare, within, passed, intercepted] = times.map(p50);
    let rate = |time: Duration| BYTES as f64 / f64::from(1 << 20) / time.as_secs_f64();
    report.note(&format!(
        "256 MiB into gVisor: bare channel {:.0} MiB/s, passed through {:.0}, intercepted {:.0}",
        rate(bare),
        rate(passed),
        rate(intercepted)
    ));
    let share = |time: Duration| 100.0 * rate(time) / rate(bare);
    report.note(&format!(
        "the same from a server inside, over its loopback alone: {:.0} MiB/s, {:.0} % of the channel",
        rate(within),
        share(within)
    ));
    report.row(
        "download in gVisor, passed through, of the channel",
        share(passed),
        "%",
        Bound::AtLeast(80.0),
    );
    report.row(
        "download in gVisor, intercepted, of the channel",
        share(intercepted),
        "%",
        Bound::AtLeast(50.0),
    );
}

fn spec(dir: PathBuf, id: String, gateway: &Gateway, program: &Path) -> SandboxSpec {
    SandboxSpec {
        id,
        dir,
        image: RootImage::Host,
        mounts: vec![MountSpec {
            target: PROGRAM.to_owned(),
            lower: Some(program.to_owned()),
        }],
        resources: Resources {
            cpu_millis: 2000,
            memory_bytes: 1 << 30,
            disk_bytes: 256 << 20,
            pids: 128,
        },
        network: true,
        authority: Some(gateway.certificate()),
    }
}

fn exec(script: String, stdin: Stdin) -> ExecSpec {
    let env = [("PATH", "/usr/bin:/bin"), ("https_proxy", PROXY_URL)];
    ExecSpec {
        argv: ["/bin/sh", "-c", &script].map(str::to_owned).to_vec(),
        env: env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        cwd: HOME.to_owned(),
        stdin,
        terminal: None,
    }
}

/// Fills a program's standard input: the channel, and nothing else.
async fn fill(sandbox: &dyn Sandbox) -> Duration {
    let mut process = sandbox
        .exec(exec("exec cat > /dev/null".to_owned(), Stdin::Pipe))
        .await
        .expect("cat");
    let block = vec![0; 256 * 1024];
    let started = Instant::now();
    let mut stdin = process.stdin.take().expect("a pipe");
    for _ in 0..BYTES / block.len() {
        stdin.write_all(&block).await.expect("a reader");
    }
    stdin.shutdown().await.expect("an end");
    drop(stdin);
    process.control.wait().await.expect("an exit");
    started.elapsed()
}

/// A download that no byte of leaves the sandbox for: what its loopback and `curl` allow.
async fn download_within(sandbox: &dyn Sandbox) -> Duration {
    let script = format!("exec {PROGRAM}/egress server");
    let mut server = sandbox.exec(exec(script, Stdin::Pipe)).await.expect("it");
    let mut port = String::new();
    let mut stdout = BufReader::new(&mut server.stdout);
    stdout.read_line(&mut port).await.expect("a line");
    let url = format!("https://127.0.0.1:{}/bytes/{BYTES}", port.trim());
    let started = Instant::now();
    let mut process = curl(sandbox, &format!("--noproxy '*' {url}")).await;
    let size = output(&mut process).await;
    let elapsed = started.elapsed();
    assert_eq!(size, BYTES.to_string());
    drop(server.stdin.take());
    server.control.wait().await.expect("an exit");
    elapsed
}

async fn download(sandbox: &dyn Sandbox, gateway: &Gateway, server: &Server) -> Duration {
    let url = format!("https://{NAME}:{}/bytes/{BYTES}", server.port());
    let started = Instant::now();
    let mut process = curl(sandbox, &format!("--noproxy '' {url}")).await;
    let serving = async {
        while let Some(stream) = sandbox.accept().await {
            let gateway = gateway.clone();
            tokio::spawn(async move { gateway.serve(stream).await });
        }
    };
    let size = tokio::select! {
        size = output(&mut process) => size,
        () = serving => panic!("the sandbox has ended"),
    };
    let elapsed = started.elapsed();
    assert_eq!(size, BYTES.to_string());
    process.control.wait().await.expect("an exit");
    elapsed
}

/// A connection whose certificate is the server's own is passed through: `-k`.
async fn curl(sandbox: &dyn Sandbox, arguments: &str) -> Process {
    let script = format!("exec curl -sk -o /dev/null -w '%{{size_download}}' {arguments}");
    sandbox.exec(exec(script, Stdin::Null)).await.expect("curl")
}

async fn output(process: &mut Process) -> String {
    let mut output = String::new();
    let read = process.stdout.read_to_string(&mut output).await;
    read.expect("an output");
    output
}
