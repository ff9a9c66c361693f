//! `vm0 volume list`.

use vm0_client::collect_pages;
use vm0_model::storage::StorageKind;

use crate::context::Context;
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::table::Table;
use crate::units;

pub(super) async fn execute(context: &Context, kind: StorageKind) -> CommandResult {
    let output = &context.output;
    let client = context.client()?;
    let all = collect_pages(None, async |page| {
        client.storage_list(kind, None, &page).await
    })
    .await?;
    if output.is_json() {
        output.json_list(&all)?;
        return Ok(Exit::Done);
    }
    if all.is_empty() {
        output.note(&format!("No {kind}s."));
        return Ok(Exit::Done);
    }
    let now = units::now();
    let mut table = Table::new(&["NAME", "VERSION", "FILES", "SIZE", "UPDATED"]);
    for storage in all {
        let version = storage
            .current_version_id
            .map_or_else(|| "-".to_owned(), |id| id.short());
        table.row(vec![
            storage.name,
            version,
            storage.file_count.to_string(),
            units::bytes(storage.size),
            units::ago(storage.updated_at, now),
        ]);
    }
    table.print(output)?;
    Ok(Exit::Done)
}
