use futures::future::join_all;
use vm0_model::{RunId, RunStatus};
use vm0_store::record::{RunNetwork, RunNetworkOutcome, RunNetworkPut};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at};

fn put(world: &World, run: RunId, policy: &str) -> RunNetworkPut {
    RunNetworkPut {
        user_id: world.user.id,
        run_id: run,
        policy: policy.into(),
        has_network: true,
        now: at(9),
    }
}

fn changed(revision: u64, policy: &str) -> RunNetworkOutcome {
    RunNetworkOutcome::Changed(network(revision, policy))
}

fn network(revision: u64, policy: &str) -> RunNetwork {
    RunNetwork {
        revision,
        policy: policy.into(),
    }
}

pub(crate) async fn a_changed_policy_is_numbered_and_handed_out_with_the_claim(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let run = world.create(world.new_run(1)).await.id;
    assert_eq!(world.store.run_network_view(run).await.unwrap(), None);
    for (revision, policy) in [(1, "a"), (2, "b")] {
        let outcome = world.store.run_network_put(put(&world, run, policy)).await;
        assert_eq!(outcome.unwrap(), changed(revision, policy));
    }
    let claimed = world.claim(2).await;
    assert_eq!(claimed.network, Some(network(2, "b")));
    let outcome = world.store.run_network_put(put(&world, run, "c")).await;
    assert_eq!(outcome.unwrap(), changed(3, "c"));
    let reopened = factory.open().await;
    let found = reopened.run_network_view(run).await.unwrap();
    assert_eq!(found, Some(network(3, "c")));
}

pub(crate) async fn concurrent_changes_of_a_policy_have_numbers_of_their_own(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let run = world.create(world.new_run(1)).await.id;
    let puts = (0..8).map(|_| world.store.run_network_put(put(&world, run, "a")));
    let mut revisions: Vec<_> = join_all(puts)
        .await
        .into_iter()
        .map(|outcome| match outcome.unwrap() {
            RunNetworkOutcome::Changed(network) => network.revision,
            other => panic!("{other:?}"),
        })
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=8).collect::<Vec<_>>());
}

pub(crate) async fn the_policy_of_a_run_that_ended_stays(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(1)).await;
    let run = claimed.run.id;
    assert_eq!(claimed.network, None);
    let outcome = world.store.run_network_put(put(&world, run, "a")).await;
    assert_eq!(outcome.unwrap(), changed(1, "a"));
    world
        .finished(world.finish(&claimed, RunStatus::Completed, 5))
        .await;
    let outcome = world.store.run_network_put(put(&world, run, "b")).await;
    assert_eq!(
        outcome.unwrap(),
        RunNetworkOutcome::Terminal(RunStatus::Completed)
    );
    let found = world.store.run_network_view(run).await.unwrap();
    assert_eq!(found, Some(network(1, "a")));
}

pub(crate) async fn a_run_gets_a_network_only_before_it_begins(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let without = |run| RunNetworkPut {
        has_network: false,
        ..put(&world, run, "a")
    };
    let begun = world.running(world.new_run(1)).await.run.id;
    let outcome = world.store.run_network_put(without(begun)).await;
    assert_eq!(outcome.unwrap(), RunNetworkOutcome::NoNetwork);
    let waiting = world.create(world.new_run(2)).await.id;
    let outcome = world.store.run_network_put(without(waiting)).await;
    assert_eq!(outcome.unwrap(), changed(1, "a"));
    world.claim(3).await;
    let outcome = world.store.run_network_put(without(waiting)).await;
    assert_eq!(outcome.unwrap(), changed(2, "a"));
}

pub(crate) async fn the_policy_of_another_users_run_cannot_be_changed(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let other = World::of(world.store.clone(), "bob").await;
    let run = world.create(world.new_run(1)).await.id;
    let outcome = world.store.run_network_put(put(&other, run, "a")).await;
    assert_eq!(outcome.unwrap(), RunNetworkOutcome::NotFound);
    assert_eq!(world.store.run_network_view(run).await.unwrap(), None);
}
