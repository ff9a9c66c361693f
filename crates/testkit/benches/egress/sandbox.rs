//! A large download inside gVisor, beside what the channel into it carries.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vm0_egress::{Gateway, Outside};
use vm0_sandbox::{
    ExecSpec, HOME, Kind, PROXY_URL, Resources, RootImage, Sandbox, SandboxSpec, Stdin,
};

use crate::gateway::gateway;
use crate::quantile::p50;
use crate::report::{Bound, Report};
use crate::server::{NAME, Server};

const BYTES: usize = 256 << 20;
const ROUNDS: usize = 5;

pub(crate) async fn throughput(report: &mut Report, server: &Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let backend = match vm0_sandbox::detect(Kind::Gvisor, dir.path()).await {
        Ok(backend) => backend,
        Err(error) => {
            report.note(&format!("in gVisor: not measured, {error}"));
            return;
        }
    };
    let outside = Outside::new(&[server.authority().to_owned()], None).expect("a way out");
    let mut times = [const { Vec::new() }; 3];
    for (inject, column) in [(false, 1), (true, 2)] {
        let gateway = gateway(server.port(), outside.clone(), inject);
        let id = format!("bench-{}-{column}", std::process::id());
        let spec = spec(dir.path().join(&id), id, &gateway);
        let sandbox = backend.create(spec).await.expect("a sandbox");
        for _ in 0..ROUNDS {
            times[0].push(fill(&*sandbox).await);
            times[column].push(download(&*sandbox, &gateway, server).await);
        }
        let stopped = sandbox.stop().await.expect("a stopped sandbox");
        stopped.remove().await.expect("a removed sandbox");
    }
    let [bare, passed, intercepted] = times.map(p50);
    let rate = |time: Duration| BYTES as f64 / f64::from(1 << 20) / time.as_secs_f64();
    report.note(&format!(
        "256 MiB into gVisor: bare channel {:.0} MiB/s, passed through {:.0}, intercepted {:.0}",
        rate(bare),
        rate(passed),
        rate(intercepted)
    ));
    let share = |time: Duration| 100.0 * rate(time) / rate(bare);
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

fn spec(dir: std::path::PathBuf, id: String, gateway: &Gateway) -> SandboxSpec {
    SandboxSpec {
        id,
        dir,
        image: RootImage::Host,
        mounts: Vec::new(),
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

async fn download(sandbox: &dyn Sandbox, gateway: &Gateway, server: &Server) -> Duration {
    let url = format!("https://{NAME}:{}/bytes/{BYTES}", server.port());
    // A connection whose certificate is the server's own is passed through: `-k`.
    let script = format!("exec curl -sk --noproxy '' -o /dev/null -w '%{{size_download}}' {url}");
    let started = Instant::now();
    let mut process = sandbox.exec(exec(script, Stdin::Null)).await.expect("curl");
    let serving = async {
        while let Some(stream) = sandbox.accept().await {
            let gateway = gateway.clone();
            tokio::spawn(async move { gateway.serve(stream).await });
        }
    };
    let mut size = String::new();
    tokio::select! {
        read = process.stdout.read_to_string(&mut size) => { read.expect("an output"); }
        () = serving => panic!("the sandbox has ended"),
    }
    let elapsed = started.elapsed();
    assert_eq!(size, BYTES.to_string());
    process.control.wait().await.expect("an exit");
    elapsed
}
