use vm0_model::Timestamp;
use vm0_store::record::{Acting, AuditAction, RunNetworkPut};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at};

fn acting(now: i64) -> Acting {
    Acting {
        who: "user maria".into(),
        token: None,
        address: Some("192.0.2.1".into()),
        at: at(now),
    }
}

pub(crate) async fn an_action_leaves_its_line_and_a_refused_one_none(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let store = world.store.acting(acting(7));
    let run = world.create(world.new_run(1)).await.id;
    let put = |user_id| RunNetworkPut {
        user_id,
        run_id: run,
        policy: "{}".into(),
        has_network: true,
        now: at(7),
    };
    let other = World::of(world.store.clone(), "bob").await;
    store.run_network_put(put(other.user.id)).await.unwrap();
    world
        .store
        .run_network_put(put(world.user.id))
        .await
        .unwrap();
    store.run_network_put(put(world.user.id)).await.unwrap();
    let lines = world.store.audit_list(at(0), None, 10).await.unwrap();
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert_eq!(line.acting, acting(7));
    assert_eq!(
        (line.action, line.object.clone()),
        (AuditAction::RunNetwork, format!("run {run}"))
    );
}

pub(crate) async fn lines_are_read_in_pages_from_a_time_on(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    for now in [1, 2, 2, 2, 3] {
        let acting = store.acting(acting(now));
        acting
            .audit_note(AuditAction::Gc, format!("{now}"))
            .await
            .unwrap();
    }
    let mut after: Option<(Timestamp, u64)> = None;
    let mut seen = Vec::new();
    loop {
        let page = store.audit_list(at(2), after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.acting.at, last.seq));
        seen.extend(page.into_iter().map(|line| line.object));
    }
    assert_eq!(seen, ["2", "2", "2", "3"]);
}
