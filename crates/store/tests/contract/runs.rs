use std::collections::BTreeMap;

use futures::future::join_all;
use uuid::Uuid;
use vm0_model::{CheckpointId, RunId, RunStatus, SessionId};
use vm0_store::record::{
    NewRun, RunArtifact, RunCancelOutcome, RunCreateOutcome, RunVolume, VersionWanted,
};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at, page, storage_id, version};

const DAY: i64 = 24 * 3600 * 1000;

pub(crate) async fn a_run_reads_back_as_it_was_created(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let volume = RunVolume {
        key: "input".into(),
        path: "/home/user/data".into(),
        name: "data".into(),
        storage_id: storage_id(),
        wanted: VersionWanted::Exact(version(3)),
        given: Some("03030303".into()),
        optional: true,
    };
    let artifact = RunArtifact {
        name: "out".into(),
        wanted: VersionWanted::Latest,
        shown: Some("latest".into()),
    };
    let run = NewRun {
        volumes: vec![volume.clone()],
        artifact: Some((artifact.clone(), storage_id())),
        resumed_checkpoint: Some(CheckpointId::from_uuid(Uuid::now_v7())),
        ..world.new_run(5)
    };
    let created = world.create(run.clone()).await;
    assert_eq!(created, world.run(run.id).await);
    assert_eq!(created.status, RunStatus::Pending);
    assert_eq!((created.created_at, created.started_at), (at(5), None));
    assert_eq!(created.artifact, Some(artifact));
    assert_eq!(created.volumes, [volume]);
    assert_eq!(created.volume_versions, None);
    assert_eq!(
        created.variables,
        BTreeMap::from([("A".into(), "1".into())])
    );
    assert_eq!(created.resumed_checkpoint, run.resumed_checkpoint);
    assert_eq!((created.session_id, created.event_count), (None, 0));
}

pub(crate) async fn concurrent_creates_with_one_key_make_one_run(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let create = |digest: &str| {
        let idempotency = Some(("key".to_owned(), digest.to_owned()));
        world.store.run_create(NewRun {
            idempotency,
            ..world.new_run(1)
        })
    };
    let mut created = Vec::new();
    let mut replayed = Vec::new();
    for outcome in join_all((0..20).map(|_| create("a"))).await {
        match outcome.unwrap() {
            RunCreateOutcome::Created(run) => created.push(run.id),
            RunCreateOutcome::Replayed(run) => replayed.push(run.id),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((created.len(), replayed.len()), (1, 19));
    assert!(replayed.iter().all(|id| *id == created[0]));
    assert_eq!(create("b").await.unwrap(), RunCreateOutcome::KeyReused);
    let listed = world
        .store
        .run_list(world.user.id, &Default::default(), page(10))
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    let found = world
        .store
        .run_find_idempotent(world.user.id, "key", at(1))
        .await
        .unwrap();
    assert_eq!(
        found.map(|(run, digest)| (run.id, digest)),
        Some((created[0], "a".to_owned()))
    );
}

pub(crate) async fn a_key_is_free_after_a_day(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let create = |now: i64| {
        let idempotency = Some(("key".to_owned(), "a".to_owned()));
        world.store.run_create(NewRun {
            idempotency,
            ..world.new_run(now)
        })
    };
    assert!(matches!(
        create(0).await.unwrap(),
        RunCreateOutcome::Created(_)
    ));
    assert!(matches!(
        create(DAY).await.unwrap(),
        RunCreateOutcome::Replayed(_)
    ));
    assert!(matches!(
        create(DAY + 1).await.unwrap(),
        RunCreateOutcome::Created(_)
    ));
    assert!(matches!(
        create(DAY + 2).await.unwrap(),
        RunCreateOutcome::Replayed(_)
    ));
}

pub(crate) async fn a_session_takes_one_of_many_concurrent_runs(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(1)).await;
    let first = world
        .finished(world.finish(&claimed, RunStatus::Completed, 5))
        .await;
    let session = first.session_id.unwrap();
    let create = || {
        world.store.run_create(NewRun {
            session_id: Some(session),
            ..world.new_run(10)
        })
    };
    let outcomes: Vec<_> = join_all((0..20).map(|_| create())).await;
    let created: Vec<RunId> = outcomes
        .into_iter()
        .filter_map(|outcome| match outcome.unwrap() {
            RunCreateOutcome::Created(run) => Some(run.id),
            RunCreateOutcome::SessionBusy => None,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(created.len(), 1);
    let view = world
        .store
        .session_view(world.user.id, session)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(view.active_run_id, Some(created[0]));
    world
        .store
        .run_cancel(world.user.id, created[0], at(11))
        .await
        .unwrap();
    let view = world
        .store
        .session_view(world.user.id, session)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(view.active_run_id, None);
    assert!(matches!(
        create().await.unwrap(),
        RunCreateOutcome::Created(_)
    ));
}

pub(crate) async fn the_concurrency_limit_holds_under_concurrency(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let create = || {
        world.store.run_create(NewRun {
            concurrency_limit: 3,
            ..world.new_run(1)
        })
    };
    let outcomes = join_all((0..20).map(|_| create())).await;
    let created = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Ok(RunCreateOutcome::Created(_))))
        .count();
    assert_eq!(created, 3);
    assert_eq!(
        world.store.run_count_active(world.user.id).await.unwrap(),
        3
    );
    let other = World::of(world.store.clone(), "pavel").await;
    let unaffected = NewRun {
        concurrency_limit: 3,
        ..other.new_run(1)
    };
    assert!(matches!(
        world.store.run_create(unaffected).await,
        Ok(RunCreateOutcome::Created(_))
    ));
    let claimed = world.claim(2).await;
    assert_eq!(create().await.unwrap(), RunCreateOutcome::LimitReached);
    world
        .finished(world.finish(&claimed, RunStatus::Failed, 3))
        .await;
    assert!(matches!(
        create().await.unwrap(),
        RunCreateOutcome::Created(_)
    ));
}

pub(crate) async fn a_run_of_another_user_does_not_exist(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let other = World::of(world.store.clone(), "pavel").await;
    let run = world.create(world.new_run(1)).await;
    let store = &world.store;
    assert_eq!(
        store.run_view(Some(other.user.id), run.id).await.unwrap(),
        None
    );
    assert_eq!(
        store.run_view(None, run.id).await.unwrap(),
        Some(run.clone())
    );
    let cancelled = store
        .run_cancel(other.user.id, run.id, at(2))
        .await
        .unwrap();
    assert_eq!(cancelled, RunCancelOutcome::NotFound);
    let listed = store
        .run_list(other.user.id, &Default::default(), page(10))
        .await
        .unwrap();
    assert!(listed.is_empty());
    let claimed = world.claim(2).await;
    let ended = world
        .finished(world.finish(&claimed, RunStatus::Completed, 3))
        .await;
    let session = store
        .session_view(other.user.id, ended.session_id.unwrap())
        .await
        .unwrap();
    let checkpoint = store
        .checkpoint_view(other.user.id, ended.checkpoint_id.unwrap())
        .await
        .unwrap();
    assert_eq!((session, checkpoint), (None, None));
}

pub(crate) async fn a_run_of_an_unknown_agent_is_refused(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let other = World::of(world.store.clone(), "pavel").await;
    let foreign = NewRun {
        agent_id: other.agent,
        ..world.new_run(1)
    };
    assert_eq!(
        world.store.run_create(foreign).await.unwrap(),
        RunCreateOutcome::AgentGone
    );
    let session_id = Some(SessionId::from_uuid(Uuid::now_v7()));
    let fresh = NewRun {
        session_id,
        ..world.new_run(1)
    };
    assert!(matches!(
        world.store.run_create(fresh).await,
        Ok(RunCreateOutcome::Created(_))
    ));
}

pub(crate) async fn a_cancelled_run_is_not_claimed_and_stays_cancelled(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let run = world.create(world.new_run(1)).await;
    let outcome = world
        .store
        .run_cancel(world.user.id, run.id, at(2))
        .await
        .unwrap();
    let RunCancelOutcome::Cancelled(cancelled) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (cancelled.status, cancelled.completed_at),
        (RunStatus::Cancelled, Some(at(2)))
    );
    assert_eq!(
        world
            .store
            .run_claim("r", "gvisor", at(3), at(9))
            .await
            .unwrap(),
        None
    );
    let again = world
        .store
        .run_cancel(world.user.id, run.id, at(4))
        .await
        .unwrap();
    assert_eq!(again, RunCancelOutcome::Terminal(RunStatus::Cancelled));
    assert_eq!(world.run(run.id).await, cancelled);
}
