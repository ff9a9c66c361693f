//! The command line of each framework.

use std::collections::BTreeMap;

use vm0_model::config::CustomCommand;
use vm0_model::framework::{
    CommandContext, CommandError, CommandLine, Stdin, command_line, custom_command_line, find,
};
use vm0_model::limits::PROMPT_ARG_MAX_BYTES;

fn line(
    framework: &str,
    prompt: &str,
    session_id: Option<&str>,
    env: &[(&str, &str)],
) -> CommandLine {
    let env: BTreeMap<_, _> = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let context = CommandContext {
        prompt,
        prompt_file: "/vm0/prompt",
        session_id,
        working_dir: "/w",
        env: &env,
    };
    command_line(find(framework).expect("a known framework"), &context)
}

fn text(line: &CommandLine) -> String {
    line.argv.join(" ")
}

#[test]
fn a_new_conversation_has_the_prompt_as_its_last_argument() {
    for (framework, expected) in [
        (
            "claude-code",
            "claude --print --verbose --output-format stream-json --dangerously-skip-permissions -- hi",
        ),
        (
            "codex",
            "codex exec --json --dangerously-bypass-approvals-and-sandbox --skip-git-repo-check -C /w -- hi",
        ),
        (
            "gemini-cli",
            "gemini --output-format stream-json --yolo --skip-trust --prompt=hi",
        ),
        ("shell", "/vm0/agent shell"),
    ] {
        let line = line(framework, "hi", None, &[]);
        assert_eq!(text(&line), expected);
        assert_eq!(line.stdin, Stdin::Null, "{framework}");
    }
}

#[test]
fn a_long_prompt_is_on_stdin() {
    let prompt = "x".repeat(PROMPT_ARG_MAX_BYTES);
    for (framework, end) in [
        ("claude-code", "--resume S"),
        ("codex", "resume S -"),
        ("gemini-cli", "--skip-trust --resume S"),
        ("opencode", "opencode run --format json --auto --session S"),
    ] {
        let line = line(framework, &prompt, Some("S"), &[]);
        assert!(text(&line).ends_with(end), "{framework}");
        assert_eq!(line.stdin, Stdin::PromptFile, "{framework}");
    }
    assert_eq!(line("shell", &prompt, None, &[]).stdin, Stdin::Null);
    assert_eq!(line("opencode", "hi", None, &[]).stdin, Stdin::PromptFile);
}

#[test]
fn codex_takes_model_and_base_url_from_its_environment() {
    let env = [("OPENAI_MODEL", "gpt"), ("OPENAI_BASE_URL", "http://m/v1")];
    let line = line("codex", "--help {session_id}", Some("S"), &env);
    assert!(text(&line).ends_with(
        "-C /w -m gpt -c openai_base_url=\"http://m/v1\" resume S -- --help {session_id}"
    ));
}

fn custom(command: &[&str], prompt: &str) -> Result<CommandLine, CommandError> {
    let command: Vec<_> = command.iter().map(|&arg| arg.to_owned()).collect();
    let custom = CustomCommand {
        resume_command: command.clone(),
        command,
        history: Vec::new(),
    };
    let env = BTreeMap::new();
    let context = CommandContext {
        prompt,
        prompt_file: "/vm0/prompt",
        session_id: None,
        working_dir: "/w",
        env: &env,
    };
    custom_command_line(&custom, &context)
}

#[test]
fn only_the_exact_names_are_replaced_and_only_once() {
    let command = [
        "a",
        "--x={prompt}!",
        "{session_id}",
        "{working_dir}/{prompt_file}",
        "{env}{ {{x",
    ];
    let line = custom(&command, "{working_dir}").unwrap();
    assert_eq!(
        line.argv,
        [
            "a",
            "--x={working_dir}!",
            "",
            "/w//vm0/prompt",
            "{env}{ {{x"
        ]
    );
}

#[test]
fn a_custom_command_without_prompt_file_refuses_a_long_prompt() {
    let prompt = "x".repeat(PROMPT_ARG_MAX_BYTES);
    assert_eq!(
        custom(&["a", "{prompt}"], &prompt),
        Err(CommandError::PromptTooLong)
    );
    assert!(custom(&["a", "{prompt_file}"], &prompt).is_ok());
}
