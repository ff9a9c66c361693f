use vm0_model::RunStatus;
use vm0_store::record::ActiveRuns;

use crate::contract::StoreFactory;
use crate::contract::world::{World, at};

async fn active(world: &World) -> (u64, u64) {
    let ActiveRuns { pending, running } = world.store.run_count_all().await.unwrap();
    (pending, running)
}

pub(crate) async fn active_runs_of_all_users_are_counted(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let other = World::of(world.store.clone(), "other").await;
    assert_eq!(active(&world).await, (0, 0));
    world.create(world.new_run(0)).await;
    other.create(other.new_run(1)).await;
    let last = other.create(other.new_run(2)).await;
    assert_eq!(active(&world).await, (3, 0));
    let claimed = world.claim(10).await;
    world.claim(11).await;
    assert_eq!(active(&world).await, (1, 2));
    let ended = world.finish(&claimed, RunStatus::Failed, 20);
    world.finished(ended).await;
    let cancelled = other.store.run_cancel(other.user.id, last.id, at(21)).await;
    cancelled.unwrap();
    assert_eq!(active(&world).await, (0, 1));
    let later = at(11 + 120_001);
    assert_eq!(world.store.run_expire(later).await.unwrap().len(), 1);
    assert_eq!(active(&world).await, (0, 0));
}
