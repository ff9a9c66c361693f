//! All checks, printed.

use clap::Args;
use serde_json::json;

use super::check::{Check, Status};
use super::{client, data, host, images, sandbox};
use crate::context::Context;
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::output::Color;

/// Options of `vm0 doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vm0 doctor\n  vm0 doctor --json")]
pub(crate) struct DoctorArgs {}

/// Does it.
pub(crate) async fn execute(context: &Context, _args: DoctorArgs) -> CommandResult {
    let data_dir = context.data_dir()?;
    let mut checks = host::checks(&data_dir);
    checks.extend(sandbox::checks().await);
    checks.extend(data::checks(&data_dir));
    checks.extend(images::checks(&data_dir));
    checks.extend(client::checks(context).await);
    let ok = checks.iter().all(|check| check.status != Status::Fail);
    if context.output.is_json() {
        context
            .output
            .json(&json!({ "ok": ok, "checks": checks }))?;
    } else {
        print(context, &checks)?;
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn print(context: &Context, checks: &[Check]) -> std::io::Result<()> {
    let output = &context.output;
    let mut group = "";
    for check in checks {
        if check.group != group {
            group = check.group;
            output.line(group)?;
        }
        let sign = match check.status {
            Status::Ok => output.paint(Color::Green, "✓"),
            Status::Warn => output.paint(Color::Yellow, "!"),
            Status::Fail => output.paint(Color::Red, "✗"),
        };
        output.line(&format!("  {sign} {}: {}", check.name, check.detail))?;
        if let Some(fix) = &check.fix {
            output.line(&format!("      {fix}"))?;
        }
    }
    Ok(())
}
