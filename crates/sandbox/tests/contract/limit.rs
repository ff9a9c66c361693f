//! Limits: each is met by the program, not by the host.

use std::time::{Duration, Instant};

use crate::contract::world::{World, on_real_backends, run, script};

on_real_backends! {
    async fn a_full_disk_is_the_programs_error_and_counts_all_writable_places(world) {
        let mut spec = world.spec();
        spec.resources.disk_bytes = 32 << 20;
        let sandbox = world.backend.create(spec).await.unwrap();
        let text = "head -c 20M /dev/zero > /tmp/a && head -c 20M /dev/zero > b";
        let output = run(&*sandbox, script(text)).await;
        assert_ne!(output.exit.code, 0);
        assert!(output.stderr.contains("No space left"), "{}", output.stderr);
        let used = sandbox.stats().await.unwrap().disk_bytes;
        assert!((20 << 20..40 << 20).contains(&used), "{used}");
        assert_eq!(run(&*sandbox, script("rm /tmp/a && echo ok")).await.stdout, "ok\n");
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn out_of_memory_is_told(world) {
        let mut spec = world.spec();
        spec.resources.memory_bytes = 128 << 20;
        let sandbox = world.backend.create(spec).await.unwrap();
        let text = "exec python3 -c 'x = bytearray(1 << 30); x[::4096] = b\"1\" * len(x[::4096])'";
        let output = run(&*sandbox, script(text)).await;
        assert!(output.exit.out_of_memory, "{:?} {}", output.exit, output.stderr);
        assert_eq!(output.exit.code, 137);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn a_fork_bomb_meets_the_limit_of_processes(world) {
        let mut spec = world.spec();
        spec.resources.pids = 32;
        let sandbox = world.backend.create(spec).await.unwrap();
        let text = "i=0; while [ $i -lt 60 ]; do sleep 30 & i=$((i+1)); done; echo all";
        let output = run(&*sandbox, script(&format!("({text}) >out 2>&1; cat out | head -1"))).await;
        assert!(!output.stdout.contains("all"), "{}", output.stdout);
        sandbox.kill_all().await.unwrap();
        assert_eq!(run(&*sandbox, script("echo ok")).await.stdout, "ok\n");
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn a_busy_program_gets_no_more_than_its_share_of_cpu(world) {
        let mut spec = world.spec();
        spec.resources.cpu_millis = 300;
        let sandbox = world.backend.create(spec).await.unwrap();
        let before = sandbox.stats().await.unwrap().cpu_micros;
        let start = Instant::now();
        let process = sandbox.exec(script("while :; do :; done")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let used = sandbox.stats().await.unwrap().cpu_micros - before;
        let share = used as f64 / start.elapsed().as_micros() as f64;
        assert!(share > 0.05 && share < 0.45, "{share}");
        process.control.signal(9).await.unwrap();
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }
}
