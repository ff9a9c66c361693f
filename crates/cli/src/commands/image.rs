//! `vm0 image` (CLI 2.5).

use std::fs::File;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use vm0_model::time::Timestamp;
use vm0_runner::images::{self, Image, ImageError, ImageName, ImageStore};

use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::table::Table;
use crate::units;

/// Shown digits of a digest, with its `sha256:`.
const DIGEST_CHARS: usize = 19;

/// What to do with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Store an OCI or docker archive, or a root file system
    #[command(
        after_help = "Examples:\n  vm0 image import image.tar --as team/tools\n  \
                      docker save tools | vm0 image import - --as team/tools"
    )]
    Import(ImportArgs),
    /// Make the image of a framework: a Debian root with its program
    #[command(
        after_help = "Examples:\n  vm0 image build claude-code\n  vm0 image build codex --as team/codex"
    )]
    Build(BuildArgs),
    /// All images
    #[command(visible_alias = "ls", after_help = "Examples:\n  vm0 image list")]
    List,
    /// Remove images
    #[command(after_help = "Examples:\n  vm0 image rm team/tools -f")]
    Rm(RmArgs),
}

/// Options of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Archive: tar, tar.gz or tar.zst; - reads stdin
    file: PathBuf,
    /// Name of the image
    #[arg(long = "as", value_name = "NAME")]
    name: ImageName,
}

/// Options of `build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Framework: claude-code, codex, gemini-cli, opencode
    framework: String,
    /// Version of its program; default: the newest
    #[arg(long, value_name = "V")]
    version: Option<String>,
    /// Name of the image [default: vm0/FRAMEWORK]
    #[arg(long = "as", value_name = "NAME")]
    name: Option<ImageName>,
}

/// Options of `rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Names of the images
    #[arg(required = true)]
    names: Vec<ImageName>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        let failure = Self::of("image", &error);
        match error {
            ImageError::NotFound(_) => failure.with_exit(Exit::NotFound),
            _ => failure,
        }
    }
}

/// Does it.
pub(crate) async fn execute(context: &Context, command: ImageCommand) -> CommandResult {
    let store = images::open(&context.data_dir()?.join("runner"))?;
    match command {
        ImageCommand::List => list(context, &store),
        ImageCommand::Rm(args) => remove(context, &store, &args),
        ImageCommand::Import(args) => {
            let image = in_background(move || import(&store, &args)).await?;
            print(context, &image)
        }
        ImageCommand::Build(args) => {
            context.output.note("Building takes a few minutes.");
            let name = match &args.name {
                Some(name) => name.clone(),
                None => ImageName::of_framework(&args.framework)?,
            };
            let image = in_background(move || {
                Ok(store.build(&args.framework, args.version.as_deref(), &name)?)
            });
            print(context, &image.await?)
        }
    }
}

async fn in_background(
    work: impl FnOnce() -> Result<Image, Failure> + Send + 'static,
) -> Result<Image, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .expect("work on an image does not panic")
}

fn import(store: &ImageStore, args: &ImportArgs) -> Result<Image, Failure> {
    if args.file.as_os_str() == "-" {
        return Ok(store.import(std::io::stdin().lock(), &args.name)?);
    }
    let file = File::open(&args.file).map_err(|error| {
        let message = format!("Failed to read {}: {error}", args.file.display());
        Failure::new(Exit::Failed, "file", message)
    })?;
    Ok(store.import(file, &args.name)?)
}

fn print(context: &Context, image: &Image) -> CommandResult {
    let output = &context.output;
    if output.is_json() {
        output.json(&document(image, false))?;
    } else {
        output.success(&image.name)?;
        output.line(&format!("  {}", image.digest))?;
    }
    Ok(Exit::Done)
}

fn list(context: &Context, store: &ImageStore) -> CommandResult {
    let output = &context.output;
    let images = store.list()?;
    if output.is_json() {
        let host = json!({
            "name": "host", "digest": null, "size": 0, "created_at": null, "in_use": false,
        });
        let stored = images.iter().map(|(image, used)| document(image, *used));
        output.json_list(&std::iter::once(host).chain(stored).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    let now = units::now();
    let mut table = Table::new(&["NAME", "DIGEST", "SIZE", "CREATED", "IN USE"]);
    table.row(["host", "-", "-", "-", "-"].map(str::to_owned).into());
    for (image, used) in &images {
        table.row(vec![
            image.name.clone(),
            image.digest.chars().take(DIGEST_CHARS).collect(),
            units::bytes(image.size),
            units::ago(created_at(image), now),
            if *used { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table.print(output)?;
    Ok(Exit::Done)
}

fn remove(context: &Context, store: &ImageStore, args: &RmArgs) -> CommandResult {
    let output = &context.output;
    if !args.force {
        if !output.can_ask() {
            return Err(Failure::usage(
                "Removing images asks first; without a terminal use --force",
            ));
        }
        let names: Vec<_> = args.names.iter().map(ImageName::as_str).collect();
        if !output.confirm(&format!("Remove {}?", names.join(", ")))? {
            return Err(Failure::new(
                Exit::Failed,
                "declined",
                "Nothing was removed",
            ));
        }
    }
    for name in &args.names {
        store.remove(name)?;
        if !output.is_json() {
            output.success(&format!("Removed {name}"))?;
        }
    }
    if output.is_json() {
        let names: Vec<_> = args.names.iter().map(ImageName::as_str).collect();
        output.json(&json!({ "ok": true, "names": names }))?;
    }
    Ok(Exit::Done)
}

fn created_at(image: &Image) -> Timestamp {
    Timestamp::from_millis(i64::try_from(image.created_at_ms).unwrap_or(i64::MAX / 1_000))
}

fn document(image: &Image, in_use: bool) -> Value {
    json!({
        "name": image.name,
        "digest": image.digest,
        "size": image.size,
        "created_at": created_at(image),
        "in_use": in_use,
    })
}
