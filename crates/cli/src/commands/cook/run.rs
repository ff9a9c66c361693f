//! The run of `cook`: its ids are remembered, and its files come back into the directory.

use vm0_model::run::RunStatus;
use vm0_model::wire::runs::RunDetail;

use super::inputs::{ARTIFACT, artifact_name};
use super::record::Record;
use super::step::step;
use crate::commands::run::{Form, RunOptions, Selector, Watched, run_create, watch};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::units::short;

/// What is run.
#[derive(Debug)]
pub(super) struct Cooked {
    pub(super) selector: Selector,
    pub(super) prompt: String,
    pub(super) options: RunOptions,
}

/// Runs it to its end.
pub(super) async fn run(
    context: &Context,
    interrupt: &mut Interrupt,
    record: &Record,
    cooked: Cooked,
) -> CommandResult {
    let Cooked {
        selector,
        prompt,
        options,
    } = cooked;
    let output = &context.output;
    let client = context.client()?;
    let run = run_create(&client, interrupt, &selector, prompt, &options).await?;
    remember(context, record, &run);
    if options.detach {
        if output.is_json() {
            output.json(&run)?;
        } else {
            output.line(&run.run.id.to_string())?;
        }
        return Ok(Exit::Done);
    }
    let form = Form::of(context, &options);
    let Watched { exit, run } = watch(context, &client, interrupt, run, form).await?;
    let Some(run) = run else {
        return Ok(exit);
    };
    remember(context, record, &run);
    if run.run.status == RunStatus::Completed {
        if pull(context, interrupt, &run).await? == Exit::Interrupted {
            return Ok(Exit::Interrupted);
        }
        output.note("Next:");
        output.note("  vm0 cook continue \"…\"");
    }
    Ok(exit)
}

fn remember(context: &Context, record: &Record, run: &RunDetail) {
    if let Err(error) = record.update(run) {
        context.output.warn(&format!(
            "The run is not remembered for cook continue: {error}"
        ));
    }
}

/// Brings the directory to the version that the run made. A failure is only a warning: the version
/// is on the server.
async fn pull(
    context: &Context,
    interrupt: &mut Interrupt,
    run: &RunDetail,
) -> Result<Exit, Failure> {
    let (Some(name), Some(version)) = (&run.artifact_name, &run.artifact_version) else {
        return Ok(Exit::Done);
    };
    if artifact_name()? != *name {
        return Ok(Exit::Done);
    }
    let pull = ["artifact", "pull", short(version)];
    let exit = step(context, interrupt, ARTIFACT, &pull).await?;
    if exit != Exit::Done {
        context.output.warn(&format!(
            "The files of the run are on the server only; get them: cd {ARTIFACT} && vm0 artifact \
             pull {}",
            short(version)
        ));
    }
    Ok(exit)
}
