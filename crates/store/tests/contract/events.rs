use futures::future::join_all;
use futures::join;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use vm0_model::event::NewEvent;
use vm0_model::{RunId, RunStatus};
use vm0_store::StoreError;

use crate::contract::StoreFactory;
use crate::contract::world::{World, at, done, event};

/// The `n` of every recorded event, after checking that they are numbered from 1.
async fn recorded(world: &World, run: RunId) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        let after = numbers.len() as u64;
        let page = world.store.event_list(run, after, 7).await.unwrap();
        if page.is_empty() {
            break;
        }
        for event in page {
            let data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
            assert_eq!(event.seq, numbers.len() as u64 + 1);
            assert_eq!(data["sequenceNumber"], event.seq);
            numbers.push(data["n"].as_u64().unwrap());
        }
    }
    assert_eq!(world.run(run).await.event_count, numbers.len() as u64);
    numbers
}

fn batch(range: std::ops::Range<u64>) -> Vec<NewEvent> {
    range.map(event).collect()
}

pub(crate) async fn events_are_numbered_without_gaps(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(0)).await;
    let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
    for (from, to, added) in [(0, 1, 1), (1, 1, 0), (1, 150, 149), (140, 159, 9)] {
        let events = batch(from..to);
        let appended = done(
            world
                .store
                .event_append(id, epoch, from, events)
                .await
                .unwrap(),
        );
        assert_eq!(
            (appended.next_offset, appended.added, appended.status),
            (to, added, RunStatus::Running)
        );
    }
    assert_eq!(recorded(&world, id).await, (0..159).collect::<Vec<_>>());
    let first = &world.store.event_list(id, 0, 1).await.unwrap()[0];
    assert_eq!(
        first.data,
        r#"{"type":"assistant","n":0,"sequenceNumber":1}"#
    );
    assert_eq!((first.timestamp, first.kind.as_str()), (at(0), "assistant"));
}

pub(crate) async fn a_repeated_or_overlapping_batch_is_recorded_once(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(0)).await;
    let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
    for (from, to, end) in [
        (0, 5, 5),
        (0, 5, 5),
        (3, 8, 8),
        (2, 4, 8),
        (9, 12, 8),
        (8, 9, 9),
    ] {
        let events = batch(from..to);
        let appended = done(
            world
                .store
                .event_append(id, epoch, from, events)
                .await
                .unwrap(),
        );
        assert_eq!(appended.next_offset, end, "after {from}..{to}");
    }
    assert_eq!(recorded(&world, id).await, (0..9).collect::<Vec<_>>());
}

pub(crate) async fn concurrent_batches_leave_neither_gap_nor_repeat(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(0)).await;
    let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
    let appends = (0..60).map(|n| {
        let from = n / 2 * 3;
        world
            .store
            .event_append(id, epoch, from, batch(from..from + 3 + n % 2))
    });
    for appended in join_all(appends).await {
        done(appended.unwrap());
    }
    let recorded = recorded(&world, id).await;
    assert_eq!(recorded, (0..recorded.len() as u64).collect::<Vec<_>>());
    assert!(recorded.len() >= 4);
}

pub(crate) async fn any_order_of_retries_records_each_event_once(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let mut runner = TestRunner::deterministic();
    let attempts = prop::collection::vec((0_u64..12, 0_u64..6), 1..20);
    for round in 0..24 {
        let attempts = attempts.new_tree(&mut runner).unwrap().current();
        let claimed = world.running(world.new_run(round * 10)).await;
        let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
        let mut end = 0;
        for (offset, length) in &attempts {
            let events = batch(*offset..offset + length);
            let answer = world
                .store
                .event_append(id, epoch, *offset, events)
                .await
                .unwrap();
            if *offset <= end {
                end = end.max(offset + length);
            }
            assert_eq!(done(answer).next_offset, end, "{attempts:?}");
        }
        assert_eq!(
            recorded(&world, id).await,
            (0..end).collect::<Vec<_>>(),
            "{attempts:?}"
        );
    }
}

pub(crate) async fn events_of_a_run_that_ended_are_not_recorded(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(0)).await;
    let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
    done(
        world
            .store
            .event_append(id, epoch, 0, batch(0..2))
            .await
            .unwrap(),
    );
    world
        .store
        .run_cancel(world.user.id, id, at(5))
        .await
        .unwrap();
    let appended = done(
        world
            .store
            .event_append(id, epoch, 2, batch(2..4))
            .await
            .unwrap(),
    );
    assert_eq!(
        (appended.next_offset, appended.status),
        (2, RunStatus::Cancelled)
    );
    assert_eq!(recorded(&world, id).await, [0, 1]);
}

pub(crate) async fn a_failing_transaction_does_not_affect_its_group(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let claimed = world.running(world.new_run(0)).await;
    let (id, epoch) = (claimed.run.id, claimed.lease.epoch);
    let twice = world.new_run(1);
    world.create(twice.clone()).await;
    let broken = NewEvent {
        data: "not an object".into(),
        ..event(1)
    };
    for round in 0..20 {
        let (good, bad, taken) = join!(
            world
                .store
                .event_append(id, epoch, round, batch(round..round + 1)),
            world
                .store
                .event_append(id, epoch, round, vec![event(99), broken.clone()]),
            world.store.run_create(twice.clone()),
        );
        // Whichever of the two appends came first: the broken one is refused or has nothing new.
        assert!(matches!(bad, Err(StoreError::EventData)), "{bad:?}");
        assert!(taken.is_err(), "an id is taken once");
        assert_eq!(done(good.unwrap()).next_offset, round + 1);
    }
    assert_eq!(recorded(&world, id).await, (0..20).collect::<Vec<_>>());
}
