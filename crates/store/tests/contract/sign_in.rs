use std::sync::Arc;

use uuid::Uuid;
use vm0_model::{TokenId, UserId};
use vm0_store::record::{
    NewPageSession, NewSignInLink, SignInLinkOutcome, SignInLinkUse, TokenOwner, TokenRecord,
    UserRecord,
};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at};

fn link(hash: &str, user: Option<UserId>) -> NewSignInLink {
    NewSignInLink {
        hash: hash.into(),
        user,
        expires_at: at(1_000),
        now: at(0),
        kept: 10,
    }
}

fn link_use(hash: &str, name: Option<&str>, session: &str) -> SignInLinkUse {
    SignInLinkUse {
        hash: hash.into(),
        first_user: name.map(|name| UserRecord {
            id: UserId::from_uuid(Uuid::now_v7()),
            name: name.into(),
        }),
        session_hash: session.into(),
        session_expires_at: at(9_000),
        sessions_kept: 10,
        now: at(1),
    }
}

fn session(world: &World, n: i64) -> NewPageSession {
    NewPageSession {
        hash: format!("session-{n}"),
        user: world.user.id,
        token: None,
        expires_at: at(n + 1_000),
        now: at(n),
        kept: 10,
    }
}

pub(crate) async fn the_first_user_is_made_by_one_of_many_uses(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    for hash in ["old", "new"] {
        assert!(store.sign_in_link_create(link(hash, None)).await.unwrap());
    }
    let gone = store
        .sign_in_link_use(link_use("old", Some("maria"), "s"))
        .await;
    assert_eq!(gone.unwrap(), SignInLinkOutcome::Unknown);
    let unnamed = store.sign_in_link_use(link_use("new", None, "s")).await;
    assert_eq!(unnamed.unwrap(), SignInLinkOutcome::Unnamed);
    let uses = (0..10).map(|n| {
        let store = Arc::clone(&store);
        let used = link_use("new", Some(&format!("user-{n}")), &format!("s-{n}"));
        tokio::spawn(async move {
            let session = used.session_hash.clone();
            let outcome = store.sign_in_link_use(used).await.unwrap();
            let session = store.page_session_find(&session).await.unwrap();
            (outcome, session.map(|session| session.user))
        })
    });
    let mut users = Vec::new();
    for used in uses.collect::<Vec<_>>() {
        match used.await.unwrap() {
            (SignInLinkOutcome::SignedIn(user), session) => {
                assert_eq!(session.as_ref(), Some(&user));
                users.push(user);
            }
            other => assert_eq!(other, (SignInLinkOutcome::Used, None)),
        }
    }
    assert_eq!(users.len(), 1);
    assert!(store.user_any().await.unwrap());
    assert!(
        !store
            .sign_in_link_create(link("third", None))
            .await
            .unwrap()
    );
}

pub(crate) async fn a_link_for_the_first_user_is_void_once_there_is_one(
    factory: &dyn StoreFactory,
) {
    let store = factory.open().await;
    assert!(
        store
            .sign_in_link_create(link("first", None))
            .await
            .unwrap()
    );
    World::of(store.clone(), "pavel").await;
    let used = store
        .sign_in_link_use(link_use("first", Some("maria"), "s"))
        .await;
    assert_eq!(used.unwrap(), SignInLinkOutcome::NotFirst);
    assert_eq!(store.page_session_find("s").await.unwrap(), None);
}

pub(crate) async fn a_link_of_a_user_signs_in_that_user_once_and_in_time(
    factory: &dyn StoreFactory,
) {
    let world = World::new(factory).await;
    for hash in ["a", "b"] {
        let link = link(hash, Some(world.user.id));
        assert!(world.store.sign_in_link_create(link).await.unwrap());
    }
    let used = world
        .store
        .sign_in_link_use(link_use("a", Some("other"), "s"));
    let signed_in = SignInLinkOutcome::SignedIn(world.user.clone());
    assert_eq!(used.await.unwrap(), signed_in);
    let again = world.store.sign_in_link_use(link_use("a", None, "t")).await;
    assert_eq!(again.unwrap(), SignInLinkOutcome::Used);
    let late = SignInLinkUse {
        now: at(1_000),
        ..link_use("b", None, "t")
    };
    let late = world.store.sign_in_link_use(late).await.unwrap();
    assert_eq!(late, SignInLinkOutcome::Expired);
    let view = world.store.sign_in_link_view("a").await.unwrap().unwrap();
    assert_eq!((view.user, view.used), (Some(world.user.clone()), true));
    let few = NewSignInLink {
        kept: 1,
        now: at(1),
        ..link("c", Some(world.user.id))
    };
    world.store.sign_in_link_create(few).await.unwrap();
    assert_eq!(world.store.sign_in_link_view("b").await.unwrap(), None);
}

pub(crate) async fn a_session_ends_with_its_token_or_by_itself(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let token = TokenRecord {
        id: TokenId::from_uuid(Uuid::now_v7()),
        owner: TokenOwner::User(world.user.clone()),
        name: "laptop".into(),
        hash: "token".into(),
        prefix: "vm0_live_1234567...".into(),
        expires_at: Some(at(9)),
        last_used_at: None,
        created_at: at(1),
    };
    let store = &world.store;
    store.token_create(token.clone()).await.unwrap();
    let of_token = NewPageSession {
        token: Some(token.id),
        ..session(&world, 1)
    };
    store.page_session_create(of_token).await.unwrap();
    store.page_session_create(session(&world, 2)).await.unwrap();
    let found = store.page_session_find("session-1").await.unwrap().unwrap();
    assert_eq!(
        (found.user, found.expires_at),
        (world.user.clone(), at(1_001))
    );
    assert!(store.token_delete(world.user.id, token.id).await.unwrap());
    assert_eq!(store.page_session_find("session-1").await.unwrap(), None);
    assert!(store.page_session_delete("session-2").await.unwrap());
    assert!(!store.page_session_delete("session-2").await.unwrap());
    store.page_session_create(session(&world, 3)).await.unwrap();
    assert_eq!(store.sign_in_expire(at(1_002)).await.unwrap(), 0);
    assert_eq!(store.sign_in_expire(at(1_003)).await.unwrap(), 1);
    assert_eq!(store.page_session_find("session-3").await.unwrap(), None);
}

pub(crate) async fn of_too_many_sessions_the_oldest_end(factory: &dyn StoreFactory) {
    let maria = World::new(factory).await;
    let pavel = World::of(maria.store.clone(), "pavel").await;
    let his = NewPageSession {
        hash: "his".into(),
        ..session(&pavel, 0)
    };
    maria.store.page_session_create(his).await.unwrap();
    for n in 0..5 {
        let session = NewPageSession {
            kept: 3,
            ..session(&maria, n)
        };
        maria.store.page_session_create(session).await.unwrap();
    }
    let there = async |hash: &str| {
        let found = maria.store.page_session_find(hash).await.unwrap();
        found.is_some()
    };
    for n in 0..5 {
        assert_eq!(there(&format!("session-{n}")).await, n >= 2, "{n}");
    }
    assert!(there("his").await);
}
