use uuid::Uuid;
use vm0_model::{TokenId, UserId};
use vm0_store::record::{ListPosition, TokenOwner, TokenRecord, UserTokenRecord};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at, page};

fn token(owner: TokenOwner, hash: &str) -> TokenRecord {
    TokenRecord {
        id: TokenId::from_uuid(Uuid::now_v7()),
        owner,
        name: "laptop".into(),
        hash: hash.into(),
        prefix: "vm0_live_1234567...".into(),
        expires_at: Some(at(9)),
        last_used_at: None,
        created_at: at(1),
    }
}

pub(crate) async fn a_user_is_made_once(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    assert!(!store.user_any().await.unwrap());
    let id = UserId::from_uuid(Uuid::now_v7());
    let first = store.user_ensure(id, "maria", at(0)).await.unwrap();
    let other = UserId::from_uuid(Uuid::now_v7());
    let second = store.user_ensure(other, "maria", at(1)).await.unwrap();
    assert_eq!((first.id, &first), (id, &second));
    assert!(store.user_any().await.unwrap());
}

pub(crate) async fn a_token_is_found_by_its_hash_with_its_owner(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let id = UserId::from_uuid(Uuid::now_v7());
    let user = store.user_ensure(id, "maria", at(0)).await.unwrap();
    let mut mine = token(TokenOwner::User(user), "hash-1");
    let runner = token(TokenOwner::Runner("local".into()), "hash-2");
    store.token_create(mine.clone()).await.unwrap();
    store.token_create(runner.clone()).await.unwrap();
    assert_eq!(
        store.token_find("hash-1").await.unwrap(),
        Some(mine.clone())
    );
    assert_eq!(store.token_find("hash-2").await.unwrap(), Some(runner));
    assert_eq!(store.token_find("hash-3").await.unwrap(), None);
    store.token_touch(vec![(mine.id, at(5))]).await.unwrap();
    mine.last_used_at = Some(at(5));
    assert_eq!(store.token_find("hash-1").await.unwrap(), Some(mine));
}

fn shown(token: &TokenRecord) -> UserTokenRecord {
    UserTokenRecord {
        id: token.id,
        name: token.name.clone(),
        prefix: token.prefix.clone(),
        expires_at: token.expires_at.unwrap(),
        last_used_at: token.last_used_at,
        created_at: token.created_at,
    }
}

pub(crate) async fn the_tokens_of_a_user_are_listed_newest_first(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let runner = token(TokenOwner::Runner("maria".into()), "runner");
    world.store.token_create(runner).await.unwrap();
    let mut expected = Vec::new();
    for (n, time) in [1, 2, 2, 3].into_iter().enumerate() {
        let token = TokenRecord {
            created_at: at(time),
            ..token(TokenOwner::User(world.user.clone()), &format!("hash-{n}"))
        };
        world.store.token_create(token.clone()).await.unwrap();
        expected.insert(0, shown(&token));
    }
    let user = world.user.id;
    let mut page = page(1);
    let mut walked = Vec::new();
    loop {
        let mut tokens = world.store.token_list(user, page.clone()).await.unwrap();
        let more = tokens.len() > 1;
        tokens.truncate(1);
        page.after = tokens.last().map(|last| ListPosition {
            created_at: last.created_at,
            id: last.id.to_string(),
        });
        walked.extend(tokens);
        if !more {
            break;
        }
    }
    assert_eq!(walked, expected);
    for token in walked {
        let view = world.store.token_view(user, token.id).await.unwrap();
        assert_eq!(view, Some(token));
    }
}

pub(crate) async fn a_token_of_another_user_does_not_exist(factory: &dyn StoreFactory) {
    let maria = World::new(factory).await;
    let pavel = World::of(maria.store.clone(), "pavel").await;
    let hers = token(TokenOwner::User(maria.user.clone()), "hers");
    let runner = token(TokenOwner::Runner("pavel".into()), "runner");
    for token in [&hers, &runner] {
        pavel.store.token_create(token.clone()).await.unwrap();
        let (user, id) = (pavel.user.id, token.id);
        assert_eq!(pavel.store.token_view(user, id).await.unwrap(), None);
        assert!(!pavel.store.token_delete(user, id).await.unwrap());
        let found = pavel.store.token_find(&token.hash).await.unwrap();
        assert!(found.is_some(), "it is still there");
    }
    let listed = pavel.store.token_list(pavel.user.id, page(10)).await;
    assert_eq!(listed.unwrap(), []);
    let (user, id) = (maria.user.id, hers.id);
    assert!(maria.store.token_delete(user, id).await.unwrap());
    assert!(!maria.store.token_delete(user, id).await.unwrap());
    assert_eq!(maria.store.token_find("hers").await.unwrap(), None);
}

pub(crate) async fn a_use_is_not_replaced_by_an_earlier_one(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    let first = token(TokenOwner::User(world.user.clone()), "hash-1");
    let second = token(TokenOwner::User(world.user.clone()), "hash-2");
    let gone = TokenId::from_uuid(Uuid::now_v7());
    for token in [&first, &second] {
        world.store.token_create(token.clone()).await.unwrap();
    }
    let uses = vec![(first.id, at(7)), (gone, at(7)), (second.id, at(3))];
    world.store.token_touch(uses).await.unwrap();
    let uses = vec![(first.id, at(5)), (second.id, at(5))];
    world.store.token_touch(uses).await.unwrap();
    for (token, used_at) in [(first, at(7)), (second, at(5))] {
        let view = world.store.token_view(world.user.id, token.id).await;
        assert_eq!(view.unwrap().unwrap().last_used_at, Some(used_at));
    }
}
