//! `vm0 compose` (CLI 3.3).

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use vm0_model::config::{AgentConfig, Instructions, Problem, from_yaml};
use vm0_model::limits::CONFIG_MAX_BYTES;
use vm0_model::template::has_unknown_source;
use vm0_model::wire::agents::{AgentAction, AgentPut};

use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;

/// Options of `vm0 compose`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vm0 compose\n  vm0 compose agents/report.yaml -m \"Sums by region\"\n  \
                  vm0 compose --dry-run"
)]
pub(crate) struct ComposeArgs {
    /// Agent file
    #[arg(default_value = "vm0.yaml")]
    file: PathBuf,
    /// Approve new secrets that skills ask for
    #[arg(short, long)]
    yes: bool,
    /// Kept with the version
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Only validate, without a server
    #[arg(long)]
    dry_run: bool,
}

/// Does it.
pub(crate) async fn execute(context: &Context, args: ComposeArgs) -> CommandResult {
    let output = &context.output;
    let text = read(&args.file)?;
    let (config, agent) = match from_yaml(&text) {
        Ok(read) => read,
        Err(problems) => return refuse(context, &args, &problems),
    };
    let warnings = warnings(&config, &agent);
    if !(args.dry_run && output.is_json()) {
        warnings.iter().for_each(|warning| output.warn(warning));
    }
    if args.dry_run {
        if output.is_json() {
            output.json(&json!({ "valid": true, "warnings": warnings }))?;
        } else {
            output.success(&format!("Config validated: {}", agent.name))?;
        }
        return Ok(Exit::Done);
    }
    refuse_bundles(&agent)?;
    let put = AgentPut {
        config,
        message: args.message,
    };
    let detail = context.client()?.agent_put(&put).await?;
    if output.is_json() {
        output.json(&detail)?;
        return Ok(Exit::Done);
    }
    let name = &detail.agent.name;
    let version = detail
        .agent
        .current_version_id
        .map(|id| id.short())
        .unwrap_or_default();
    output.success(&match detail.action {
        Some(AgentAction::Existing) => format!("Compose version exists: {name}"),
        _ => format!("Compose created: {name}"),
    })?;
    output.line(&format!("  Version: {version}"))?;
    output.line(&format!(
        "  Run it:  vm0 run {name}:{version} \"your prompt\""
    ))?;
    Ok(Exit::Done)
}

fn read(path: &Path) -> Result<String, Failure> {
    let bad = |why: String| Failure::new(Exit::Failed, "config_file", why);
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => bad(format!("Config file not found: {}", path.display())),
        _ => bad(format!("Failed to read {}: {error}", path.display())),
    })?;
    if bytes.len() > CONFIG_MAX_BYTES {
        return Err(bad(format!(
            "{} is longer than {CONFIG_MAX_BYTES} bytes",
            path.display()
        )));
    }
    String::from_utf8(bytes).map_err(|_| bad(format!("{} is not UTF-8", path.display())))
}

/// Prints every problem as `FILE:LINE: PATH: TEXT`.
fn refuse(context: &Context, args: &ComposeArgs, problems: &[Problem]) -> CommandResult {
    let output = &context.output;
    if output.is_json() && args.dry_run {
        let one = |problem: &Problem| json!({ "path": problem.path, "line": problem.line, "message": problem.text });
        let problems: Vec<_> = problems.iter().map(one).collect();
        output.json(&json!({ "valid": false, "problems": problems }))?;
        return Ok(Exit::Failed);
    }
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| problem_line(&args.file, problem))
        .collect();
    Err(Failure::new(
        Exit::Failed,
        "invalid_config",
        lines.join("\n"),
    ))
}

fn problem_line(file: &Path, problem: &Problem) -> String {
    let file = file.display();
    match problem.line {
        Some(line) => format!("{file}:{line}: {problem}"),
        None => format!("{file}: {problem}"),
    }
}

fn warnings(config: &Value, agent: &AgentConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, value) in &agent.environment {
        if has_unknown_source(value) {
            warnings.push(format!(
                "environment.{name}: a '${{{{' that is neither vars nor secrets stays as it is"
            ));
        }
    }
    let written = config["agents"]
        .as_object()
        .into_iter()
        .flat_map(|agents| agents.values());
    if written
        .into_iter()
        .any(|agent| agent.get("experimental_runner").is_some())
    {
        warnings.push("experimental_runner has no effect".to_owned());
    }
    warnings
}

/// Files beside the configuration are not pushed by this release: said, not passed over.
fn refuse_bundles(agent: &AgentConfig) -> Result<(), Failure> {
    if agent.bundle.is_some() {
        return Ok(());
    }
    let refuse = |what: &str, hint: &str| {
        let message = format!("{what} are not supported by this release");
        Err(Failure::new(Exit::Failed, "unsupported", message).hint(hint))
    };
    if !agent.skills.is_empty() {
        return refuse(
            "Skills",
            "Put what they do into the instructions or the image",
        );
    }
    if let Some(Instructions::Path(path)) = &agent.instructions {
        let hint = format!("Write the text of {path} into vm0.yaml: instructions: |");
        return refuse("Instructions in a file of their own", &hint);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_names_its_line() {
        let text =
            "version: \"1.0\"\nagents:\n  demo:\n    framwork: shell\n    timeout_seconds: 0\n";
        let problems = from_yaml(text).unwrap_err();
        let lines: Vec<_> = problems
            .iter()
            .map(|p| problem_line(Path::new("vm0.yaml"), p))
            .collect();
        assert_eq!(
            lines,
            [
                "vm0.yaml:4: agents.demo.framwork: unknown key 'framwork'; did you mean 'framework'?",
                "vm0.yaml:5: agents.demo.timeout_seconds: must be between 1 and 86400",
            ]
        );
    }

    #[test]
    fn what_stays_as_written_is_warned_about() {
        let text = "version: \"1.0\"\nagents:\n  demo:\n    framework: shell\n    environment:\n      \
                    A: \"${{ env.X }}\"\n";
        let (config, agent) = from_yaml(text).unwrap();
        assert_eq!(warnings(&config, &agent).len(), 1);
    }
}
