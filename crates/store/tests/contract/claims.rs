use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use vm0_model::event::{LogEntry, LogKind, LogLevel, MetricSample};
use vm0_model::{Epoch, RunStatus, StorageKind};
use vm0_store::record::{Leased, NewRun, RunCancelOutcome, RunSalvage, RunVolume, VersionWanted};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at, commit, done, event, manifest, saved, stale, version};

pub(crate) async fn runs_are_claimed_in_order_of_creation(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let mut expected = Vec::new();
    for now in [30, 10, 20] {
        expected.push((now, world.create(world.new_run(now)).await.id));
    }
    expected.sort();
    for (now, id) in expected {
        let claimed = world.claim(100 + now).await;
        assert_eq!(claimed.run.id, id);
        assert_eq!(claimed.run.status, RunStatus::Running);
        assert_eq!(claimed.run.started_at, Some(at(100 + now)));
        assert_eq!(claimed.run.sandbox.as_deref(), Some("gvisor"));
        assert_eq!((claimed.lease.run_id, claimed.lease.epoch), (id, Epoch(1)));
        assert_eq!(claimed.config, r#"{"config":1}"#);
    }
    assert_eq!(
        world
            .store
            .run_claim("r", "gvisor", at(1), at(2))
            .await
            .unwrap(),
        None
    );
}

pub(crate) async fn a_run_is_claimed_by_one_of_many_runners(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    for now in 0..10 {
        world.create(world.new_run(now)).await;
    }
    let claims = (0..20).map(|_| world.store.run_claim("r", "gvisor", at(50), at(90)));
    let claimed: Vec<_> = join_all(claims)
        .await
        .into_iter()
        .filter_map(Result::unwrap)
        .map(|it| it.run.id)
        .collect();
    assert_eq!(claimed.len(), 10);
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 10);
}

pub(crate) async fn a_claim_resolves_latest_and_hands_out_the_sealed_values_once(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let data = world.volume("data").await;
    let empty = world.volume("empty").await;
    world
        .store
        .storage_commit(commit(data.id, 1, 1))
        .await
        .unwrap();
    let volume = |key: &str, storage: &vm0_store::record::StorageRecord, wanted| RunVolume {
        key: key.into(),
        path: format!("/{key}"),
        name: storage.name.clone(),
        storage_id: storage.id,
        wanted,
        given: None,
        optional: false,
    };
    let run = NewRun {
        volumes: vec![
            volume("latest", &data, VersionWanted::Latest),
            volume("pinned", &data, VersionWanted::Exact(version(1))),
            volume("empty", &empty, VersionWanted::Latest),
        ],
        ..world.new_run_with_artifact(2)
    };
    world.create(run).await;
    let out = world.storage(StorageKind::Artifact, "out").await;
    world
        .store
        .storage_commit(commit(out.id, 8, 3))
        .await
        .unwrap();
    world
        .store
        .storage_commit(commit(data.id, 2, 4))
        .await
        .unwrap();
    let claimed = world.claim(5).await;
    assert_eq!(claimed.sealed, b"sealed");
    assert_eq!(
        claimed.artifact,
        Some((out.id, Some((version(8), manifest(8)))))
    );
    assert_eq!(claimed.run.artifact_base, Some(version(8)));
    let versions: Vec<_> = claimed.volumes.iter().map(|it| it.version).collect();
    let found = |n| Some((version(n), manifest(n)));
    assert_eq!(versions, [found(2), found(1), None]);
    let exact = BTreeMap::from([("latest".into(), version(2)), ("pinned".into(), version(1))]);
    assert_eq!(claimed.run.volume_versions, Some(exact));
    assert_eq!(claimed.conversation, None);
}

pub(crate) async fn a_stale_epoch_changes_nothing(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let pending = world.create(world.new_run_with_artifact(1)).await;
    let store = &world.store;
    let unclaimed = store.run_renew(pending.id, Epoch(0), at(9)).await.unwrap();
    assert_eq!(unclaimed, Leased::Stale, "a pending run has no lease");
    let claimed = world.claim(2).await;
    let (id, epoch) = (pending.id, stale(claimed.lease.epoch));
    let entry = LogEntry {
        timestamp: at(3),
        kind: LogKind::System,
        level: LogLevel::Info,
        message: "late".into(),
        metadata: None,
    };
    let sample = MetricSample {
        timestamp: at(3),
        cpu_percent: 1.0,
        memory_used_bytes: 1,
        memory_total_bytes: 1,
        disk_used_bytes: 1,
        disk_total_bytes: 1,
        network_rx_bytes: 1,
        network_tx_bytes: 1,
    };
    let storage = claimed.artifact.unwrap().0;
    let mut finish = world.finish(&claimed, RunStatus::Completed, 4);
    finish.epoch = epoch;
    finish.artifact = Some(saved(storage, 5));
    let salvage = RunSalvage {
        epoch,
        ..world.salvage(&claimed, 4)
    };
    let salvage = store.run_salvage(salvage).await.unwrap();
    assert_eq!(
        store
            .event_append(id, epoch, 0, vec![event(1)])
            .await
            .unwrap(),
        Leased::Stale
    );
    assert_eq!(
        store.log_append(id, epoch, 0, vec![entry]).await.unwrap(),
        Leased::Stale
    );
    assert_eq!(
        store
            .metric_append(id, epoch, 0, vec![sample])
            .await
            .unwrap(),
        Leased::Stale
    );
    assert_eq!(
        store.run_renew(id, epoch, at(999_999)).await.unwrap(),
        Leased::Stale
    );
    assert_eq!(
        store.run_started(id, epoch, "runc", 7).await.unwrap(),
        Leased::Stale
    );
    assert_eq!(store.run_finish(finish).await.unwrap(), Leased::Stale);
    assert_eq!(salvage, Leased::Stale);
    assert_eq!(world.run(id).await, claimed.run);
    assert!(store.event_list(id, 0, 10).await.unwrap().is_empty());
    assert!(store.metric_list(id).await.unwrap().is_empty());
    assert_eq!(world.storage(StorageKind::Artifact, "out").await.head, None);
}

pub(crate) async fn a_lease_that_is_not_renewed_ends_the_run(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run_with_artifact(0)).await;
    let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
    let store = &world.store;
    assert!(store.run_expire(at(120_000)).await.unwrap().is_empty());
    assert_eq!(store.run_expire(at(120_001)).await.unwrap(), [id]);
    assert!(store.run_expire(at(500_000)).await.unwrap().is_empty());
    let run = world.run(id).await;
    assert_eq!(
        (run.status, run.completed_at),
        (RunStatus::Timeout, Some(at(120_001)))
    );
    assert_eq!(run.error.as_deref(), Some("runner lost for 120 s"));
    let renewed = done(store.run_renew(id, epoch, at(600_000)).await.unwrap());
    assert_eq!(
        renewed,
        RunStatus::Timeout,
        "the runner learns that it was given up"
    );
    let appended = done(
        store
            .event_append(id, epoch, 0, vec![event(1)])
            .await
            .unwrap(),
    );
    assert_eq!(
        (appended.next_offset, appended.status),
        (0, RunStatus::Timeout)
    );
    let storage = claimed.artifact.unwrap().0;
    let salvage = RunSalvage {
        exit_code: Some(3),
        artifact: Some(saved(storage, 5)),
        ..world.salvage(&claimed, 9)
    };
    let salvaged = store.run_salvage(salvage).await.unwrap();
    assert_eq!(done(salvaged).artifact_salvaged, Some(version(5)));
}

pub(crate) async fn a_renewed_lease_does_not_expire(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(0)).await;
    let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
    let store = &world.store;
    let status = done(store.run_renew(id, epoch, at(200_000)).await.unwrap());
    assert_eq!(status, RunStatus::Running);
    done(store.run_started(id, epoch, "runc", 42).await.unwrap());
    assert!(store.run_expire(at(150_000)).await.unwrap().is_empty());
    let run = world.run(id).await;
    assert_eq!(
        (run.sandbox.as_deref(), run.sandbox_ready_ms),
        (Some("runc"), Some(42))
    );
    let cancelled = store
        .run_cancel(world.user.id, id, at(160_000))
        .await
        .unwrap();
    assert!(matches!(cancelled, RunCancelOutcome::Cancelled(_)));
    let status = done(store.run_renew(id, epoch, at(300_000)).await.unwrap());
    assert_eq!(status, RunStatus::Cancelled);
    assert!(store.run_expire(at(900_000)).await.unwrap().is_empty());
}

pub(crate) async fn latest_is_of_the_volume_that_has_the_name_at_the_start(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let data = world.volume("data").await;
    world
        .store
        .storage_commit(commit(data.id, 1, 1))
        .await
        .unwrap();
    let volume = |key: &str, wanted| RunVolume {
        key: key.into(),
        path: format!("/{key}"),
        name: "data".into(),
        storage_id: data.id,
        wanted,
        given: None,
        optional: false,
    };
    let run = NewRun {
        volumes: vec![
            volume("latest", VersionWanted::Latest),
            volume("exact", VersionWanted::Exact(version(1))),
        ],
        ..world.new_run(2)
    };
    world.create(run).await;
    world
        .store
        .storage_delete(world.user.id, StorageKind::Volume, data.id)
        .await
        .unwrap();
    let again = world.volume("data").await;
    world
        .store
        .storage_commit(commit(again.id, 2, 3))
        .await
        .unwrap();
    let claimed = world.claim(4).await;
    let versions: Vec<_> = claimed.volumes.iter().map(|it| it.version).collect();
    assert_eq!(versions, [Some((version(2), manifest(2))), None]);
}
