use futures::future::join_all;
use vm0_model::StorageKind;
use vm0_store::record::{Key, StorageCommit, StorageCommitOutcome, StorageRecord, UploadRecord};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at, commit, page, storage_id, version};

pub(crate) async fn a_commit_moves_the_head_and_keeps_the_first_row(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let volume = world.volume("data").await;
    for (n, now) in [(1, 10), (2, 20), (1, 30), (1, 40)] {
        let outcome = world
            .store
            .storage_commit(commit(volume.id, n, now))
            .await
            .unwrap();
        let StorageCommitOutcome::Committed(recorded) = outcome else {
            panic!("{outcome:?}")
        };
        let first = if n == 1 {
            "commit at 10"
        } else {
            "commit at 20"
        };
        assert_eq!(recorded.message.as_deref(), Some(first));
        let stored = world.storage(StorageKind::Volume, "data").await;
        assert_eq!(stored.head, Some(recorded));
        assert_eq!(
            stored.updated_at,
            at(now.min(30)),
            "the head changed last at 30"
        );
    }
    let versions = world
        .store
        .storage_version_list(volume.id, page(10))
        .await
        .unwrap();
    assert_eq!(
        versions.iter().map(|it| it.id).collect::<Vec<_>>(),
        [version(2), version(1)]
    );
    let matched = world
        .store
        .storage_version_match(volume.id, "01010101")
        .await
        .unwrap();
    assert_eq!(
        matched.iter().map(|it| it.id).collect::<Vec<_>>(),
        [version(1)]
    );
    let gone = world
        .store
        .storage_commit(commit(storage_id(), 1, 50))
        .await
        .unwrap();
    assert_eq!(gone, StorageCommitOutcome::Gone);
}

pub(crate) async fn a_commit_that_expects_another_head_is_refused(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let volume = world.volume("data").await;
    let expecting = |n, expected| StorageCommit {
        expected: Some(expected),
        ..commit(volume.id, n, 1)
    };
    let conflict = world
        .store
        .storage_commit(expecting(1, Some(version(9))))
        .await
        .unwrap();
    assert_eq!(conflict, StorageCommitOutcome::Conflict);
    for (n, expected) in [(1, None), (2, Some(version(1))), (2, None)] {
        let outcome = world
            .store
            .storage_commit(expecting(n, expected))
            .await
            .unwrap();
        assert!(
            matches!(outcome, StorageCommitOutcome::Committed(_)),
            "{n} {expected:?}"
        );
    }
    let conflict = world
        .store
        .storage_commit(expecting(3, None))
        .await
        .unwrap();
    assert_eq!(conflict, StorageCommitOutcome::Conflict);
    let versions = world
        .store
        .storage_version_list(volume.id, page(10))
        .await
        .unwrap();
    assert_eq!(versions.len(), 2, "a refused commit leaves no version");
}

pub(crate) async fn only_one_of_two_commits_that_expect_the_same_head_wins(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let volume = world.volume("data").await;
    let commits = (1..=20).map(|n| {
        let commit = StorageCommit {
            expected: Some(None),
            ..commit(volume.id, n, 1)
        };
        world.store.storage_commit(commit)
    });
    let outcomes = join_all(commits).await;
    let won = outcomes
        .into_iter()
        .filter(|outcome| matches!(outcome, Ok(StorageCommitOutcome::Committed(_))));
    assert_eq!(won.count(), 1);
}

pub(crate) async fn an_open_upload_is_found_by_what_it_uploads(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let (volume, other) = (world.volume("data").await, world.volume("other").await);
    let upload = UploadRecord {
        id: "upload:aa:1".to_owned(),
        storage_id: volume.id,
        expires_at: at(10),
        committed: None,
        created_at: at(0),
    };
    world.store.upload_create(upload.clone()).await.unwrap();
    let find = async |storage, prefix: &str, now| {
        let found = world.store.upload_find(storage, prefix, at(now)).await;
        found.unwrap()
    };
    assert_eq!(find(volume.id, "upload:aa:", 9).await, Some(upload));
    assert_eq!(find(volume.id, "upload:aa:", 10).await, None);
    assert_eq!(find(volume.id, "upload:ab:", 9).await, None);
    assert_eq!(find(other.id, "upload:aa:", 9).await, None);
    let used = StorageCommit {
        upload: Some("upload:aa:1".into()),
        ..commit(volume.id, 1, 1)
    };
    world.store.storage_commit(used).await.unwrap();
    assert_eq!(find(volume.id, "upload:aa:", 9).await, None);
}

pub(crate) async fn uploads_expire_oldest_first(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let volume = world.volume("data").await;
    let upload = |n: i64| UploadRecord {
        id: format!("upload:{n}"),
        storage_id: volume.id,
        expires_at: at(n),
        committed: None,
        created_at: at(0),
    };
    for n in [3, 1, 2, 9] {
        world.store.upload_create(upload(n)).await.unwrap();
    }
    assert_eq!(
        world.store.upload_view("upload:9").await.unwrap(),
        Some(upload(9))
    );
    let used = StorageCommit {
        upload: Some("upload:9".into()),
        ..commit(volume.id, 1, 1)
    };
    world.store.storage_commit(used).await.unwrap();
    let view = world.store.upload_view("upload:9").await.unwrap().unwrap();
    assert_eq!(view.committed, Some(version(1)));
    let mut expired = world.store.upload_expire(at(4), 2).await.unwrap();
    expired.sort();
    assert_eq!(expired, ["upload:1", "upload:2"]);
    assert_eq!(
        world.store.upload_expire(at(4), 2).await.unwrap(),
        ["upload:3"]
    );
    assert_eq!(world.store.upload_view("upload:3").await.unwrap(), None);
}

pub(crate) async fn a_name_is_taken_once_for_each_kind(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let volume = world.volume("data").await;
    let again = StorageRecord {
        id: storage_id(),
        ..volume.clone()
    };
    assert_eq!(world.store.storage_create(again).await.unwrap(), None);
    let artifact = StorageRecord {
        id: storage_id(),
        kind: StorageKind::Artifact,
        ..volume.clone()
    };
    assert_eq!(
        world.store.storage_create(artifact.clone()).await.unwrap(),
        Some(artifact.clone())
    );
    let key = Key::Id(artifact.id);
    let crossed = world
        .store
        .storage_view(world.user.id, StorageKind::Volume, &key)
        .await;
    assert_eq!(
        crossed.unwrap(),
        None,
        "an id of one kind is unknown to the other"
    );
    let other = World::of(world.store.clone(), "pavel").await;
    let foreign = world
        .store
        .storage_view(other.user.id, StorageKind::Volume, &Key::Id(volume.id))
        .await;
    assert_eq!(foreign.unwrap(), None);
    let listed = world
        .store
        .storage_list(world.user.id, StorageKind::Volume, None, page(5))
        .await;
    assert_eq!(listed.unwrap(), [volume]);
}

pub(crate) async fn a_deleted_storage_takes_its_versions_and_uploads_along(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let (data, kept) = (world.volume("data").await, world.volume("kept").await);
    let upload = |storage: &StorageRecord, id: &str| UploadRecord {
        id: id.into(),
        storage_id: storage.id,
        expires_at: at(9),
        committed: None,
        created_at: at(0),
    };
    for storage in [&data, &kept] {
        world
            .store
            .storage_commit(commit(storage.id, 1, 1))
            .await
            .unwrap();
        let id = format!("upload:{}", storage.name);
        assert!(
            world
                .store
                .upload_create(upload(storage, &id))
                .await
                .unwrap()
        );
    }
    let other = World::of(world.store.clone(), "pavel").await;
    for (user, kind) in [
        (other.user.id, StorageKind::Volume),
        (world.user.id, StorageKind::Artifact),
    ] {
        let deleted = world.store.storage_delete(user, kind, data.id).await;
        assert_eq!(deleted.unwrap(), None, "it is unknown there");
    }
    let delete = || {
        world
            .store
            .storage_delete(world.user.id, StorageKind::Volume, data.id)
    };
    assert_eq!(
        delete().await.unwrap(),
        Some(vec!["upload:data".to_owned()])
    );
    assert_eq!(delete().await.unwrap(), None);
    let versions = world.store.storage_version_list(data.id, page(5)).await;
    assert_eq!(versions.unwrap(), []);
    assert_eq!(world.store.upload_view("upload:data").await.unwrap(), None);
    let late = world
        .store
        .upload_create(upload(&data, "upload:late"))
        .await;
    assert!(!late.unwrap(), "an upload needs its storage");
    let gone = world.store.storage_commit(commit(data.id, 2, 2)).await;
    assert_eq!(gone.unwrap(), StorageCommitOutcome::Gone);
    let again = world.volume("data").await;
    assert_eq!(again.head, None);
    let kept = world.storage(StorageKind::Volume, "kept").await;
    assert_eq!(kept.head.unwrap().id, version(1));
    let upload = world.store.upload_view("upload:kept").await;
    assert!(upload.unwrap().is_some());
}
