//! `vm0 exec`: commands in the sandboxes of running runs.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use serde_json::json;
use vm0_testkit::Server;
use vm0_testkit::process::TestProcess;

use crate::sandboxes::{options, server};

crate::on_each_sandbox!(
    a_command_finds_what_the_agent_finds_and_its_outputs_stay_apart,
    input_and_output_are_passed_on_to_their_end,
    a_terminal_is_a_terminal,
    signals_reach_the_command_and_the_loss_of_its_client_hangs_it_up,
    a_command_that_cannot_be_says_why,
    a_command_ends_with_its_run,
    a_runner_elsewhere_serves_commands_until_it_is_killed,
);

const LIMIT: Duration = Duration::from_secs(30);

/// A run of the shell agent that waits, and its id.
async fn waiting_run(server: &Server) -> String {
    let api = server.api();
    let agent = json!({ "framework": "shell", "environment": { "COLOUR": "blue" } });
    let config = json!({ "version": "1.0", "agents": { "waiter": agent } });
    api.agent(&config).await;
    let run = api
        .run(&json!({ "agent": "waiter", "prompt": "echo up; sleep 600" }))
        .await;
    api.run_event(&run, |data| data["text"] == "up").await;
    run
}

fn command(server: &Server, run: &str, args: &[&str]) -> Command {
    let mut command = server.client(server.data_dir(), &["exec", run]);
    command.args(args);
    command
}

fn exec(server: &Server, run: &str, args: &[&str], input: &[u8]) -> Output {
    let mut command = command(server, run, args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("vm0 runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A command that does not read breaks the pipe.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("vm0 ends");
    writer.join().expect("no panic");
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

async fn a_command_finds_what_the_agent_finds_and_its_outputs_stay_apart(kind: &str) {
    let server = server(kind);
    let run = waiting_run(&server).await;
    let script = "echo $COLOUR $EXTRA $VM0_RUN_ID; pwd; id -u; echo err >&2; exit 7";
    let args = ["-e", "EXTRA=more", "--", "sh", "-c", script];
    let output = exec(&server, &run, &args, b"");
    let expected = format!("blue more {run}\n/home/user/workspace\n1000\n");
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(
        (text(&output.stderr), output.status.code()),
        ("err\n", Some(7))
    );
    let elsewhere = exec(&server, &run, &["-w", "/tmp", "--", "pwd"], b"");
    assert_eq!(text(&elsewhere.stdout), "/tmp\n");
    let path = format!("/v1/runs/{run}/logs?type=system&limit=100");
    let api = server.api();
    let said = vm0_testkit::host::eventually(LIMIT, || async {
        let logs = api.get(&path).await.expect(200).to_string();
        logs.contains("pwd: exited with code 0").then_some(logs)
    })
    .await;
    assert!(said.contains("[sandbox:exec] started sh -c "), "{said}");
    assert!(said.contains(": exited with code 7"), "{said}");
    assert!(!said.contains("blue more"), "output is not logged: {said}");
}

async fn input_and_output_are_passed_on_to_their_end(kind: &str) {
    let server = server(kind);
    let run = waiting_run(&server).await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let back = exec(&server, &run, &["-i", "--", "cat"], &bytes);
    assert_eq!(back.status.code(), Some(0), "{}", text(&back.stderr));
    assert!(
        back.stdout == bytes,
        "{} bytes came back",
        back.stdout.len()
    );
    let none = exec(&server, &run, &["--", "cat"], b"not passed on");
    assert_eq!((none.status.code(), none.stdout.len()), (Some(0), 0));
    let not_read = exec(&server, &run, &["-i", "--", "true"], &bytes);
    assert_eq!(
        not_read.status.code(),
        Some(0),
        "{}",
        text(&not_read.stderr)
    );
    let child = "sleep 300 & echo done";
    let left = exec(&server, &run, &["--", "sh", "-c", child], b"");
    assert_eq!(
        (text(&left.stdout), left.status.code()),
        ("done\n", Some(0))
    );
}

/// `vm0 exec` at a terminal.
struct Seat {
    child: TestProcess,
    terminal: File,
    line: File,
}

impl Seat {
    fn take(server: &Server, run: &str, args: &[&str]) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).expect("a terminal");
        unlockpt(&terminal).expect("a terminal");
        let name = ptsname(&terminal, Vec::new()).expect("a terminal");
        let name = name.into_string().expect("text");
        tcsetwinsize(&terminal, size(30, 100)).expect("a terminal");
        let line = File::options().read(true).write(true).open(&name);
        let vm0 = command(server, run, args);
        // The first terminal that the leader of a session opens is its own.
        let mut shell = Command::new("setsid");
        shell
            .args([
                "sh",
                "-c",
                r#"line=$1; shift; exec "$@" <"$line" >"$line" 2>&1"#,
                "sh",
            ])
            .arg(&name)
            .arg(vm0.get_program())
            .args(vm0.get_args())
            .env("TERM", "xterm-vm0");
        for (name, value) in vm0.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        Self {
            child: TestProcess::start(shell),
            terminal: File::from(terminal),
            line: line.expect("a terminal"),
        }
    }

    /// Reads until the screen shows `wanted`.
    fn shows(&mut self, wanted: &str) {
        let mut shown = Vec::new();
        let mut buffer = [0; 1024];
        while !String::from_utf8_lossy(&shown).contains(wanted) {
            let read = self
                .terminal
                .read(&mut buffer)
                .expect("the terminal is there");
            assert!(read > 0, "{}", String::from_utf8_lossy(&shown));
            shown.extend_from_slice(&buffer[..read]);
        }
    }

    fn type_in(&mut self, keys: &str) {
        self.terminal
            .write_all(keys.as_bytes())
            .expect("the terminal is there");
    }

    fn is_raw(&self) -> bool {
        use rustix::termios::LocalModes;
        let modes = tcgetattr(&self.line).expect("a terminal").local_modes;
        !modes.intersects(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }
}

fn size(rows: u16, cols: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

async fn a_terminal_is_a_terminal(kind: &str) {
    let server = server(kind);
    let run = waiting_run(&server).await;
    let script = r#"tty >/dev/null && echo "$TERM at $(stty size)"
        while [ "$(stty size)" != "50 132" ]; do sleep 0.05; done; echo resized
        read word; echo "got <$word>"; exec sleep 600"#;
    let mut seat = Seat::take(&server, &run, &["--", "sh", "-c", script]);
    seat.shows("xterm-vm0 at 30 100");
    assert!(seat.is_raw(), "keys are passed on as they are");
    tcsetwinsize(&seat.terminal, size(50, 132)).expect("a terminal");
    seat.shows("resized");
    seat.type_in("hello\r");
    seat.shows("got <hello>");
    seat.type_in("\x03");
    assert_eq!(seat.child.wait(LIMIT).code(), Some(130));
    assert!(!seat.is_raw(), "the terminal is as it was");
    let mut killed = Seat::take(
        &server,
        &run,
        &["--", "sh", "-c", "echo here; exec sleep 600"],
    );
    killed.shows("here");
    assert!(killed.is_raw());
    killed.child.signal("TERM");
    assert_eq!(killed.child.wait(LIMIT).code(), Some(143));
    assert!(!killed.is_raw(), "the terminal is as it was");
    let unseen = exec(
        &server,
        &run,
        &["-t", "-i", "--", "sh", "-c", "stty size; cat"],
        b"eof\n",
    );
    assert_eq!(unseen.status.code(), Some(0));
    assert!(
        text(&unseen.stdout).contains("24 80\r\neof\r\n"),
        "{}",
        text(&unseen.stdout)
    );
}

/// Waits until the file `name` in the working directory of the run has this content.
fn wait_for_file(server: &Server, run: &str, name: &str, content: &str) {
    let start = Instant::now();
    loop {
        let output = exec(server, run, &["--", "cat", name], b"");
        if text(&output.stdout) == content {
            return;
        }
        assert!(start.elapsed() < LIMIT, "{name}: {output:?}");
    }
}

async fn signals_reach_the_command_and_the_loss_of_its_client_hangs_it_up(kind: &str) {
    let server = server(kind);
    let run = waiting_run(&server).await;
    let start = |script: &str| {
        let mut process = TestProcess::start(command(&server, &run, &["--", "sh", "-c", script]));
        assert_eq!(process.stdout_line(), "ready");
        process
    };
    let mut interrupted = start("echo ready; exec sleep 600");
    interrupted.signal("INT");
    assert_eq!(interrupted.wait(LIMIT).code(), Some(130));
    let mut stubborn = start("trap '' INT; echo ready; while :; do sleep 1; done");
    for _ in 0..3 {
        stubborn.signal("INT");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(stubborn.wait(LIMIT).code(), Some(130));
    let script = "trap 'echo bye > left; exit' HUP; echo ready; while :; do sleep 0.1; done";
    let mut killed = start(script);
    killed.kill();
    wait_for_file(&server, &run, "left", "bye\n");
    let ids = exec(&server, &run, &["--", "sh", "-c", "echo still here"], b"");
    assert_eq!(text(&ids.stdout), "still here\n");
}

async fn a_command_that_cannot_be_says_why(kind: &str) {
    let mut server = server(kind);
    let run = waiting_run(&server).await;
    let refused = |args: &[&str]| {
        let output = exec(&server, &run, args, b"");
        assert!(output.stdout.is_empty());
        (output.status.code(), text(&output.stderr).to_owned())
    };
    let (code, said) = refused(&["--", "no-such-program"]);
    assert_eq!(code, Some(127), "{said}");
    assert_eq!(
        said.trim_end(),
        "vm0: program 'no-such-program' is not in the sandbox"
    );
    let (code, said) = refused(&["-w", "/no/such", "--", "true"]);
    assert_eq!(code, Some(126), "{said}");
    assert_eq!(refused(&["-w", "tmp", "--", "true"]).0, Some(2));
    assert_eq!(refused(&["true"]).0, Some(2), "a command stands after --");
    let unknown = exec(
        &server,
        "019bc134-7840-7cba-a551-2100f80b56fc",
        &["--", "true"],
        b"",
    );
    assert_eq!(unknown.status.code(), Some(4));
    let over = server.api();
    let ended = over
        .run_to_end(&json!({ "agent": "waiter", "prompt": "true" }))
        .await;
    let ended = ended["id"].as_str().expect("an id");
    let late = exec(&server, ended, &["--", "true"], b"");
    let message = "Run is not running: current status is 'completed'";
    assert_eq!(late.status.code(), Some(1));
    assert!(
        text(&late.stderr).contains(message),
        "{}",
        text(&late.stderr)
    );
    let mut cut = TestProcess::start(command(
        &server,
        &run,
        &["--", "sh", "-c", "echo ready; sleep 600"],
    ));
    assert_eq!(cut.stdout_line(), "ready");
    server.crash();
    assert_eq!(cut.wait(LIMIT).code(), Some(8), "{}", cut.stderr());
    server.restart();
}

async fn a_command_ends_with_its_run(kind: &str) {
    let server = server(kind);
    let run = waiting_run(&server).await;
    let mut process = TestProcess::start(command(
        &server,
        &run,
        &["--", "sh", "-c", "echo ready; sleep 600"],
    ));
    assert_eq!(process.stdout_line(), "ready");
    let api = server.api();
    api.post(&format!("/v1/runs/{run}/cancel"), &json!({}))
        .await
        .expect(200);
    assert_eq!(process.wait(LIMIT).code(), Some(1), "{}", process.stderr());
    assert!(
        process.stderr().contains("The run has ended"),
        "{}",
        process.stderr()
    );
    vm0_testkit::host::assert_nothing_left(server.data_dir(), &run, LIMIT).await;
}

async fn a_runner_elsewhere_serves_commands_until_it_is_killed(kind: &str) {
    let server = options(kind).arg("--no-runner").start();
    let made = Command::new(server.binary())
        .args(["token", "create", "--runner", "elsewhere", "--data-dir"])
        .arg(server.data_dir())
        .output()
        .expect("vm0 runs");
    let directory = tempfile::tempdir().expect("a directory");
    let runner = || {
        let mut runner = Command::new(server.binary());
        runner
            .args([
                "runner",
                "--server",
                server.url(),
                "--sandbox",
                kind,
                "--data-dir",
            ])
            .arg(directory.path())
            .env("VM0_RUNNER_TOKEN", text(&made.stdout).trim());
        let mut runner = TestProcess::start(runner);
        assert!(
            runner.stdout_line().starts_with("connected to "),
            "{}",
            runner.stderr()
        );
        runner
    };
    let mut first = runner();
    let run = waiting_run(&server).await;
    let output = exec(&server, &run, &["-i", "--", "cat"], b"there and back");
    assert_eq!(text(&output.stdout), "there and back");
    let mut cut = TestProcess::start(command(
        &server,
        &run,
        &["--", "sh", "-c", "echo ready; sleep 600"],
    ));
    assert_eq!(cut.stdout_line(), "ready");
    first.kill();
    assert_eq!(cut.wait(LIMIT).code(), Some(1), "{}", cut.stderr());
    assert!(
        cut.stderr().contains("The sandbox is lost"),
        "{}",
        cut.stderr()
    );
    let mut second = runner();
    vm0_testkit::host::assert_nothing_left(directory.path(), &run, LIMIT).await;
    second.signal("TERM");
    second.wait(LIMIT);
}
