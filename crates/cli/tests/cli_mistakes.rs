//! Ten mistakes of somebody new: each gets one clear line and the next step.

use std::fs;
use std::path::Path;
use std::process::Command;

use vm0_testkit::{Server, ServerOptions};

const AGENT: &str = r#"{"version":"1.0","agents":{"demo":{"framework":"shell",
    "volumes":["books:/home/user/books"]}},"volumes":{"books":{"name":"books"}}}"#;

struct World {
    server: Server,
    directory: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let server = ServerOptions::new(env!("CARGO_BIN_EXE_vm0"), "fake")
            .arg("--no-runner")
            .start();
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { server, directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("below the directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    fn command(&self, directory: &str, args: &[&str]) -> Command {
        let mut command = self.server.client(self.path(), args);
        command.current_dir(self.path().join(directory));
        command
    }

    fn ok(&self, directory: &str, args: &[&str]) {
        let output = self.command(directory, args).output().expect("vm0 runs");
        assert!(output.status.success(), "{args:?}: {output:?}");
    }

    /// The exit code and what is said; the address of the server and the directory left out.
    fn mistake(&self, mut command: Command) -> (Option<i32>, String) {
        let output = command.output().expect("vm0 runs");
        let text = String::from_utf8(output.stderr).expect("messages are text");
        let text = text
            .replace(self.server.url(), "URL")
            .replace(&self.path().display().to_string(), "DIR");
        (output.status.code(), text)
    }

    fn refused(&self, args: &[&str], code: i32, expected: &str) {
        let said = self.mistake(self.command("", args));
        assert_eq!(said, (Some(code), expected.to_owned()), "{args:?}");
    }
}

#[test]
fn in_the_wrong_directory() {
    World::start().refused(
        &["compose"],
        1,
        "✗ Config file not found: vm0.yaml\n  Make one: vm0 init\n",
    );
}

#[test]
fn without_a_token() {
    let world = World::start();
    let mut command = world.command("", &["run", "list"]);
    command.env_remove("VM0_TOKEN");
    let expected = "✗ Not authenticated\n  Sign in: vm0 auth login\n";
    assert_eq!(world.mistake(command), (Some(3), expected.to_owned()));
}

#[test]
fn with_a_token_that_is_not_valid_any_more() {
    let world = World::start();
    let mut command = world.command("", &["run", "list"]);
    command.env("VM0_TOKEN", format!("vm0_live_{}", "0".repeat(64)));
    let expected = "✗ The server refused the token of VM0_TOKEN\n  Sign in: vm0 auth login\n";
    assert_eq!(world.mistake(command), (Some(3), expected.to_owned()));
}

#[test]
fn with_no_server_there() {
    let mut world = World::start();
    world.server.stop();
    let mut command = world.command("", &["run", "list"]);
    command.env("VM0_LOG_LEVEL", "error");
    let (code, said) = world.mistake(command);
    assert_eq!(code, Some(8));
    assert!(
        said.starts_with("✗ Failed to reach the server at URL: Connection refused"),
        "{said}"
    );
    let hint = "  Start one: vm0 serve, or set VM0_API_URL\n";
    assert!(said.ends_with(hint) && said.lines().count() == 2, "{said}");
}

#[test]
fn a_misspelt_key_and_a_number_for_a_string() {
    let world = World::start();
    let text = "version: 1.0\nagents:\n  demo:\n    framwork: shell\n";
    world.write("vm0.yaml", text);
    world.refused(
        &["compose"],
        1,
        "✗ vm0.yaml:1:1: version: must be a string; write version: \"1.0\"\n\
         ✗ vm0.yaml:4:5: agents.demo.framwork: unknown key 'framwork'; did you mean 'framework'?\n  \
         Check again: vm0 compose vm0.yaml --dry-run\n",
    );
}

#[test]
fn an_agent_that_is_not_there() {
    World::start().refused(
        &["run", "demo", "hello"],
        4,
        "✗ No such agent: 'demo'\n  Create it: vm0 compose vm0.yaml\n",
    );
}

#[test]
fn a_volume_that_was_never_pushed() {
    let world = World::start();
    world.write("vm0.yaml", AGENT);
    world.ok("", &["compose"]);
    let (code, said) = world.mistake(world.command("", &["run", "demo", "hello"]));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("'books'") && said.ends_with("  Push it: vm0 volume push\n"),
        "{said}"
    );
}

#[test]
fn a_directory_that_is_a_volume() {
    let world = World::start();
    world.write("in/a.txt", "hello");
    world.ok("in", &["volume", "init", "-n", "books"]);
    let said = world.mistake(world.command("in", &["artifact", "push"]));
    let expected = "✗ DIR/in is a volume, not an artifact\n  Use: vm0 volume push\n";
    assert_eq!(said, (Some(1), expected.to_owned()));
}

#[test]
fn no_space_for_what_is_fetched() {
    let world = World::start();
    world.write("in/a.txt", &"hello ".repeat(100_000));
    world.ok("in", &["volume", "init", "-n", "books"]);
    world.ok("in", &["volume", "push"]);
    let small = world.path().join("small");
    fs::create_dir(&small).expect("a directory");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(&small)
        .status()
        .expect("mount runs");
    assert!(mounted.success(), "this test makes a mount: run it as root");
    let said = world.mistake(world.command("small", &["volume", "clone", "books", "copy"]));
    let left = fs::read_dir(&small).expect("it is there").count();
    let unmounted = Command::new("umount")
        .arg(&small)
        .status()
        .expect("umount runs");
    assert!(unmounted.success());
    let (code, text) = said;
    assert_eq!((code, left), (Some(1), 0), "{text}");
    assert!(text.contains("No space left on device"), "{text}");
    assert!(text.lines().count() <= 2, "{text}");
}
