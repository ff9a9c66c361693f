//! The check.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use vm0_blob::{BlobError, Blobs, Chunk, ObjectId, ObjectKind, ObjectState};
use vm0_model::{ManifestId, PackId};
use vm0_store::record::References;

use super::report::{FindingState, FsckReport};

/// A check under way.
pub(super) struct Checker<'a> {
    blobs: &'a Blobs,
    rows: &'a References,
    /// The chunks that manifests name, each once.
    packs: BTreeMap<PackId, BTreeSet<Chunk>>,
    report: FsckReport,
}

impl<'a> Checker<'a> {
    pub(super) fn new(blobs: &'a Blobs, rows: &'a References) -> Self {
        Self {
            blobs,
            rows,
            packs: BTreeMap::new(),
            report: FsckReport::default(),
        }
    }

    /// Checks all that rows name.
    pub(super) async fn check(mut self) -> Result<FsckReport, BlobError> {
        let manifests: BTreeSet<ManifestId> = self.rows.manifests.iter().copied().collect();
        for id in manifests {
            let (state, manifest) = self.blobs.manifest_verify(id).await?;
            self.note(ObjectId::Manifest(id), state);
            for chunk in manifest.iter().flat_map(vm0_blob::Manifest::chunks) {
                self.packs.entry(chunk.pack).or_default().insert(*chunk);
            }
        }
        for (id, chunks) in std::mem::take(&mut self.packs) {
            let state = self.blobs.pack_verify(id, &chunks).await?;
            self.note(ObjectId::Pack(id), state);
            self.packs.insert(id, BTreeSet::new());
        }
        let histories: BTreeSet<_> = self.rows.histories.iter().copied().collect();
        for id in histories.into_iter().map(ObjectId::History) {
            let state = self.blobs.object_verify(id).await?;
            self.note(id, state);
        }
        self.report.ok = self.report.items.is_empty();
        for kind in ObjectKind::ALL {
            self.list_unreferenced(kind).await?;
        }
        Ok(self.report)
    }

    fn note(&mut self, id: ObjectId, state: ObjectState) {
        self.report.checked += 1;
        match state {
            ObjectState::Sound => {}
            ObjectState::Missing => self.report.add(FindingState::Missing, id, None),
            ObjectState::Corrupt(why) => self.report.add(FindingState::Corrupt, id, Some(why)),
        }
    }

    async fn list_unreferenced(&mut self, kind: ObjectKind) -> Result<(), BlobError> {
        let mut objects = self.blobs.object_list(kind).await?;
        while let Some(object) = objects.try_next().await? {
            let named = match object.id {
                ObjectId::Manifest(id) => self.rows.manifests.contains(&id),
                ObjectId::Pack(id) => self.packs.contains_key(&id),
                ObjectId::History(id) => self.rows.histories.contains(&id),
            };
            if !named {
                let detail = Some(format!("{} bytes", object.bytes));
                self.report
                    .add(FindingState::Unreferenced, object.id, detail);
            }
        }
        Ok(())
    }
}
