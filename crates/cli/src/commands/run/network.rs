//! `vm0 run network`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;
use vm0_model::config::yaml_value;
use vm0_model::limits::CONFIG_MAX_BYTES;
use vm0_model::wire::network::NetworkSection;

use super::command::NetworkArgs;
use super::outcome::parse_run_id;
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::output::Output;

pub(super) async fn execute(context: &Context, args: NetworkArgs) -> CommandResult {
    let output = &context.output;
    let run = parse_run_id(&args.run)?;
    let client = context.client()?;
    let Some(path) = &args.file else {
        let network = client.run_network_view(run).await?;
        if output.is_json() {
            output.json(&network)?;
        } else {
            print(output, &network)?;
        }
        return Ok(Exit::Done);
    };
    let section = read_section(path, output)?;
    let network = client.run_network_put(run, &section).await?;
    if output.is_json() {
        output.json(&network)?;
    } else {
        output.success(&format!("Network policy of run {run} changed"))?;
    }
    Ok(Exit::Done)
}

/// The policy as YAML that `--file` reads back.
fn print(output: &Output, network: &NetworkSection) -> io::Result<()> {
    output.line(&format!("mode: {}", network.mode.as_str()))?;
    output.line(&format!("inspect: {}", network.inspect))?;
    if network.rules.is_empty() {
        return output.line("rules: []");
    }
    output.line("rules:")?;
    for rule in &network.rules {
        // A map in JSON is one in YAML.
        let rule = serde_json::to_string(rule).map_err(io::Error::other)?;
        output.line(&format!("  - {rule}"))?;
    }
    Ok(())
}

/// The section `network` of vm0.yaml, with or without its key.
fn read_section(path: &Path, output: &Output) -> Result<Value, Failure> {
    let bad = |why: String| Failure::new(Exit::Failed, "network_file", why);
    let shown = path.display();
    let mut bytes = Vec::new();
    let most = CONFIG_MAX_BYTES as u64 + 1;
    let read = if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| bad(format!("Failed to read {shown}: {error}")))?;
    if bytes.len() > CONFIG_MAX_BYTES {
        let why = format!("{shown} is longer than {CONFIG_MAX_BYTES} bytes");
        return Err(bad(why));
    }
    let text = String::from_utf8(bytes).map_err(|_| bad(format!("{shown} is not UTF-8")))?;
    let value = yaml_value(&text).map_err(|problems| {
        let mut lines: Vec<_> = problems
            .iter()
            .map(|p| p.in_file(shown.to_string()))
            .collect();
        let last = lines.pop().unwrap_or_default();
        for line in lines {
            output.error(&line, &[]);
        }
        bad(last)
    })?;
    Ok(match value {
        Value::Object(mut map) if map.len() == 1 && map.contains_key("network") => {
            map.remove("network").unwrap_or_default()
        }
        value => value,
    })
}
