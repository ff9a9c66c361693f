//! The simulated `/vm0/agent shell`: the same events, the script simulated.

use serde_json::{Value, json};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::command::Program;

const PIPE: usize = 1 << 20;
const SAYS: &str = "Running the prompt as a bash script.";

/// Runs the prompt of the environment; its exit code.
pub(super) async fn run(program: &mut Program) -> i32 {
    let Some(prompt) = prompt(program) else {
        let _ = program.stderr.write_all(b"vm0 agent: no prompt\n").await;
        return 1;
    };
    if let Some(message) = prompt.strip_prefix("@fail:") {
        let _ = program
            .stderr
            .write_all(format!("{}\n", message.trim()).as_bytes())
            .await;
        return 1;
    }
    let started = Instant::now();
    let resumed = program
        .env
        .get("VM0_RESUME_SESSION_ID")
        .filter(|id| !id.is_empty());
    let session = resumed.cloned().unwrap_or_else(random_uuid);
    let tool = format!("toolu_{}", random_hex());
    for event in opening(&session, &program.cwd, &tool, &prompt) {
        emit(program, &event).await;
    }
    let (code, lines) = script(program, &prompt).await;
    let (mut output, mut errors) = (String::new(), String::new());
    for (stream, line) in lines {
        output.push_str(&format!("{line}\n"));
        if stream == "stderr" {
            errors.push_str(&format!("{line}\n"));
        }
        let event =
            json!({"type": "output", "session_id": session, "stream": stream, "text": line});
        emit(program, &event).await;
    }
    let path = format!("{}/.vm0/sessions/{session}.jsonl", crate::HOME);
    let turn = json!({"timestamp": "1970-01-01T00:00:00.000Z", "prompt": prompt, "output": output,
        "exit_code": code});
    let _ = program
        .tree
        .write(&path, format!("{turn}\n").as_bytes(), true);
    for event in closing(&session, &tool, &output, code, started.elapsed()) {
        emit(program, &event).await;
    }
    if code != 0 {
        let _ = program.stderr.write_all(errors.as_bytes()).await;
    }
    code
}

fn opening(session: &str, cwd: &str, tool: &str, prompt: &str) -> [Value; 3] {
    let said = |content: Value| {
        json!({"type": "assistant", "session_id": session, "message": {
            "id": format!("msg_{}", random_hex()), "type": "message", "role": "assistant",
            "model": "shell", "content": [content]}})
    };
    [
        json!({"type": "system", "subtype": "init", "session_id": session, "cwd": cwd,
            "model": "shell", "tools": ["Bash"]}),
        said(json!({"type": "text", "text": SAYS})),
        said(json!({"type": "tool_use", "id": tool, "name": "Bash", "input": {"command": prompt}})),
    ]
}

fn closing(session: &str, tool: &str, output: &str, code: i32, took: Duration) -> [Value; 2] {
    let failed = code != 0;
    let subtype = if failed {
        "error_during_execution"
    } else {
        "success"
    };
    [
        json!({"type": "user", "session_id": session, "message": {"role": "user", "content": [{
            "type": "tool_result", "tool_use_id": tool, "content": output, "is_error": failed}]}}),
        json!({"type": "result", "subtype": subtype, "session_id": session, "is_error": failed,
            "duration_ms": took.as_millis() as u64, "num_turns": 1,
            "result": output.trim_end_matches('\n'), "total_cost_usd": 0,
            "usage": {"input_tokens": 0, "output_tokens": 0}}),
    ]
}

fn prompt(program: &Program) -> Option<String> {
    match program.env.get("VM0_PROMPT_FILE") {
        Some(path) => String::from_utf8(program.tree.read(path).ok()?).ok(),
        None => program.env.get("VM0_PROMPT").cloned(),
    }
}

/// Runs the script with its output collected; stdout before stderr.
async fn script(program: &mut Program, text: &str) -> (i32, Vec<(&'static str, String)>) {
    let (out, mut read_out) = tokio::io::duplex(PIPE);
    let (err, mut read_err) = tokio::io::duplex(PIPE);
    let mut inner = Program {
        tree: program.tree.clone(),
        env: program.env.clone(),
        cwd: program.cwd.clone(),
        stdin: Box::pin(tokio::io::empty()),
        stdout: Box::pin(out),
        stderr: Box::pin(err),
        terminal: None,
    };
    let run = async move {
        let code =
            Box::pin(inner.run_script(text)) as Pin<Box<dyn Future<Output = i32> + Send + '_>>;
        let code = code.await;
        drop(inner);
        code
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (code, _, _) = tokio::join!(
        run,
        read_out.read_to_end(&mut stdout),
        read_err.read_to_end(&mut stderr)
    );
    let lines = |stream, bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines()
            .map(|line| (stream, line.to_owned()))
            .collect::<Vec<_>>()
    };
    (
        code,
        [lines("stdout", &stdout), lines("stderr", &stderr)].concat(),
    )
}

async fn emit(program: &mut Program, event: &Value) {
    let _ = program
        .stdout
        .write_all(format!("{event}\n").as_bytes())
        .await;
}

fn random_hex() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}

fn random_uuid() -> String {
    let hex = random_hex();
    format!(
        "{}-{}-4{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}
