use uuid::Uuid;
use vm0_model::{TokenId, UserId};
use vm0_store::record::{TokenOwner, TokenRecord};

use crate::contract::StoreFactory;
use crate::contract::world::at;

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
    store.token_touch(mine.id, at(5)).await.unwrap();
    mine.last_used_at = Some(at(5));
    assert_eq!(store.token_find("hash-1").await.unwrap(), Some(mine));
}
