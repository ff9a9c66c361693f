use futures::join;
use uuid::Uuid;
use vm0_model::wire::agents::AgentAction;
use vm0_model::{AgentId, RunStatus};
use vm0_store::record::{
    AgentDeleteOutcome, AgentPut, AgentPutOutcome, Key, NewRun, RunCreateOutcome,
};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at, page};

pub(crate) async fn composing_makes_finds_and_returns_to_versions(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let put = |config: u8, now: i64| AgentPut {
        now: at(now),
        ..world.put("my-agent", config)
    };
    let steps = [
        (1, AgentAction::Existing, 1),
        (2, AgentAction::Updated, 2),
        (1, AgentAction::Existing, 1),
    ];
    for (now, (config, expected, number)) in (10..).zip(steps) {
        let outcome = world.store.agent_put(put(config, now)).await.unwrap();
        let AgentPutOutcome::Done {
            agent,
            version,
            action,
        } = outcome
        else {
            panic!("{outcome:?}")
        };
        assert_eq!((action, version.number), (expected, number));
        assert_eq!(
            version.message.as_deref(),
            Some(format!("message {config}").as_str())
        );
        assert_eq!(agent.head, version.id);
        assert_eq!(agent.description, Some(format!("configuration {config}")));
        // The first step changes nothing.
        assert_eq!(agent.updated_at, if now == 10 { at(1) } else { at(now) });
        let view = world
            .store
            .agent_view(world.user.id, &Key::Id(agent.id))
            .await
            .unwrap();
        assert_eq!(view, Some((agent, version)));
    }
    let versions = world
        .store
        .agent_version_list(world.agent, None, 1)
        .await
        .unwrap();
    assert_eq!(
        versions
            .iter()
            .map(|version| version.number)
            .collect::<Vec<_>>(),
        [2, 1]
    );
    let older = world
        .store
        .agent_version_list(world.agent, Some(2), 5)
        .await
        .unwrap();
    assert_eq!(older.len(), 1);
    let matched = world
        .store
        .agent_version_match(world.agent, "0202020202")
        .await
        .unwrap();
    assert_eq!(matched.len(), 1);
    assert_eq!(
        world
            .store
            .agent_version_match(world.agent, "0")
            .await
            .unwrap()
            .len(),
        2
    );
    assert!(
        world
            .store
            .agent_version_match(world.agent, "03")
            .await
            .unwrap()
            .is_empty()
    );
}

pub(crate) async fn an_agent_of_another_user_does_not_exist(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let other = World::of(world.store.clone(), "pavel").await;
    let key = Key::Id(world.agent);
    assert_eq!(
        world.store.agent_view(other.user.id, &key).await.unwrap(),
        None
    );
    let listed = world
        .store
        .agent_list(other.user.id, None, page(10))
        .await
        .unwrap();
    assert_eq!(
        listed.iter().map(|agent| agent.id).collect::<Vec<_>>(),
        [other.agent]
    );
    let put = AgentPut {
        key,
        ..other.put("my-agent", 3)
    };
    assert_eq!(
        world.store.agent_put(put).await.unwrap(),
        AgentPutOutcome::NotFound
    );
    let renamed = AgentPut {
        key: Key::Id(other.agent),
        ..other.put("another", 3)
    };
    assert_eq!(
        world.store.agent_put(renamed).await.unwrap(),
        AgentPutOutcome::NameMismatch
    );
    let named = world
        .store
        .agent_list(other.user.id, Some("my-agent"), page(10))
        .await
        .unwrap();
    assert_eq!(named.len(), 1);
    let missing = AgentPut {
        key: Key::Id(AgentId::from_uuid(Uuid::now_v7())),
        ..other.put("my-agent", 3)
    };
    assert_eq!(
        world.store.agent_put(missing).await.unwrap(),
        AgentPutOutcome::NotFound
    );
}

pub(crate) async fn an_agent_with_an_active_run_stays_and_a_deleted_one_leaves_what_its_runs_say(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let other = World::of(world.store.clone(), "pavel").await;
    let delete = |user| world.store.agent_delete(user, world.agent);
    assert_eq!(
        delete(other.user.id).await.unwrap(),
        AgentDeleteOutcome::NotFound
    );
    let pending = world.create(world.new_run(1)).await;
    assert_eq!(
        delete(world.user.id).await.unwrap(),
        AgentDeleteOutcome::ActiveRuns
    );
    let claimed = world.claim(2).await;
    assert_eq!(
        delete(world.user.id).await.unwrap(),
        AgentDeleteOutcome::ActiveRuns
    );
    let finished = world
        .finished(world.finish(&claimed, RunStatus::Completed, 3))
        .await;
    assert_eq!(
        delete(world.user.id).await.unwrap(),
        AgentDeleteOutcome::Deleted
    );
    assert_eq!(
        delete(world.user.id).await.unwrap(),
        AgentDeleteOutcome::NotFound
    );
    let key = Key::Id(world.agent);
    assert_eq!(
        world.store.agent_view(world.user.id, &key).await.unwrap(),
        None
    );
    let versions = world.store.agent_version_list(world.agent, None, 5).await;
    assert_eq!(versions.unwrap(), []);
    assert_eq!(world.run(pending.id).await, finished);
    let user = world.user.id;
    let session = world
        .store
        .session_view(user, finished.session_id.unwrap())
        .await;
    let checkpoint = world
        .store
        .checkpoint_view(user, finished.checkpoint_id.unwrap())
        .await;
    assert_eq!(session.unwrap().unwrap().agent_id, world.agent);
    assert_eq!(checkpoint.unwrap().unwrap().agent_name, "my-agent");
    let put = AgentPut {
        new_id: AgentId::from_uuid(Uuid::now_v7()),
        ..world.put("my-agent", 1)
    };
    let AgentPutOutcome::Done { agent, action, .. } = world.store.agent_put(put).await.unwrap()
    else {
        panic!("the name is not free")
    };
    assert_eq!(action, AgentAction::Created);
    assert_ne!(agent.id, world.agent);
}

pub(crate) async fn an_agent_is_deleted_or_gets_a_run_but_not_both(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    for n in 0_i64..20 {
        let agent = AgentId::from_uuid(Uuid::now_v7());
        let put = AgentPut {
            new_id: agent,
            ..world.put(&format!("agent-{n}"), 1)
        };
        world.store.agent_put(put).await.unwrap();
        let run = NewRun {
            agent_id: agent,
            ..world.new_run(n)
        };
        let (deleted, created) = join!(
            world.store.agent_delete(world.user.id, agent),
            world.store.run_create(run)
        );
        match (deleted.unwrap(), created.unwrap()) {
            (AgentDeleteOutcome::Deleted, RunCreateOutcome::AgentGone)
            | (AgentDeleteOutcome::ActiveRuns, RunCreateOutcome::Created(_)) => {}
            both => panic!("{both:?}"),
        }
    }
}
