use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;
use vm0_model::{AgentId, RunStatus};
use vm0_store::record::{ListPage, ListPosition, RunFilter, RunRecord};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at};

async fn next(world: &World, filter: &RunFilter, page: &mut ListPage) -> (Vec<RunRecord>, bool) {
    let mut runs = world
        .store
        .run_list(world.user.id, filter, page.clone())
        .await
        .unwrap();
    let more = runs.len() > page.limit as usize;
    runs.truncate(page.limit as usize);
    if let Some(last) = runs.last() {
        page.after = Some(ListPosition {
            created_at: last.created_at,
            id: last.id.to_string(),
        });
    }
    (runs, more)
}

/// Runs are made at few distinct times, before, between and after the pages of a walk.
pub(crate) async fn a_walk_shows_each_run_once_whatever_is_inserted(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let mut runner = TestRunner::deterministic();
    let times = prop::collection::vec(0_i64..4, 0..12);
    for _ in 0..12 {
        let (before, mut meanwhile, limit) = (&times, &times, 1_u32..5)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        for time in before {
            world.create(world.new_run(time)).await;
        }
        let everything = ListPage {
            limit: 1000,
            after: None,
        };
        let existing = world
            .store
            .run_list(world.user.id, &RunFilter::default(), everything)
            .await
            .unwrap();
        let mut walked: Vec<RunRecord> = Vec::new();
        let mut page = ListPage { limit, after: None };
        loop {
            let (runs, more) = next(&world, &RunFilter::default(), &mut page).await;
            walked.extend(runs);
            if let Some(time) = meanwhile.pop() {
                world.create(world.new_run(time)).await;
            }
            if !more {
                break;
            }
        }
        assert!(walked.is_sorted_by_key(|run| std::cmp::Reverse((run.created_at, run.id))));
        let ids: BTreeSet<_> = walked.iter().map(|run| run.id).collect();
        assert_eq!(ids.len(), walked.len(), "no run twice");
        assert!(
            existing.iter().all(|run| ids.contains(&run.id)),
            "every run that existed"
        );
    }
}

pub(crate) async fn filters_apply_to_every_page(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let other_agent = World {
        agent: AgentId::from_uuid(Uuid::now_v7()),
        ..world.clone()
    };
    world
        .store
        .agent_put(other_agent.put("other", 1))
        .await
        .unwrap();
    for n in 0..24 {
        let owner = if n % 3 == 0 { &other_agent } else { &world };
        let run = world.create(owner.new_run(n / 2)).await;
        if n % 2 == 0 {
            world
                .store
                .run_cancel(world.user.id, run.id, at(50))
                .await
                .unwrap();
        }
    }
    let everything = ListPage {
        limit: 100,
        after: None,
    };
    let all = world
        .store
        .run_list(world.user.id, &RunFilter::default(), everything)
        .await
        .unwrap();
    assert_eq!(all.len(), 24);
    for status in [None, Some(RunStatus::Cancelled), Some(RunStatus::Failed)] {
        for agent_id in [None, Some(other_agent.agent)] {
            for since in [None, Some(at(5))] {
                let filter = RunFilter {
                    status,
                    agent_id,
                    since,
                };
                let mut walked = Vec::new();
                let mut page = ListPage {
                    limit: 3,
                    after: None,
                };
                loop {
                    let (runs, more) = next(&world, &filter, &mut page).await;
                    walked.extend(runs);
                    if !more {
                        break;
                    }
                }
                let expected: Vec<_> = all
                    .iter()
                    .filter(|run| {
                        status.is_none_or(|status| run.status == status)
                            && agent_id.is_none_or(|agent| run.agent_id == agent)
                            && since.is_none_or(|since| run.created_at >= since)
                    })
                    .cloned()
                    .collect();
                assert_eq!(walked, expected, "{filter:?}");
            }
        }
    }
}
