//! A child process that does not outlive its test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running child whose standard error is collected; killed when dropped.
#[derive(Debug)]
pub struct TestProcess {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: Arc<Mutex<String>>,
    collector: Option<JoinHandle<()>>,
}

impl TestProcess {
    /// Starts `command` with its output captured.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program under test starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let pipe = child.stderr.take().expect("stderr is piped");
        let stderr = Arc::new(Mutex::new(String::new()));
        let collected = Arc::clone(&stderr);
        let collector = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut text = collected.lock().expect("no reader panics");
                text.push_str(&line);
                text.push('\n');
            }
        });
        Self {
            child,
            stdout,
            stderr,
            collector: Some(collector),
        }
    }

    /// The next line of standard output, without its end; empty at the end of the output.
    pub fn stdout_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout
            .read_line(&mut line)
            .expect("the output is readable");
        line.trim_end().to_owned()
    }

    /// All that is left of standard output; waits for its end.
    pub fn stdout_rest(&mut self) -> String {
        let mut rest = String::new();
        self.stdout
            .read_to_string(&mut rest)
            .expect("the output is text");
        rest
    }

    /// What was written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr
            .lock()
            .expect("the collector does not panic")
            .clone()
    }

    /// All of standard error; waits for its end.
    pub fn stderr_rest(&mut self) -> String {
        if let Some(collector) = self.collector.take() {
            collector.join().expect("the collector does not panic");
        }
        self.stderr()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(
            status.expect("kill runs").success(),
            "the process is there to be signalled"
        );
    }

    /// Kills it at once, as a crash would, and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// After `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .expect("the child is ours to wait for")
            {
                return status;
            }
            assert!(
                start.elapsed() < limit,
                "still running; stderr: {}",
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for TestProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
