//! The life of a sandbox: nothing is left of it, whoever ends it and when.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vm0_sandbox::{SandboxError, SandboxSpec};

use crate::contract::world::{World, on_every_backend, on_real_backends, program, run, script};

const VICTIM: &str = "VM0_TEST_VICTIM";

on_every_backend! {
    async fn nothing_is_left_after_remove(world) {
        let spec = world.spec();
        let (dir, id) = (spec.dir.clone(), spec.id.clone());
        let sandbox = world.backend.create(spec).await.unwrap();
        let process = sandbox.exec(script("sleep 60")).await.unwrap();
        let stopped = sandbox.stop().await.unwrap();
        assert!(matches!(process.control.wait().await, Err(SandboxError::Gone)));
        stopped.remove().await.unwrap();
        assert_no_trace(&dir, &id);
        assert!(world.backend.sweep(&dir).await.unwrap().is_none());
    }

    async fn a_used_directory_is_refused(world) {
        let spec = world.spec();
        fs::create_dir_all(&spec.dir).unwrap();
        fs::write(spec.dir.join("x"), "").unwrap();
        assert!(matches!(world.backend.create(spec).await, Err(SandboxError::Spec { .. })));
    }

    async fn a_specification_that_breaks_the_rules_is_refused(world) {
        let breaks: [fn(&mut SandboxSpec); 4] = [
            |spec| spec.id = "Not/A Name".into(),
            |spec| spec.dir = "relative".into(),
            |spec| spec.mounts[0].target = "/a/../b".into(),
            |spec| spec.mounts.push(spec.mounts[0].clone()),
        ];
        for broken in breaks {
            let mut spec = world.spec();
            broken(&mut spec);
            assert!(matches!(world.backend.create(spec).await, Err(SandboxError::Spec { .. })));
        }
    }

    async fn what_a_killed_process_left_is_found_and_its_files_are_there(world) {
        let spec = world.spec();
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "contract::life::victim", "--ignored", "--nocapture"])
            .env(VICTIM, format!("{}\n{}\n{}", world.backend.kind(), world.dir.path().display(), spec.id))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let ready = lines.map(Result::unwrap).any(|line| line.contains("victim is ready"));
        assert!(ready);
        victim.kill().unwrap();
        victim.wait().unwrap();
        let stopped = world.backend.sweep(&spec.dir).await.unwrap().expect("it is found");
        let layer = stopped.layer("/home/user/workspace").unwrap();
        assert_eq!(fs::read_to_string(layer.join("saved")).unwrap(), "kept\n");
        stopped.remove().await.unwrap();
        assert_no_trace(&spec.dir, &spec.id);
    }
}

/// Not a test: the process that is killed in one.
#[tokio::test]
#[ignore = "the victim of another test"]
async fn victim() {
    let Ok(text) = std::env::var(VICTIM) else {
        return;
    };
    let lines: Vec<&str> = text.lines().collect();
    let backend = vm0_sandbox::open(lines[0].parse().unwrap(), Path::new(lines[1])).unwrap();
    let world = World {
        backend,
        dir: tempfile::tempdir().unwrap(),
    };
    let mut spec = world.spec();
    spec.id = lines[2].to_owned();
    spec.dir = Path::new(lines[1]).join("sandboxes").join(lines[2]);
    let sandbox = world.backend.create(spec).await.unwrap();
    run(&*sandbox, script("echo kept > saved")).await;
    let _process = sandbox.exec(script("sleep 600")).await.unwrap();
    println!("victim is ready");
    std::future::pending::<()>().await;
}

on_real_backends! {
    async fn a_connection_to_the_proxy_comes_out_as_raw_bytes(world) {
        let sandbox = world.start().await;
        let text = "import socket; s = socket.create_connection(('127.0.0.1', 3128)); \
                    s.sendall(b'ping'); s.shutdown(1); print(s.recv(10).decode())";
        let client = sandbox.exec(program(&["python3", "-c", text])).await.unwrap();
        let mut connection = sandbox.accept().await.unwrap();
        let mut request = String::new();
        connection.read_to_string(&mut request).await.unwrap();
        assert_eq!(request, "ping");
        connection.write_all(b"pong").await.unwrap();
        connection.shutdown().await.unwrap();
        drop(connection);
        let output = crate::contract::world::finish(client).await;
        assert_eq!(output.stdout, "pong\n", "{}", output.stderr);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn many_sandboxes_start_and_end_at_once(world) {
        let specs: Vec<_> = (0..12).map(|_| world.spec()).collect();
        let traces: Vec<_> = specs.iter().map(|s| (s.dir.clone(), s.id.clone())).collect();
        let runs = specs.into_iter().map(|spec| async {
            let sandbox = world.backend.create(spec).await.unwrap();
            assert_eq!(run(&*sandbox, script("echo ok")).await.stdout, "ok\n");
            sandbox.stop().await.unwrap().remove().await.unwrap();
        });
        futures::future::join_all(runs).await;
        for (dir, id) in traces {
            assert_no_trace(&dir, &id);
        }
    }

    async fn a_sandbox_that_is_dropped_is_killed_and_found(world) {
        let spec = world.spec();
        let (dir, id) = (spec.dir.clone(), spec.id.clone());
        let sandbox = world.backend.create(spec).await.unwrap();
        drop(sandbox);
        let stopped = world.backend.sweep(&dir).await.unwrap().expect("it is found");
        stopped.remove().await.unwrap();
        assert_no_trace(&dir, &id);
    }

    async fn a_creation_cancelled_at_any_moment_leaves_nothing_after_a_sweep(world) {
        for millis in [0, 1, 3, 6, 10, 20, 40, 80] {
            let spec = world.spec();
            let (dir, id) = (spec.dir.clone(), spec.id.clone());
            let patience = std::time::Duration::from_millis(millis);
            let _ = tokio::time::timeout(patience, world.backend.create(spec)).await;
            // What was begun in the background may end later; the next sweep finds it.
            for _ in 0..2 {
                if let Some(stopped) = world.backend.sweep(&dir).await.unwrap() {
                    stopped.remove().await.unwrap();
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            assert_no_trace(&dir, &id);
        }
    }

    async fn without_network_nothing_listens(world) {
        let mut spec = world.spec();
        spec.network = false;
        let sandbox = world.backend.create(spec).await.unwrap();
        let text = "import socket; socket.create_connection(('127.0.0.1', 3128))";
        let output = run(&*sandbox, program(&["python3", "-c", text])).await;
        assert!(output.stderr.contains("refused"), "{}", output.stderr);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn nothing_inside_can_touch_the_guest_agent(world) {
        let sandbox = world.start().await;
        let text = "for f in /proc/1/fd/* /proc/1/mem; do (echo x > $f) 2>/dev/null && readlink $f; done | grep -v ^/dev/null$ | sed s/^/opened/; \
                    kill -9 1 2>/dev/null && echo killed; echo x > /vm0/agent; \
                    grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status";
        let output = run(&*sandbox, script(text)).await;
        assert!(output.stdout.contains("CapEff:\t0000000000000000"), "{}", output.stdout);
        assert!(output.stdout.contains("CapBnd:\t0000000000000000"), "{}", output.stdout);
        assert!(!output.stdout.contains("killed"));
        assert!(!output.stdout.contains("opened"), "{}", output.stdout);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn the_shell_agent_runs_its_prompt(world) {
        let sandbox = world.start().await;
        let mut spec = program(&["/vm0/agent", "shell"]);
        spec.env.insert("VM0_PROMPT".into(), "echo hi; sleep 100 & exit 3".into());
        let output = run(&*sandbox, spec).await;
        assert_eq!(output.exit.code, 3, "{}", output.stderr);
        let kinds: Vec<String> = output
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].to_string())
            .collect();
        assert_eq!(kinds.join(" "), r#""system" "assistant" "assistant" "output" "user" "result""#);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }
}

/// Neither directory, mount, process nor control group.
fn assert_no_trace(dir: &Path, id: &str) {
    assert!(!dir.exists());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(id), "{mounts}");
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap() {
        let path = hierarchy.unwrap().path().join("vm0").join(id);
        assert!(!path.exists(), "{path:?}");
    }
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        assert!(!line.contains(&format!("/run/vm0/{id}")), "{line}");
    }
}
