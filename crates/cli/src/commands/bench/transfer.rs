//! `vm0 bench transfer`: the memory of a server while one very large file goes up and comes down.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use clap::Args;
use vm0_client::Client;
use vm0_model::storage::StorageKind;

use super::figure::{Figure, Target, print};
use super::fixture::Numbers;
use super::private_server::PrivateServer;
use crate::commands::volume::{PushRequest, push_tree};
use crate::context::Context;
use crate::error::{CommandResult, Failure};
use crate::exit::Exit;
use crate::files::scan;
use crate::output::Output;

const ARTIFACT: &str = "bench";
const PIECE_BYTES: u64 = 1 << 20;
/// Every so many pieces one is a hole, which compresses to nothing.
const HOLE_EVERY: u64 = 8;
const MIB: f64 = (1 << 20) as f64;

const IN_64_MIB: Target = Target::AtMost(64.0);

/// Options of `transfer`.
#[derive(Debug, Args)]
pub(crate) struct TransferArgs {
    /// Size of the file
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..=4096))]
    size: u64,
}

/// Does it.
pub(super) async fn execute(context: &Context, args: TransferArgs) -> CommandResult {
    let output = &context.output;
    let dir = tempfile::Builder::new()
        .prefix("vm0-bench-transfer-")
        .tempdir()?;
    let root = dir.path().join("files");
    std::fs::create_dir(&root)?;
    output.note(&format!("Writing a file of {} MiB", args.size));
    write(&root.join("large"), args.size)?;
    let server = PrivateServer::without_runner(None).await?;
    let client = server.client()?;
    let mut figures = vec![memory("server at rest", &server)?];
    for (what, force) in [("push", false), ("push as one archive", true)] {
        output.note(&format!("Measuring: {what}"));
        let seconds = push(&client, output, &root, force).await?;
        figures.extend(measured(what, seconds, &server)?);
    }
    for what in ["first download", "download again"] {
        output.note(&format!("Measuring: {what}"));
        let seconds = download(&client, &dir.path().join("download")).await?;
        figures.extend(measured(what, seconds, &server)?);
    }
    server.stop().await?;
    print(output, &figures)
}

/// Noise with holes.
fn write(path: &Path, size: u64) -> Result<(), Failure> {
    let mut numbers = Numbers::new();
    let mut file = File::create_new(path)?;
    let mut piece = vec![0; PIECE_BYTES as usize];
    for number in 0..size {
        if number % HOLE_EVERY == 0 {
            file.seek(SeekFrom::Current(PIECE_BYTES as i64))?;
        } else {
            numbers.noise(&mut piece);
            file.write_all(&piece)?;
        }
    }
    Ok(file.set_len(size * PIECE_BYTES)?)
}

/// The most memory that the server had since the last time, and the time that something took.
fn measured(what: &str, seconds: f64, server: &PrivateServer) -> Result<[Figure; 2], Failure> {
    Ok([
        Figure::new(what, seconds, "s"),
        memory(&format!("{what}: server memory"), server)?.with(IN_64_MIB),
    ])
}

fn memory(what: &str, server: &PrivateServer) -> Result<Figure, Failure> {
    let bytes = server.take_peak_bytes()?;
    Ok(Figure::new(what, bytes as f64 / MIB, "MiB"))
}

async fn push(client: &Client, output: &Output, root: &Path, force: bool) -> Result<f64, Failure> {
    let started = Instant::now();
    let request = PushRequest {
        kind: StorageKind::Artifact,
        name: ARTIFACT,
        root,
        tree: scan(root)?,
        message: None,
        force,
        expect: None,
    };
    push_tree(client, output, request).await?;
    Ok(started.elapsed().as_secs_f64())
}

async fn download(client: &Client, to: &Path) -> Result<f64, Failure> {
    let page = client
        .storage_list(StorageKind::Artifact, Some(ARTIFACT), &Default::default())
        .await?;
    let message = "The server lists no artifact";
    let missing = || Failure::new(Exit::Failed, "bench_answer", message);
    let storage = page.data.first().ok_or_else(missing)?;
    let started = Instant::now();
    let download = client
        .storage_download(StorageKind::Artifact, storage.id, None)
        .await?;
    download.save(to, |_| {}).await?;
    let seconds = started.elapsed().as_secs_f64();
    std::fs::remove_file(to)?;
    Ok(seconds)
}
