use uuid::Uuid;
use vm0_model::AgentId;
use vm0_model::wire::agents::AgentAction;
use vm0_store::record::{AgentPut, AgentPutOutcome, Key};

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
