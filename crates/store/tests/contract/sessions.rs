use uuid::Uuid;
use vm0_model::{AgentId, RunStatus, SessionId};
use vm0_store::record::{ListPage, ListPosition, NewRun, SessionFilter};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at, page};

/// Completes a run that makes a session at `now`.
async fn session(world: &World, now: i64) -> SessionId {
    let claimed = world.running(world.new_run(now - 2)).await;
    let finish = world.finish(&claimed, RunStatus::Completed, now);
    world.finished(finish).await.session_id.unwrap()
}

pub(crate) async fn sessions_are_listed_newest_first_in_pages(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let second = World {
        agent: AgentId::from_uuid(Uuid::now_v7()),
        ..world.clone()
    };
    world.store.agent_put(second.put("other", 1)).await.unwrap();
    let mut made = Vec::new();
    for (owner, now) in [(&world, 10), (&second, 20), (&world, 20), (&world, 30)] {
        made.push((at(now), session(owner, now).await));
    }
    made.sort();
    made.reverse();
    let (mut walked, mut next) = (Vec::new(), page(1));
    loop {
        let filter = SessionFilter::default();
        let rows = world
            .store
            .session_list(world.user.id, &filter, next.clone())
            .await
            .unwrap();
        let Some(first) = rows.first() else { break };
        walked.push((first.created_at, first.id));
        next = ListPage {
            limit: 1,
            after: Some(ListPosition {
                created_at: first.created_at,
                id: first.id.to_string(),
            }),
        };
    }
    assert_eq!(walked, made);
    let filter = SessionFilter {
        agent_id: Some(second.agent),
    };
    let of_agent = world
        .store
        .session_list(world.user.id, &filter, page(9))
        .await
        .unwrap();
    assert_eq!(of_agent.len(), 1);
    assert_eq!(of_agent[0].agent_id, second.agent);
    let other = World::of(world.store.clone(), "pavel").await;
    let foreign = world
        .store
        .session_list(other.user.id, &SessionFilter::default(), page(9))
        .await;
    assert_eq!(foreign.unwrap(), []);
}

pub(crate) async fn a_session_shows_the_run_that_is_active_on_it(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let id = session(&world, 10).await;
    let active = async || {
        let filter = SessionFilter::default();
        let rows = world.store.session_list(world.user.id, &filter, page(9));
        rows.await.unwrap()[0].active_run_id
    };
    assert_eq!(active().await, None);
    let continuing = NewRun {
        session_id: Some(id),
        ..world.new_run(20)
    };
    let run = world.create(continuing).await;
    assert_eq!(active().await, Some(run.id));
    world
        .store
        .run_cancel(world.user.id, run.id, at(21))
        .await
        .unwrap();
    assert_eq!(active().await, None);
}
