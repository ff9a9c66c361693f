use uuid::Uuid;
use vm0_model::wire::schedules::ScheduleCreate;
use vm0_model::{RunId, ScheduleId, Timestamp};
use vm0_store::record::{
    AgentDeleteOutcome, ListPage, ListPosition, ScheduleAdvance, ScheduleCreateOutcome,
    ScheduleRecord,
};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at, page};

const MANY: u32 = 100;

fn schedule(world: &World, now: i64, next_at: Option<Timestamp>) -> ScheduleRecord {
    ScheduleRecord {
        id: ScheduleId::from_uuid(Uuid::now_v7()),
        user_id: world.user.id,
        agent_id: world.agent,
        agent_name: "my-agent".into(),
        timezone: "Europe/Berlin".into(),
        request: ScheduleCreate {
            cron: "0 9 * * *".into(),
            prompt: "x".into(),
            ..ScheduleCreate::default()
        },
        next_at,
        last_due_at: None,
        last_run_id: None,
        last_error: None,
        created_at: at(now),
        updated_at: at(now),
    }
}

async fn stored(world: &World, schedule: &ScheduleRecord) {
    let outcome = world.store.schedule_create(schedule.clone(), MANY).await;
    assert_eq!(outcome.unwrap(), ScheduleCreateOutcome::Created);
}

async fn view(world: &World, id: ScheduleId) -> Option<ScheduleRecord> {
    let found = world.store.schedule_view(world.user.id, id).await;
    found.unwrap()
}

pub(crate) async fn a_schedule_reads_back_and_is_listed_newest_first(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let schedules: Vec<_> = [1, 2, 2, 3]
        .map(|now| schedule(&world, now, Some(at(50))))
        .into();
    for it in &schedules {
        stored(&world, it).await;
        assert_eq!(view(&world, it.id).await.as_ref(), Some(it));
    }
    let mut expected = schedules.clone();
    expected.sort_by_key(|it| std::cmp::Reverse((it.created_at, it.id)));
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = ListPage { after, limit: 1 };
        let mut rows = world
            .store
            .schedule_list(world.user.id, page)
            .await
            .unwrap();
        let more = rows.len() > 1;
        rows.truncate(1);
        seen.extend(rows);
        if !more {
            break;
        }
        after = seen.last().map(|it| ListPosition {
            created_at: it.created_at,
            id: it.id.to_string(),
        });
    }
    assert_eq!(seen, expected);
}

pub(crate) async fn a_schedule_of_another_user_does_not_exist(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let mine = schedule(&world, 1, Some(at(50)));
    stored(&world, &mine).await;
    let other = World::of(world.store.clone(), "other").await;
    assert_eq!(view(&other, mine.id).await, None);
    let store = &other.store;
    let switched = store
        .schedule_switch(other.user.id, mine.id, None, at(9))
        .await;
    assert_eq!(switched.unwrap(), None);
    assert!(!store.schedule_delete(other.user.id, mine.id).await.unwrap());
    let listed = store.schedule_list(other.user.id, page(5)).await.unwrap();
    assert_eq!(listed, []);
    let stolen = ScheduleRecord {
        agent_id: world.agent,
        ..schedule(&other, 1, None)
    };
    let outcome = store.schedule_create(stolen, MANY).await.unwrap();
    assert_eq!(outcome, ScheduleCreateOutcome::AgentGone);
    assert_eq!(view(&world, mine.id).await, Some(mine));
}

pub(crate) async fn a_user_has_as_many_schedules_as_allowed(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let create = |now| world.store.schedule_create(schedule(&world, now, None), 2);
    let outcomes = futures::future::join_all((0..6).map(create)).await;
    let created = outcomes
        .into_iter()
        .filter(|outcome| matches!(outcome, Ok(ScheduleCreateOutcome::Created)))
        .count();
    assert_eq!(created, 2);
}

pub(crate) async fn what_is_due_is_given_with_its_owner_and_moves_on_once(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let off = schedule(&world, 1, None);
    let early = schedule(&world, 2, Some(at(50)));
    let late = schedule(&world, 3, Some(at(60)));
    for it in [&off, &early, &late] {
        stored(&world, it).await;
    }
    let due = async |now, limit| world.store.schedule_list_due(at(now), limit).await.unwrap();
    assert_eq!(due(49, 9).await, []);
    let owner = world.user.clone();
    assert_eq!(due(50, 9).await, [(owner.clone(), early.clone())]);
    let both = [
        (owner.clone(), early.clone()),
        (owner.clone(), late.clone()),
    ];
    assert_eq!(due(60, 9).await, both);
    assert_eq!(due(60, 1).await, both[..1]);
    let run = RunId::from_uuid(Uuid::now_v7());
    let advance = |outcome| ScheduleAdvance {
        id: early.id,
        due_at: at(50),
        next_at: Some(at(100)),
        outcome,
    };
    let advanced = async |it| world.store.schedule_advance(it).await.unwrap();
    assert!(advanced(advance(Ok(run))).await);
    assert!(!advanced(advance(Err("again".into()))).await);
    let expected = ScheduleRecord {
        next_at: Some(at(100)),
        last_due_at: Some(at(50)),
        last_run_id: Some(run),
        ..early.clone()
    };
    assert_eq!(view(&world, early.id).await, Some(expected.clone()));
    let failed = ScheduleAdvance {
        due_at: at(100),
        next_at: Some(at(200)),
        ..advance(Err("no such volume".into()))
    };
    assert!(advanced(failed).await);
    let expected = ScheduleRecord {
        next_at: Some(at(200)),
        last_due_at: Some(at(100)),
        last_error: Some("no such volume".into()),
        ..expected
    };
    assert_eq!(view(&world, early.id).await, Some(expected));
}

pub(crate) async fn a_schedule_that_is_off_is_not_due_and_switching_twice_changes_nothing(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let it = schedule(&world, 1, Some(at(50)));
    stored(&world, &it).await;
    let switch = async |next_at, now| {
        let switched = world
            .store
            .schedule_switch(world.user.id, it.id, next_at, at(now))
            .await;
        switched.unwrap().unwrap()
    };
    assert_eq!(switch(Some(at(70)), 2).await, it, "it is on");
    let off = switch(None, 3).await;
    assert_eq!((off.next_at, off.updated_at), (None, at(3)));
    assert_eq!(switch(None, 4).await, off);
    assert_eq!(world.store.schedule_list_due(at(99), 9).await.unwrap(), []);
    let advance = ScheduleAdvance {
        id: it.id,
        due_at: at(50),
        next_at: Some(at(100)),
        outcome: Err("late".into()),
    };
    assert!(!world.store.schedule_advance(advance).await.unwrap());
    assert_eq!(switch(Some(at(80)), 5).await.next_at, Some(at(80)));
}

pub(crate) async fn a_deleted_agent_takes_its_schedules_along(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let it = schedule(&world, 1, Some(at(50)));
    stored(&world, &it).await;
    let deleted = world.store.agent_delete(world.user.id, world.agent).await;
    assert_eq!(deleted.unwrap(), AgentDeleteOutcome::Deleted);
    assert_eq!(view(&world, it.id).await, None);
}
