//! The sweep. See the module's documentation for why it is safe.

use std::time::Duration;

use futures::TryStreamExt;
use vm0_blob::{Blobs, ObjectId, ObjectKind, StoredObject, SweepGuard};
use vm0_model::{Timestamp, limits};
use vm0_store::Store;

use super::error::GcError;
use super::marked::Marked;
use super::report::GcReport;
use super::rule::{Facts, Moment, Verdict};
use crate::clock;

/// A collection over these.
pub(crate) struct Collector<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) blobs: &'a Blobs,
    /// How long something without a reference is kept.
    pub(crate) grace: Duration,
    /// Whether nothing is changed.
    pub(crate) dry_run: bool,
}

impl Collector<'_> {
    /// Removes what nothing refers to.
    pub(crate) async fn sweep(&self, report: &mut GcReport) -> Result<(), GcError> {
        let mut marked = Marked::read(self.store, self.blobs).await?;
        for kind in ObjectKind::ALL {
            self.sweep_kind(kind, &mut marked, report).await?;
        }
        self.sweep_temporary(&marked, report).await
    }

    async fn sweep_kind(
        &self,
        kind: ObjectKind,
        marked: &mut Marked,
        report: &mut GcReport,
    ) -> Result<(), GcError> {
        let mut condemned = self.blobs.condemned_list(kind).await?;
        let mut objects = self.blobs.object_list(kind).await?;
        let mut batch = Vec::new();
        while let Some(object) = objects.try_next().await? {
            condemned.remove(&object.id);
            match self.verdict(marked, &object) {
                Verdict::Keep => {}
                Verdict::Pardon if self.dry_run => {}
                Verdict::Pardon => self.blobs.object_pardon(object.id).await?,
                Verdict::Wait => report.waiting += 1,
                Verdict::Condemn if self.dry_run => report.waiting += 1,
                Verdict::Remove if self.dry_run => report.add(kind.name(), 1, object.bytes),
                Verdict::Condemn | Verdict::Remove => batch.push(object.id),
            }
            if batch.len() >= limits::GC_BATCH {
                let full = std::mem::take(&mut batch);
                self.carry_out(full, marked, report).await?;
            }
        }
        self.carry_out(batch, marked, report).await?;
        if !self.dry_run {
            for gone in condemned.into_keys() {
                self.forget(gone).await?;
            }
        }
        Ok(())
    }

    /// Condemns or removes objects, each by what is known of it now that no row can change that.
    async fn carry_out(
        &self,
        batch: Vec<ObjectId>,
        marked: &mut Marked,
        report: &mut GcReport,
    ) -> Result<(), GcError> {
        if batch.is_empty() {
            return Ok(());
        }
        let Some(guard) = self.blobs.sweep(limits::GC_LOCK_WAIT).await? else {
            report.unfinished = true;
            return Ok(());
        };
        marked.refresh(self.store, self.blobs).await?;
        for id in batch {
            self.carry_out_one(&guard, id, marked, report).await?;
        }
        drop(guard);
        tokio::time::sleep(limits::GC_PAUSE).await;
        Ok(())
    }

    async fn carry_out_one(
        &self,
        guard: &SweepGuard,
        id: ObjectId,
        marked: &Marked,
        report: &mut GcReport,
    ) -> Result<(), GcError> {
        let Some(object) = self.blobs.object_view(id).await? else {
            return Ok(());
        };
        match self.verdict(marked, &object) {
            Verdict::Keep => {}
            Verdict::Pardon => self.blobs.object_pardon(id).await?,
            Verdict::Wait => report.waiting += 1,
            Verdict::Condemn => {
                self.blobs.object_condemn(guard, id).await?;
                report.waiting += 1;
            }
            Verdict::Remove => {
                if self.blobs.object_remove(guard, id).await? {
                    report.add(id.kind().name(), 1, object.bytes);
                }
            }
        }
        Ok(())
    }

    /// Drops the note on an object that is gone.
    async fn forget(&self, id: ObjectId) -> Result<(), GcError> {
        if self.blobs.object_view(id).await?.is_none() {
            self.blobs.object_pardon(id).await?;
        }
        Ok(())
    }

    fn verdict(&self, marked: &Marked, object: &StoredObject) -> Verdict {
        let moment = self.moment(self.grace, marked.rows.oldest_running);
        moment.verdict(Facts {
            referenced: marked.names(object.id),
            stored_at: object.stored_at,
            condemned_since: object.condemned_since,
        })
    }

    /// Objects of upload sessions that are over, and what dead processes left on its way. A session
    /// that is over never comes back, so its age is enough.
    async fn sweep_temporary(&self, marked: &Marked, report: &mut GcReport) -> Result<(), GcError> {
        let moment = self.moment(self.grace.max(limits::UPLOAD_SESSION_TTL), None);
        for object in self.blobs.temporary_list().await? {
            let open = object.session.as_ref();
            let open = open.is_some_and(|session| marked.rows.uploads.contains(session));
            if open || !moment.is_past(object.stored_at) {
                continue;
            }
            let kind = match object.session {
                Some(_) => "upload",
                None => "staged",
            };
            if self.dry_run || self.blobs.temporary_remove(&object).await? {
                report.add(kind, 1, object.bytes);
            }
        }
        Ok(())
    }

    fn moment(&self, grace: Duration, oldest_running: Option<Timestamp>) -> Moment {
        Moment {
            now: clock::now(),
            grace,
            oldest_running,
        }
    }
}
