use std::sync::Arc;

use uuid::Uuid;
use vm0_model::TokenId;
use vm0_model::device::{DeviceStatus, DeviceView};
use vm0_store::record::{
    DeviceCreateOutcome, DeviceDecideOutcome, DeviceDecision, DeviceRedeem, DeviceRedeemOutcome,
    DeviceTokenRecord, NewDevice, TokenOwner,
};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at};

/// Device codes live this long here.
const LIFE: i64 = 900_000;
/// A poll this much after another is not too soon.
const LATER: i64 = 5_000;

fn device(n: i64, now: i64) -> NewDevice {
    NewDevice {
        hash: format!("device-{n}"),
        user_code_hash: format!("user-{n}"),
        client: Some("vm0/1".into()),
        address: None,
        expires_at: at(now + LIFE),
        now: at(now),
        waiting_max: 100,
    }
}

fn decision(world: &World, n: i64, approved: bool, now: i64) -> DeviceDecision {
    DeviceDecision {
        user_code_hash: format!("user-{n}"),
        user: world.user.id,
        approved,
        now: at(now),
    }
}

/// A poll whose token has a hash of its own.
fn poll(n: i64, now: i64) -> DeviceRedeem {
    let id = TokenId::from_uuid(Uuid::now_v7());
    DeviceRedeem {
        hash: format!("device-{n}"),
        token: DeviceTokenRecord {
            id,
            name: "vm0 auth login".into(),
            hash: format!("token-{id}"),
            prefix: "vm0_live_1234567...".into(),
            expires_at: at(now + 1_000_000),
        },
        now: at(now),
    }
}

pub(crate) async fn an_approved_code_gives_its_token_to_one_of_many_polls(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    let created = world.store.device_create(device(1, 0)).await.unwrap();
    assert_eq!(created, DeviceCreateOutcome::Created);
    let waiting = world.store.device_redeem(poll(1, 0)).await.unwrap();
    assert_eq!(waiting, DeviceRedeemOutcome::Pending);
    let hasty = world.store.device_redeem(poll(1, 10)).await.unwrap();
    assert_eq!(hasty, DeviceRedeemOutcome::SlowDown);
    let decided = world.store.device_decide(decision(&world, 1, true, 20));
    let open = DeviceDecideOutcome::Known(DeviceView::Open);
    assert_eq!(decided.await.unwrap(), open);
    let polls = (0..20).map(|_| {
        let (store, poll) = (Arc::clone(&world.store), poll(1, 20 + LATER));
        tokio::spawn(async move {
            let outcome = store.device_redeem(poll.clone()).await.unwrap();
            (outcome, store.token_find(&poll.token.hash).await.unwrap())
        })
    });
    let mut tokens = Vec::new();
    for polled in polls.collect::<Vec<_>>() {
        match polled.await.unwrap() {
            (DeviceRedeemOutcome::Granted(user), Some(token)) => {
                assert_eq!(user, world.user);
                assert_eq!(token.owner, TokenOwner::User(world.user.clone()));
                tokens.push(token);
            }
            (outcome, token) => assert_eq!((outcome, token), (DeviceRedeemOutcome::Expired, None)),
        }
    }
    assert_eq!(tokens.len(), 1);
    let view = world.store.device_view("user-1").await.unwrap().unwrap();
    assert_eq!(view.grant.status, DeviceStatus::Redeemed);
}

pub(crate) async fn a_code_is_decided_once(factory: &dyn StoreFactory) {
    let maria = World::new(factory).await;
    let pavel = World::of(maria.store.clone(), "pavel").await;
    maria.store.device_create(device(1, 0)).await.unwrap();
    let decide = async |decision| maria.store.device_decide(decision).await.unwrap();
    let unknown = decide(decision(&maria, 2, true, 1)).await;
    assert_eq!(unknown, DeviceDecideOutcome::Unknown);
    let denied = decide(decision(&maria, 1, false, 1)).await;
    assert_eq!(denied, DeviceDecideOutcome::Known(DeviceView::Open));
    let late = decide(decision(&pavel, 1, true, 2)).await;
    assert_eq!(late, DeviceDecideOutcome::Known(DeviceView::Decided));
    for now in [0, LATER] {
        let polled = maria.store.device_redeem(poll(1, now)).await.unwrap();
        assert_eq!(polled, DeviceRedeemOutcome::Denied);
    }
}

pub(crate) async fn an_expired_code_is_worth_nothing(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    for n in [1, 2] {
        world.store.device_create(device(n, 0)).await.unwrap();
    }
    let approve = |n, now| world.store.device_decide(decision(&world, n, true, now));
    let in_time = approve(1, LIFE - 1).await.unwrap();
    assert_eq!(in_time, DeviceDecideOutcome::Known(DeviceView::Open));
    let late = approve(2, LIFE).await.unwrap();
    assert_eq!(late, DeviceDecideOutcome::Known(DeviceView::Expired));
    for n in [1, 2, 3] {
        let polled = world.store.device_redeem(poll(n, LIFE)).await.unwrap();
        assert_eq!(polled, DeviceRedeemOutcome::Expired);
    }
    assert_eq!(world.store.sign_in_expire(at(LIFE - 1)).await.unwrap(), 0);
    assert_eq!(world.store.sign_in_expire(at(LIFE)).await.unwrap(), 2);
    assert_eq!(world.store.device_view("user-1").await.unwrap(), None);
}

pub(crate) async fn no_two_codes_are_alike_and_only_so_many_wait(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let create = async |device| store.device_create(device).await.unwrap();
    assert_eq!(create(device(1, 0)).await, DeviceCreateOutcome::Created);
    let alike = NewDevice {
        hash: "another".into(),
        ..device(1, 0)
    };
    assert_eq!(create(alike).await, DeviceCreateOutcome::CodeTaken);
    let full = |n, now| NewDevice {
        waiting_max: 2,
        ..device(n, now)
    };
    assert_eq!(create(full(2, 0)).await, DeviceCreateOutcome::Created);
    assert_eq!(create(full(3, 0)).await, DeviceCreateOutcome::TooMany);
    assert_eq!(create(full(3, LIFE)).await, DeviceCreateOutcome::Created);
}
