//! `vm0 image` (CLI 2.5).

use std::fs::File;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use vm0_client::registry::{LoginFiles, Puller, Reference, RegistryError};
use vm0_model::time::Timestamp;
use vm0_runner::images::{self, Image, ImageError, ImageName, ImageStore, PullError, PullWatch};

use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::interrupt::{Interrupt, Stop};
use crate::progress::byte_bar;
use crate::table::Table;
use crate::units;

/// Shown digits of a digest, with its `sha256:`.
const DIGEST_CHARS: usize = 19;

/// What to do with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Fetch an image from a registry
    #[command(after_help = "Examples:\n  vm0 image pull debian:12\n  \
                      vm0 image pull ghcr.io/team/tools:1 --as team/tools\n\n\
                      Logins are those of docker and podman: REGISTRY_AUTH_FILE, \
                      $XDG_RUNTIME_DIR/containers/auth.json, ~/.docker/config.json")]
    Pull(PullArgs),
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

/// Options of `pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// [HOST[:PORT]/]NAME[:TAG] or NAME@sha256:HEX; without HOST of Docker Hub
    #[arg(value_name = "REF")]
    reference: Reference,
    /// Name of the image [default: REF]
    #[arg(long = "as", value_name = "NAME")]
    name: Option<ImageName>,
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
    /// Version of its program [default: the newest]
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

impl From<PullError> for Failure {
    fn from(error: PullError) -> Self {
        let error = match error {
            PullError::Image(error) => return error.into(),
            PullError::Registry(error) => error,
        };
        let (code, exit) = match &error {
            RegistryError::Denied { .. } => ("registry_denied", Exit::NotAuthenticated),
            RegistryError::NotFound { .. } => ("image", Exit::NotFound),
            error if error.is_unreachable() => ("registry_unreachable", Exit::Unreachable),
            _ => ("registry", Exit::Failed),
        };
        Self::of(code, &error).with_exit(exit)
    }
}

/// Does it.
pub(crate) async fn execute(context: &Context, command: ImageCommand) -> CommandResult {
    let store = images::open(&context.data_dir()?.join("runner"))?;
    match command {
        ImageCommand::List => list(context, &store),
        ImageCommand::Rm(args) => remove(context, &store, &args),
        ImageCommand::Pull(args) => pull(context, store, args).await,
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

async fn pull(context: &Context, store: ImageStore, args: PullArgs) -> CommandResult {
    let output = &context.output;
    let reference = args.reference;
    let name = match args.name {
        Some(name) => name,
        None => reference.local_name().parse()?,
    };
    let mut interrupt = Interrupt::listen()?;
    let fetching = FetchBar(byte_bar(output, &format!("Fetching {reference}"), 0));
    let fetched = interrupt
        .race(async {
            let logins = LoginFiles::of(|name| std::env::var_os(name));
            let login = logins.find(&reference).await.map_err(RegistryError::from)?;
            let puller = Puller::new(reference.clone(), login)?;
            images::pull(&store, &puller, &fetching).await
        })
        .await;
    fetching.0.finish_and_clear();
    let pulled = fetched.map_err(|failure| signing_in(failure, reference.registry()))?;
    let unpacking = byte_bar(output, &format!("Unpacking {reference}"), pulled.bytes()?);
    let bar = unpacking.clone();
    let work = move |stop: &Stop| {
        let stop = stop.clone();
        pulled.unpack(&name, &mut |bytes| {
            bar.inc(bytes);
            match stop.is_asked() {
                true => Err(std::io::Error::other("stopped")),
                false => Ok(()),
            }
        })
    };
    let image = interrupt.blocking(work).await;
    unpacking.finish_and_clear();
    print(context, &image?)
}

/// The bar of a pull.
struct FetchBar(ProgressBar);

impl PullWatch for FetchBar {
    fn total(&self, bytes: u64) {
        self.0.set_length(bytes);
    }

    fn fetched(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

/// Says how to sign in, if that may help.
fn signing_in(failure: Failure, registry: &str) -> Failure {
    match failure.code() {
        "registry_denied" => failure.hint(format!(
            "Sign in: docker login {registry}, or podman login {registry}"
        )),
        _ => failure,
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
