use std::collections::BTreeMap;

use uuid::Uuid;
use vm0_model::wire::runs::Usage;
use vm0_model::{AgentVersionId, CheckpointId, RunStatus, StorageKind};
use vm0_store::StoreError;
use vm0_store::record::{NewRun, RunFinish, RunSalvage, RunVolume, VersionWanted};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at, commit, conversation, done, page, saved, version};

pub(crate) async fn a_completed_run_leaves_version_checkpoint_and_session(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let data = world.volume("data").await;
    world
        .store
        .storage_commit(commit(data.id, 1, 1))
        .await
        .unwrap();
    let volume = RunVolume {
        key: "input".into(),
        path: "/data".into(),
        name: "data".into(),
        storage_id: data.id,
        wanted: VersionWanted::Latest,
        given: Some("latest".into()),
        optional: false,
    };
    let run = NewRun {
        volumes: vec![volume],
        ..world.new_run_with_artifact(2)
    };
    let claimed = world.running(run).await;
    let usage = Some(Usage {
        input_tokens: Some(5),
        output_tokens: None,
        cost_usd: Some(0.0123),
    });
    let storage = claimed.artifact.unwrap().0;
    let artifact = Some(saved(storage, 7));
    let report = RunFinish {
        usage,
        artifact,
        ..world.finish(&claimed, RunStatus::Completed, 9)
    };
    let run = world.finished(report.clone()).await;
    let made = report.checkpoint.unwrap();
    assert_eq!(
        (run.status, run.completed_at),
        (RunStatus::Completed, Some(at(9)))
    );
    assert_eq!(
        (run.output.as_deref(), run.error.as_deref()),
        (Some("done"), None)
    );
    assert_eq!((run.exit_code, run.usage), (Some(0), usage));
    assert_eq!(
        (run.artifact_saved, run.artifact_salvaged),
        (Some(version(7)), None)
    );
    assert_eq!(run.checkpoint_id, Some(made.id));
    assert_eq!(run.session_id, Some(made.new_session_id));
    let out = world.storage(StorageKind::Artifact, "out").await;
    let head = out.head.unwrap();
    assert_eq!(
        (head.id, head.run_id, head.salvaged),
        (version(7), Some(run.id), false)
    );
    assert_eq!(head.created_by, "run");
    assert_eq!(head.message, Some(format!("Run {}", run.id)));
    assert_eq!(out.updated_at, at(9));
    let checkpoint = world
        .store
        .checkpoint_view(world.user.id, made.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (checkpoint.run_id, checkpoint.session_id),
        (run.id, made.new_session_id)
    );
    assert_eq!(
        checkpoint.agent_version,
        AgentVersionId::from_digest([1; 32])
    );
    assert_eq!(checkpoint.artifact_name.as_deref(), Some("out"));
    assert_eq!(checkpoint.artifact_version, Some(version(7)));
    assert_eq!(checkpoint.secret_names, ["KEY"]);
    assert_eq!(checkpoint.variables, run.variables);
    assert_eq!(
        checkpoint.volume_versions,
        BTreeMap::from([("input".into(), version(1))])
    );
    assert_eq!(
        checkpoint.volumes_given,
        BTreeMap::from([("input".into(), "latest".into())])
    );
    assert_eq!(checkpoint.token_total, made.conversation.token_total);
    let session = world
        .store
        .session_view(world.user.id, made.new_session_id)
        .await
        .unwrap();
    let session = session.unwrap();
    assert_eq!(
        (session.last_run_id, session.last_checkpoint_id),
        (run.id, made.id)
    );
    assert_eq!(
        (session.artifact_name.as_deref(), session.active_run_id),
        (Some("out"), None)
    );
    assert_eq!((session.created_at, session.updated_at), (at(9), at(9)));
}

pub(crate) async fn a_continued_run_moves_its_session_and_a_resumed_one_makes_another(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(1)).await;
    let first = world
        .finished(world.finish(&claimed, RunStatus::Completed, 5))
        .await;
    let session_id = first.session_id;

    let failing = NewRun {
        session_id,
        ..world.new_run(10)
    };
    let claimed = world.running(failing).await;
    assert_eq!(claimed.conversation, Some(conversation("conversation-1")));
    let failed = world
        .finished(world.finish(&claimed, RunStatus::Failed, 15))
        .await;
    assert_eq!(
        (failed.session_id, failed.checkpoint_id),
        (session_id, None)
    );
    let view = world
        .store
        .session_view(world.user.id, session_id.unwrap())
        .await
        .unwrap();
    assert_eq!(
        view.unwrap().last_run_id,
        first.id,
        "a failed run moves no session"
    );

    let continuing = NewRun {
        session_id,
        ..world.new_run(20)
    };
    let claimed = world.running(continuing).await;
    let mut report = world.finish(&claimed, RunStatus::Completed, 25);
    report.checkpoint.as_mut().unwrap().conversation = conversation("conversation-2");
    let second = world.finished(report).await;
    assert_eq!(second.session_id, session_id);
    let view = world
        .store
        .session_view(world.user.id, session_id.unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (view.last_run_id, Some(view.last_checkpoint_id)),
        (second.id, second.checkpoint_id)
    );
    assert_eq!((view.created_at, view.updated_at), (at(5), at(25)));

    let resuming = NewRun {
        resumed_checkpoint: first.checkpoint_id,
        ..world.new_run(30)
    };
    let claimed = world.running(resuming).await;
    assert_eq!(claimed.conversation, Some(conversation("conversation-1")));
    let resumed = world
        .finished(world.finish(&claimed, RunStatus::Completed, 35))
        .await;
    assert!(resumed.session_id.is_some() && resumed.session_id != session_id);

    let newest = NewRun {
        session_id,
        ..world.new_run(40)
    };
    let claimed = world.running(newest).await;
    assert_eq!(claimed.conversation, Some(conversation("conversation-2")));
}

pub(crate) async fn a_run_makes_its_deleted_artifact_again(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    for (start, status) in [(10, RunStatus::Completed), (20, RunStatus::Failed)] {
        let claimed = world.running(world.new_run_with_artifact(start)).await;
        let storage = claimed.artifact.unwrap().0;
        let deleted = world
            .store
            .storage_delete(world.user.id, StorageKind::Artifact, storage)
            .await;
        assert_eq!(deleted.unwrap(), Some(Vec::new()));
        let artifact = Some(saved(storage, 7));
        let report = RunFinish {
            artifact,
            ..world.finish(&claimed, status, start + 5)
        };
        let run = world.finished(report).await;
        let out = world.storage(StorageKind::Artifact, "out").await;
        let versions = world.store.storage_version_list(out.id, page(5)).await;
        let ids: Vec<_> = versions.unwrap().iter().map(|it| it.id).collect();
        assert_eq!(ids, [version(7)]);
        let kept = run.artifact_saved.or(run.artifact_salvaged);
        assert_eq!(kept, Some(version(7)));
        let completed = status == RunStatus::Completed;
        assert_eq!(out.head.is_some(), completed, "only success moves the head");
        world
            .store
            .storage_delete(world.user.id, StorageKind::Artifact, out.id)
            .await
            .unwrap();
    }
}

pub(crate) async fn a_version_of_a_gone_storage_is_not_saved_into_its_successor(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run_with_artifact(1)).await;
    let gone = claimed.artifact.unwrap().0;
    world
        .store
        .storage_delete(world.user.id, StorageKind::Artifact, gone)
        .await
        .unwrap();
    world
        .store
        .run_create(world.new_run_with_artifact(2))
        .await
        .unwrap();
    let successor = world.storage(StorageKind::Artifact, "out").await.id;
    let mut report = world.finish(&claimed, RunStatus::Completed, 9);
    report.artifact = Some(saved(gone, 7));
    let refused = world.store.run_finish(report.clone()).await;
    assert!(
        matches!(refused, Err(StoreError::ArtifactMoved)),
        "{refused:?}"
    );
    assert_eq!(world.run(claimed.run.id).await, claimed.run);
    report.artifact = Some(saved(successor, 7));
    assert_eq!(
        world.finished(report).await.artifact_saved,
        Some(version(7))
    );
}

pub(crate) async fn a_failed_run_keeps_its_files_without_moving_the_head(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run_with_artifact(1)).await;
    let storage = claimed.artifact.unwrap().0;
    let artifact = Some(saved(storage, 7));
    let report = RunFinish {
        artifact,
        ..world.finish(&claimed, RunStatus::Failed, 9)
    };
    let run = world.finished(report).await;
    assert_eq!(
        (run.status, run.error.as_deref()),
        (RunStatus::Failed, Some("it broke"))
    );
    assert_eq!(
        (run.artifact_saved, run.artifact_salvaged),
        (None, Some(version(7)))
    );
    let out = world.storage(StorageKind::Artifact, "out").await;
    assert_eq!((out.head, out.updated_at), (None, at(1)));
    let versions = world
        .store
        .storage_version_list(storage, page(5))
        .await
        .unwrap();
    assert_eq!(versions.len(), 1);
    assert!(versions[0].salvaged);
    assert_eq!(versions[0].message, Some(format!("Run {}", run.id)));
    world
        .store
        .storage_commit(commit(storage, 7, 20))
        .await
        .unwrap();
    let head = world
        .storage(StorageKind::Artifact, "out")
        .await
        .head
        .unwrap();
    assert_eq!(
        (head.salvaged, head.run_id),
        (false, Some(run.id)),
        "a commit adopts it"
    );
}

pub(crate) async fn an_unchanged_workspace_is_not_salvaged(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run_with_artifact(1)).await;
    let storage = claimed.artifact.unwrap().0;
    let mut empty = saved(storage, 6);
    empty.file_count = 0;
    let report = RunFinish {
        artifact: Some(empty),
        ..world.finish(&claimed, RunStatus::Timeout, 2)
    };
    let run = world.finished(report).await;
    assert_eq!(
        (run.status, run.artifact_salvaged),
        (RunStatus::Timeout, None)
    );
    world
        .store
        .storage_commit(commit(storage, 7, 3))
        .await
        .unwrap();
    let claimed = world.running(world.new_run_with_artifact(4)).await;
    let artifact = Some(saved(storage, 7));
    let report = RunFinish {
        artifact,
        ..world.finish(&claimed, RunStatus::Failed, 9)
    };
    assert_eq!(world.finished(report).await.artifact_salvaged, None);
    let versions = world
        .store
        .storage_version_list(storage, page(5))
        .await
        .unwrap();
    assert_eq!(versions.len(), 1);
}

pub(crate) async fn a_run_cancelled_before_its_report_stays_cancelled(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run_with_artifact(1)).await;
    let storage = claimed.artifact.unwrap().0;
    world
        .store
        .run_cancel(world.user.id, claimed.run.id, at(5))
        .await
        .unwrap();
    let artifact = Some(saved(storage, 7));
    let usage = Some(Usage {
        input_tokens: Some(5),
        output_tokens: Some(6),
        cost_usd: Some(0.5),
    });
    let report = RunFinish {
        artifact,
        usage,
        ..world.finish(&claimed, RunStatus::Completed, 9)
    };
    let run = world.finished(report).await;
    assert_eq!(
        (run.status, run.completed_at),
        (RunStatus::Cancelled, Some(at(5)))
    );
    assert_eq!(run.usage, usage);
    assert_eq!((run.exit_code, run.output.clone()), (None, None));
    assert_eq!((run.checkpoint_id, run.session_id), (None, None));
    assert_eq!(run.artifact_salvaged, Some(version(7)));
    assert_eq!(world.storage(StorageKind::Artifact, "out").await.head, None);
}

pub(crate) async fn a_cancelled_run_keeps_the_usage_that_is_told_first(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(1)).await;
    let cancelled = world
        .store
        .run_cancel(world.user.id, claimed.run.id, at(5))
        .await;
    cancelled.unwrap();
    let told = |tokens| RunSalvage {
        usage: Some(Usage {
            input_tokens: Some(tokens),
            output_tokens: None,
            cost_usd: None,
        }),
        ..world.salvage(&claimed, 9)
    };
    for tokens in [7, 8] {
        let salvaged = done(world.store.run_salvage(told(tokens)).await.unwrap());
        assert_eq!(salvaged.status, RunStatus::Cancelled);
        assert_eq!(salvaged.usage, told(7).usage);
    }
}

pub(crate) async fn a_repeated_report_changes_nothing(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    for (start, status) in [(10, RunStatus::Completed), (20, RunStatus::Failed)] {
        let claimed = world.running(world.new_run_with_artifact(start)).await;
        let storage = claimed.artifact.unwrap().0;
        let artifact = Some(saved(storage, start as u8));
        let report = RunFinish {
            artifact,
            ..world.finish(&claimed, status, start + 5)
        };
        let first = world.finished(report.clone()).await;
        let again = RunFinish {
            artifact: Some(saved(storage, 99)),
            now: at(99),
            ..report
        };
        assert_eq!(world.finished(again.clone()).await, first);
        let salvage = RunSalvage {
            artifact: Some(saved(storage, 98)),
            ..world.salvage(&claimed, 100)
        };
        let salvaged = world.store.run_salvage(salvage).await.unwrap();
        assert_eq!(done(salvaged), first);
        let versions = world
            .store
            .storage_version_match(storage, "636363")
            .await
            .unwrap();
        assert!(versions.is_empty());
    }
}

pub(crate) async fn a_report_that_cannot_be_stored_leaves_nothing(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(1)).await;
    let taken = world
        .finished(world.finish(&claimed, RunStatus::Completed, 2))
        .await;
    let claimed = world.running(world.new_run_with_artifact(10)).await;
    let storage = claimed.artifact.unwrap().0;
    let mut report = world.finish(&claimed, RunStatus::Completed, 15);
    report.artifact = Some(saved(storage, 7));
    report.checkpoint.as_mut().unwrap().id = taken.checkpoint_id.unwrap();
    assert!(world.store.run_finish(report.clone()).await.is_err());
    assert_eq!(world.run(claimed.run.id).await, claimed.run);
    assert_eq!(world.storage(StorageKind::Artifact, "out").await.head, None);
    let versions = world
        .store
        .storage_version_list(storage, page(5))
        .await
        .unwrap();
    assert!(versions.is_empty());
    report.checkpoint.as_mut().unwrap().id = CheckpointId::from_uuid(Uuid::now_v7());
    assert_eq!(world.finished(report).await.status, RunStatus::Completed);
}
