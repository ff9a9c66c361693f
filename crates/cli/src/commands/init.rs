//! `vm0 init` (CLI 3.2): a `vm0.yaml` to begin with, and the text of its agent's instructions.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;
use vm0_model::framework;
use vm0_model::name::is_agent_name;

use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::interrupt::interrupted;

const CONFIG: &str = "vm0.yaml";
const INSTRUCTIONS: &str = "AGENTS.md";
/// The name that is proposed where the directory's is none.
const FALLBACK_NAME: &str = "my-agent";
const NAME_MAX_CHARS: usize = 64;

/// Options of `vm0 init`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vm0 init\n  vm0 init -n report-writer\n  \
                        vm0 init -n smoke-test --framework shell")]
pub(crate) struct InitArgs {
    /// Name of the agent [default: asked for]
    #[arg(short, long)]
    name: Option<String>,
    /// Program that is the agent
    #[arg(
        long,
        default_value = "claude-code",
        value_parser = PossibleValuesParser::new(framework::all().iter().map(|spec| spec.name.as_str())),
    )]
    framework: String,
    /// Overwrite files that are there
    #[arg(short, long)]
    force: bool,
}

/// Does it.
pub(crate) async fn execute(context: &Context, args: InitArgs) -> CommandResult {
    let output = &context.output;
    let dir = std::env::current_dir().map_err(|error| Failure::of("directory", &error))?;
    let files = [CONFIG, INSTRUCTIONS];
    if !args.force {
        refuse_existing(&files.map(|name| dir.join(name)))?;
    }
    let name = match args.name {
        Some(name) => name,
        None => ask(context, &dir).await?,
    };
    if !is_agent_name(&name) {
        let message = format!("Invalid agent name: '{name}'");
        return Err(Failure::usage(message)
            .hint("Use 3-64 letters, digits or '-', beginning and ending with a letter or digit"));
    }
    let name = name.to_ascii_lowercase();
    let schema = named_server(context)?.map(|url| format!("{url}/schema/vm0.yaml.json"));
    let texts = [
        config_text(&name, &args.framework, schema.as_deref()),
        instructions_text(&name),
    ];
    for (file, text) in files.iter().zip(&texts) {
        write(&dir.join(file), text, args.force)?;
    }
    if output.is_json() {
        output.json(&json!({ "ok": true, "name": name, "files": files }))?;
        return Ok(Exit::Done);
    }
    for file in files {
        output.success(&format!("Created {file}"))?;
    }
    output.note("Next:");
    output.note("  vm0 compose");
    output.note(&format!(
        "  vm0 run {name} \"{}\"",
        example_prompt(&args.framework)
    ));
    output.note(&format!(
        "  vm0 cook \"{}\"",
        example_prompt(&args.framework)
    ));
    Ok(Exit::Done)
}

/// The server, if the user has named one. The address that is only a default says nothing of where
/// the file will be edited, and an editor would complain of it.
fn named_server(context: &Context) -> Result<Option<String>, Failure> {
    let connection = context.connection()?;
    Ok(connection.named.then(|| connection.server.to_string()))
}

fn refuse_existing(paths: &[std::path::PathBuf]) -> Result<(), Failure> {
    let there = paths.iter().filter(|path| path.symlink_metadata().is_ok());
    let names: Vec<_> = there
        .filter_map(|path| path.file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let message = format!("Already here: {}", names.join(", "));
    let failure = Failure::new(Exit::Failed, "already_initialised", message);
    Err(failure.hint("Overwrite: vm0 init -f"))
}

async fn ask(context: &Context, dir: &Path) -> Result<String, Failure> {
    let proposed = proposed_name(dir);
    if !context.output.can_ask() {
        let failure = Failure::usage("The agent has no name");
        return Err(failure.hint(format!("Name it: vm0 init --name {proposed}")));
    }
    let asked = tokio::task::spawn_blocking(move || -> io::Result<String> {
        let mut stderr = io::stderr();
        write!(stderr, "Name of the agent [{proposed}]: ")?;
        stderr.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        let answer = answer.trim();
        Ok(if answer.is_empty() { &proposed } else { answer }.to_owned())
    });
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {
            Err(interrupted())
        }
        answer = asked => Ok(answer.expect("asking does not panic")?),
    }
}

/// The directory's name, made one of an agent.
fn proposed_name(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let dashed: String = name.to_lowercase().chars().map(letter).collect();
    let parts: Vec<_> = dashed.split('-').filter(|part| !part.is_empty()).collect();
    let mut name = parts.join("-");
    name.truncate(NAME_MAX_CHARS);
    let name = name.trim_end_matches('-');
    if is_agent_name(name) {
        name.to_owned()
    } else {
        FALLBACK_NAME.to_owned()
    }
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let bad = |error: io::Error| {
        let message = format!("Failed to write {}: {error}", path.display());
        Failure::new(Exit::Failed, "file", message)
    };
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut file = options.open(path).map_err(bad)?;
    file.write_all(text.as_bytes()).map_err(bad)
}

/// What is put in place of the template's names. Lines with `#` directly before their text are
/// settings that are switched off.
fn config_text(name: &str, framework: &str, schema: Option<&str>) -> String {
    let schema = schema.map_or_else(String::new, |url| {
        format!("# yaml-language-server: $schema={url}\n")
    });
    let names: Vec<_> = framework::all()
        .iter()
        .map(|spec| spec.name.as_str())
        .collect();
    include_str!("init/vm0.yaml")
        .replace("{schema}", &schema)
        .replace("{name}", name)
        .replace("{framework}", framework)
        .replace("{frameworks}", &names.join(", "))
        .replace("{command}\n", command_lines(framework))
        .replace("{environment}\n", &environment_lines(framework))
}

fn command_lines(framework: &str) -> &'static str {
    if framework == "custom" {
        "\n    # The program, from the image or the artifact; no shell is involved.\n    \
         command: [\"python3\", \"agent.py\", \"{prompt}\"]\n"
    } else {
        ""
    }
}

/// The secret with which a framework reaches its model.
fn model_secret(framework: &str) -> Option<&'static str> {
    match framework {
        "claude-code" | "opencode" => Some("ANTHROPIC_API_KEY"),
        "codex" => Some("OPENAI_API_KEY"),
        "gemini-cli" => Some("GEMINI_API_KEY"),
        _ => None,
    }
}

fn environment_lines(framework: &str) -> String {
    match model_secret(framework) {
        Some(secret) => format!(
            "    # Store the key once: vm0 secret set {secret}\n    environment:\n      \
             {secret}: \"${{{{ secrets.{secret} }}}}\"\n      \
             #REGION: \"${{{{ vars.REGION }}}}\"\n"
        ),
        None => "    #environment:\n    #  REGION: \"${{ vars.REGION }}\"\n".to_owned(),
    }
}

fn instructions_text(name: &str) -> String {
    include_str!("init/AGENTS.md").replace("{name}", name)
}

/// A prompt that the framework can do at once.
fn example_prompt(framework: &str) -> &'static str {
    if framework == "shell" {
        "echo hello > hello.txt"
    } else {
        "Write a short poem to poem.txt"
    }
}

#[cfg(test)]
mod tests {
    use vm0_model::config::from_yaml;

    use super::*;

    /// The text with every setting that is switched off switched on.
    fn all_on(text: &str) -> String {
        let on = |line: &str| {
            let bare = line.trim_start();
            match bare.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') || rest.starts_with("  ") => {
                    format!("{}{rest}\n", &line[..line.len() - bare.len()])
                }
                _ => format!("{line}\n"),
            }
        };
        text.lines().map(on).collect()
    }

    #[test]
    fn what_is_written_is_valid_with_and_without_what_is_switched_off() {
        for spec in framework::all() {
            let text = config_text("demo", &spec.name, Some("https://x.example/schema"));
            let (_, agent) = from_yaml(&text).unwrap();
            assert_eq!(agent.framework.name, spec.name);
            let on = all_on(&text);
            let read = from_yaml(&on);
            let (_, agent) = read.unwrap_or_else(|problems| panic!("{problems:#?}\n{on}"));
            assert!(!agent.skills.is_empty() && !agent.mounts.is_empty(), "{on}");
            assert!(agent.timeout_seconds.is_some() && !agent.network.rules.is_empty());
            assert!(
                agent.environment.iter().any(|(name, _)| name == "REGION"),
                "{on}"
            );
        }
    }

    #[test]
    fn the_line_for_editors_is_there_only_with_a_schema() {
        let line = "# yaml-language-server: $schema=";
        assert!(config_text("demo", "shell", Some("u")).starts_with(&format!("{line}u\n")));
        assert!(!config_text("demo", "shell", None).contains(line));
    }

    #[test]
    fn a_name_is_made_of_that_of_the_directory() {
        let name = |dir: &str| proposed_name(Path::new(dir));
        assert_eq!(name("/x/Report Writer_2"), "report-writer-2");
        assert_eq!(name("/x/--a.b--"), "a-b");
        for none in ["/", "/x/é", "/x/ab"] {
            assert_eq!(name(none), FALLBACK_NAME);
        }
        assert!(is_agent_name(&name(&"a-".repeat(60))));
    }
}
