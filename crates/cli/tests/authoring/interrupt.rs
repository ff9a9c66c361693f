//! Ctrl-C while `vm0 compose`, `vm0 cook` and `vm0 run` wait for an answer that does not come.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};
use vm0_testkit::{Server, TestProcess};

use crate::harness::{Project, server};

const LIMIT: Duration = Duration::from_secs(60);
const AGENT: &str = "version: \"1.0\"\nagents:\n  writer:\n    framework: shell\n    \
                     instructions: AGENTS.md\n    volumes: [\"books:/books\"]\n\
                     volumes:\n  books: { name: books }\n";

/// What stands before a server and lets requests through but for one, which is never answered.
struct Gate {
    url: String,
    held: Receiver<()>,
}

impl Gate {
    /// Holds the first request whose head begins like this.
    fn before(server: &Server, request: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let behind = server.url().trim_start_matches("http://").to_owned();
        let (held, receiver) = channel();
        let request = request.to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(&behind).expect("the server is there");
                let (request, held) = (request.clone(), held.clone());
                std::thread::spawn(move || pass(client, server, &request, &held));
            }
        });
        Self {
            url,
            held: receiver,
        }
    }
}

fn pass(mut client: TcpStream, mut server: TcpStream, request: &str, held: &Sender<()>) {
    let mut answers = server.try_clone().expect("a stream");
    let mut back = client.try_clone().expect("a stream");
    std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        if bytes[..count].starts_with(request.as_bytes()) {
            let _nobody_waits = held.send(());
            let _closed = client.read(&mut bytes);
            break;
        }
        if server.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _closed = server.shutdown(Shutdown::Both);
}

fn project(server: &Server) -> Project {
    let project = Project::on(server);
    project.write("vm0.yaml", AGENT);
    project.write("AGENTS.md", "Write.\n");
    project.write("books/a.txt", "a\n");
    project
}

/// Runs a command until this request is held, presses Ctrl-C and gives what it said.
fn interrupt(server: &Server, project: &Project, args: &[&str], request: &str) -> String {
    let gate = Gate::before(server, request);
    let temporary = project.beside().join("temporary");
    fs::create_dir_all(&temporary).expect("a directory");
    let mut command = project.command(args);
    command
        .env("VM0_API_URL", &gate.url)
        .env("TMPDIR", &temporary);
    let mut vm0 = TestProcess::start(command);
    gate.held
        .recv_timeout(LIMIT)
        .unwrap_or_else(|_| panic!("{request}: {}", vm0.stderr()));
    vm0.signal("INT");
    let status = vm0.wait(LIMIT);
    let said = vm0.stderr_rest();
    assert_eq!(status.code(), Some(130), "{request}: {said}");
    let left = fs::read_dir(&temporary).expect("a directory").count();
    assert_eq!(left, 0, "{request}: a temporary directory is left");
    said
}

fn count(project: &Project, args: &[&str]) -> usize {
    let list = project.json(args);
    list["data"].as_array().expect("a list").len()
}

#[test]
fn an_interrupted_compose_has_made_no_agent() {
    let server = server();
    for (request, hint) in [
        ("GET /v1/volumes", ""),
        ("POST /v1/volumes/", ""),
        (
            "POST /v1/agents",
            "  It may be on the server: vm0 agent status writer\n",
        ),
    ] {
        let project = project(&server);
        let said = interrupt(&server, &project, &["compose"], request);
        let end = format!("✗ Interrupted\n{hint}");
        assert!(said.ends_with(&end), "{request}: {said}");
        assert_eq!(project.json(&["agent", "list"]), json!({ "data": [] }));
    }
    project(&server).ok(&["compose"]);
}

#[test]
fn an_interrupted_cook_has_made_nothing_by_half_and_no_run() {
    let server = server();
    for (request, agents) in [
        ("GET /v1/volumes", 0),
        ("POST /v1/volumes/", 0),
        ("POST /v1/artifacts", 0),
        ("POST /v1/agents", 0),
        ("POST /v1/runs", 1),
    ] {
        let project = project(&server);
        let said = interrupt(&server, &project, &["cook", "Go on"], request);
        let lines = said.lines().filter(|line| *line == "✗ Interrupted").count();
        assert_eq!(lines, 1, "{request}: {said}");
        assert_eq!(count(&project, &["agent", "list"]), agents, "{request}");
        assert_eq!(count(&project, &["run", "list", "--all"]), 0, "{request}");
        let storages = project.json(&["volume", "list"]);
        let storages = storages["data"].as_array().expect("a list").clone();
        let half = |it: &&Value| it["current_version_id"].is_null() && it["file_count"] != 0;
        assert_eq!(storages.iter().filter(half).count(), 0, "{storages:?}");
        if request == "POST /v1/runs" {
            assert!(
                said.contains("  If the run was made, it goes on: vm0 run list"),
                "{said}"
            );
        }
    }
}

#[test]
fn a_run_goes_on_without_the_cook_that_made_it() {
    let server = server();
    for args in [&["cook", "Go on"][..], &["run", "writer", "Go on"]] {
        let project = project(&server);
        let said = interrupt(&server, &project, args, "GET /v1/runs/");
        let runs = project.json(&["run", "list", "--all"]);
        let run = runs["data"][0]["id"].as_str().expect("an id").to_owned();
        let expected = format!(
            "Detached; the run goes on.\n  vm0 logs {run} --follow\n  vm0 run kill {run}\n"
        );
        assert!(said.ends_with(&expected), "{said}");
        assert_eq!(project.json(&["run", "show", &run])["status"], "pending");
        project.ok(&["run", "kill", &run]);
    }
}
