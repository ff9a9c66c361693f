//! Programs: their end, streams, environment, user and signals.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vm0_sandbox::{Stdin, TerminalSize};

use crate::contract::world::{World, finish, on_every_backend, program, run, script};

const STREAM: u64 = 100 << 20;

on_every_backend! {
    async fn output_and_exit_code_come_out(world) {
        let sandbox = world.start().await;
        let output = run(&*sandbox, script("echo out; echo err >&2; exit 7")).await;
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(output.exit.code, 7);
        assert!(!output.exit.out_of_memory);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn a_program_that_cannot_be_started_ends_with_126_or_127(world) {
        let sandbox = world.start().await;
        assert_eq!(run(&*sandbox, program(&["no-such-program"])).await.exit.code, 127);
        assert_eq!(run(&*sandbox, program(&["/usr"])).await.exit.code, 126);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn environment_and_directory_are_exactly_those_given(world) {
        let sandbox = world.start().await;
        let mut spec = script("pwd; env");
        spec.env = [("PATH".into(), "/usr/bin:/bin".into()), ("A".into(), "b c".into())].into();
        let output = run(&*sandbox, spec).await;
        assert!(output.stdout.starts_with("/home/user/workspace\n"));
        assert!(output.stdout.contains("A=b c\n"));
        assert!(!output.stdout.contains("CARGO"));
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn programs_run_as_the_user_1000(world) {
        let sandbox = world.start().await;
        let output = run(&*sandbox, script("id -u; id -g")).await;
        assert_eq!(output.stdout, "1000\n1000\n");
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn a_signal_ends_a_program_with_128_and_its_number(world) {
        let sandbox = world.start().await;
        let mut process = sandbox.exec(script("echo ready; sleep 60")).await.unwrap();
        let mut ready = [0; 6];
        process.stdout.read_exact(&mut ready).await.unwrap();
        process.control.signal(15).await.unwrap();
        let exit = tokio::time::timeout(Duration::from_secs(10), process.control.wait()).await;
        assert_eq!(exit.unwrap().unwrap().code, 143);
        process.control.signal(15).await.unwrap();
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn kill_all_leaves_no_program(world) {
        let sandbox = world.start().await;
        let mut process = sandbox.exec(script("echo ready; sleep 60")).await.unwrap();
        let mut ready = [0; 6];
        process.stdout.read_exact(&mut ready).await.unwrap();
        sandbox.kill_all().await.unwrap();
        assert_eq!(process.control.wait().await.unwrap().code, 137);
        assert_eq!(run(&*sandbox, script("echo again")).await.stdout, "again\n");
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn input_is_read_to_its_end(world) {
        let sandbox = world.start().await;
        let mut spec = program(&["cat"]);
        spec.stdin = Stdin::Pipe;
        let mut process = sandbox.exec(spec).await.unwrap();
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(b"hello").await.unwrap();
        stdin.shutdown().await.unwrap();
        drop(stdin);
        assert_eq!(finish(process).await.stdout, "hello");
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn a_file_can_be_the_input(world) {
        let sandbox = world.start().await;
        sandbox.put_platform_file("prompt", b"from a file").await.unwrap();
        let mut spec = program(&["cat"]);
        spec.stdin = Stdin::File("/vm0/prompt".into());
        assert_eq!(run(&*sandbox, spec).await.stdout, "from a file");
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn a_terminal_has_its_size_and_shows_both_outputs(world) {
        let sandbox = world.start().await;
        let mut spec = script("stty size; echo err >&2; exit 3");
        spec.stdin = Stdin::Pipe;
        spec.terminal = Some(TerminalSize { rows: 30, cols: 100 });
        let output = run(&*sandbox, spec).await;
        assert_eq!(output.stdout.replace('\r', ""), "30 100\nerr\n");
        assert_eq!((output.stderr.as_str(), output.exit.code), ("", 3));
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn a_terminal_takes_another_size(world) {
        let sandbox = world.start().await;
        let mut spec = script("echo ready; sleep 1; stty size");
        spec.terminal = Some(TerminalSize { rows: 30, cols: 100 });
        let mut process = sandbox.exec(spec).await.unwrap();
        let mut ready = [0; 5];
        process.stdout.read_exact(&mut ready).await.unwrap();
        process.control.resize(TerminalSize { rows: 50, cols: 132 }).await.unwrap();
        let output = finish(process).await;
        assert!(output.stdout.ends_with("50 132\r\n") || output.stdout.ends_with("50 132\n"));
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn the_end_of_the_input_is_typed_on_a_terminal(world) {
        let sandbox = world.start().await;
        let mut spec = program(&["cat"]);
        spec.stdin = Stdin::Pipe;
        spec.terminal = Some(TerminalSize { rows: 24, cols: 80 });
        let mut process = sandbox.exec(spec).await.unwrap();
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(b"hello\n").await.unwrap();
        stdin.shutdown().await.unwrap();
        drop(stdin);
        let output = finish(process).await;
        assert!(output.stdout.contains("hello"), "{}", output.stdout);
        assert_eq!(output.exit.code, 0);
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn a_hundred_megabytes_come_out_without_growth(world) {
        let sandbox = world.start().await;
        let spec = script("head -c 104857600 /dev/zero");
        let process = sandbox.exec(spec).await.unwrap();
        let before = resident();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut counted = 0;
        let mut stdout = process.stdout;
        let mut buffer = vec![0; 64 * 1024];
        let mut most = 0;
        loop {
            match stdout.read(&mut buffer).await.unwrap() {
                0 => break,
                read => counted += read as u64,
            }
            most = most.max(resident());
        }
        assert_eq!(counted, STREAM);
        assert!(most < before + (32 << 20), "grew from {before} to {most}");
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }

    async fn a_hundred_megabytes_go_in(world) {
        let sandbox = world.start().await;
        let mut spec = program(&["wc", "-c"]);
        spec.stdin = Stdin::Pipe;
        let mut process = sandbox.exec(spec).await.unwrap();
        let mut stdin = process.stdin.take().unwrap();
        let send = async move {
            let chunk = vec![1; 1 << 20];
            for _ in 0..STREAM >> 20 {
                stdin.write_all(&chunk).await.unwrap();
            }
            stdin.shutdown().await.unwrap();
        };
        let ((), output) = tokio::join!(send, finish(process));
        assert_eq!(output.stdout.trim(), STREAM.to_string());
        sandbox.stop().await.unwrap().remove().await.unwrap();
    }
}

/// Memory of this process. Other tests run in it too; they are small.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 4096
}
