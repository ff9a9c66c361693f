use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use vm0_model::Timestamp;
use vm0_store::record::{
    ListPage, ListPosition, PutOutcome, SealedSecret, SecretPut, SecretRecord, VariablePut,
    VariableRecord,
};

use crate::contract::StoreFactory;
use crate::contract::world::{World, at, page};

/// Secrets and variables keep the same promises, so the same tests are for both.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Secret,
    Variable,
}

/// An item of either kind; of a variable with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    name: String,
    value: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<SecretRecord> for Item {
    fn from(secret: SecretRecord) -> Self {
        Self {
            name: secret.name,
            value: None,
            created_at: secret.created_at,
            updated_at: secret.updated_at,
        }
    }
}

impl From<VariableRecord> for Item {
    fn from(variable: VariableRecord) -> Self {
        Self {
            name: variable.name,
            value: Some(variable.value),
            created_at: variable.created_at,
            updated_at: variable.updated_at,
        }
    }
}

fn outcome<T: Into<Item>>(outcome: PutOutcome<T>) -> (bool, Item) {
    match outcome {
        PutOutcome::Created(record) => (true, record.into()),
        PutOutcome::Replaced(record) => (false, record.into()),
    }
}

impl Kind {
    /// Whether it is new, and what is stored now.
    async fn put(self, world: &World, name: &str, value: &str, now: Timestamp) -> (bool, Item) {
        let (user_id, name) = (world.user.id, name.to_owned());
        match self {
            Self::Secret => {
                let put = SecretPut {
                    user_id,
                    name,
                    sealed: value.into(),
                    now,
                };
                outcome(world.store.secret_put(put).await.unwrap())
            }
            Self::Variable => {
                let put = VariablePut {
                    user_id,
                    name,
                    value: value.into(),
                    now,
                };
                outcome(world.store.variable_put(put).await.unwrap())
            }
        }
    }

    async fn delete(self, world: &World, name: &str) -> bool {
        match self {
            Self::Secret => world.store.secret_delete(world.user.id, name).await,
            Self::Variable => world.store.variable_delete(world.user.id, name).await,
        }
        .unwrap()
    }

    async fn view(self, world: &World, name: &str) -> Option<Item> {
        match self {
            Self::Secret => {
                let found = world.store.secret_view(world.user.id, name).await;
                found.unwrap().map(Item::from)
            }
            Self::Variable => {
                let found = world.store.variable_view(world.user.id, name).await;
                found.unwrap().map(Item::from)
            }
        }
    }

    async fn list(self, world: &World, page: ListPage) -> Vec<Item> {
        match self {
            Self::Secret => {
                let listed = world.store.secret_list(world.user.id, page).await.unwrap();
                listed.into_iter().map(Item::from).collect()
            }
            Self::Variable => {
                let listed = world.store.variable_list(world.user.id, page).await;
                listed.unwrap().into_iter().map(Item::from).collect()
            }
        }
    }

    async fn find(self, world: &World, names: &BTreeSet<String>) -> BTreeMap<String, String> {
        match self {
            Self::Secret => {
                let found = world.store.secret_find(world.user.id, names).await.unwrap();
                let text = |(name, value)| (name, String::from_utf8(value).unwrap());
                found.into_iter().map(text).collect()
            }
            Self::Variable => {
                let found = world.store.variable_find(world.user.id, names).await;
                found.unwrap()
            }
        }
    }

    /// All items, page by page.
    async fn walk(self, world: &World, limit: u32) -> Vec<Item> {
        let mut walked = Vec::new();
        let mut page = page(limit);
        loop {
            let mut items = self.list(world, page.clone()).await;
            let more = items.len() > limit as usize;
            items.truncate(limit as usize);
            page.after = items.last().map(|last| ListPosition {
                created_at: last.created_at,
                id: last.name.clone(),
            });
            walked.extend(items);
            if !more {
                return walked;
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put { name: String, value: String },
    Delete { name: String },
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || "[A-D]";
    let step = prop_oneof![
        4 => (name(), "[a-z]{0,3}").prop_map(|(name, value)| Step::Put { name, value }),
        2 => name().prop_map(|name| Step::Delete { name }),
        1 => Just(Step::Tick),
    ];
    prop::collection::vec(step, 1..25)
}

pub(crate) async fn any_sequence_of_changes_is_that_of_a_map(factory: &dyn StoreFactory) {
    let store = factory.open().await;
    let mut runner = TestRunner::deterministic();
    for case in 0..24 {
        for kind in [Kind::Secret, Kind::Variable] {
            let world = World::of(store.clone(), &format!("user-{case}-{kind:?}")).await;
            let mut model: BTreeMap<String, (String, Item)> = BTreeMap::new();
            let mut now = 0;
            let (steps, limit) = (steps(), 1_u32..4).new_tree(&mut runner).unwrap().current();
            for step in steps {
                match step {
                    Step::Tick => now += 1,
                    Step::Delete { name } => {
                        let known = model.remove(&name).is_some();
                        assert_eq!(kind.delete(&world, &name).await, known);
                    }
                    Step::Put { name, value } => {
                        let known = model.get(&name);
                        let item = Item {
                            name: name.clone(),
                            value: matches!(kind, Kind::Variable).then(|| value.clone()),
                            created_at: known.map_or(at(now), |(_, item)| item.created_at),
                            updated_at: at(now),
                        };
                        let expected = (known.is_none(), item.clone());
                        assert_eq!(kind.put(&world, &name, &value, at(now)).await, expected);
                        model.insert(name, (value, item));
                    }
                }
                agrees(kind, &world, &model, limit).await;
            }
        }
    }
}

async fn agrees(kind: Kind, world: &World, model: &BTreeMap<String, (String, Item)>, limit: u32) {
    let mut listed: Vec<_> = model.values().map(|(_, item)| item.clone()).collect();
    listed.sort_by_key(|item| Reverse((item.created_at, item.name.clone())));
    assert_eq!(kind.walk(world, limit).await, listed);
    let names: BTreeSet<_> = ["A", "B", "C", "D", "E"].map(str::to_owned).into();
    for name in &names {
        let expected = model.get(name).map(|(_, item)| item.clone());
        assert_eq!(kind.view(world, name).await, expected);
    }
    let values = |(name, (value, _)): (&String, &(String, Item))| (name.clone(), value.clone());
    let values: BTreeMap<_, _> = model.iter().map(values).collect();
    assert_eq!(kind.find(world, &names).await, values);
}

pub(crate) async fn a_value_of_another_user_does_not_exist(factory: &dyn StoreFactory) {
    let maria = World::new(factory).await;
    let pavel = World::of(maria.store.clone(), "pavel").await;
    for kind in [Kind::Secret, Kind::Variable] {
        kind.put(&maria, "KEY", "hers", at(1)).await;
        assert_eq!(kind.view(&pavel, "KEY").await, None);
        assert_eq!(kind.list(&pavel, page(10)).await, []);
        let names = BTreeSet::from(["KEY".to_owned()]);
        assert!(kind.find(&pavel, &names).await.is_empty());
        assert!(!kind.delete(&pavel, "KEY").await);
        assert!(kind.put(&pavel, "KEY", "his", at(2)).await.0, "it is new");
        assert_eq!(kind.find(&maria, &names).await["KEY"], "hers");
    }
}

pub(crate) async fn a_name_is_new_to_one_of_many_concurrent_puts(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    for kind in [Kind::Secret, Kind::Variable] {
        let puts = (0..20).map(|n| {
            let world = world.clone();
            tokio::spawn(async move { kind.put(&world, "KEY", &n.to_string(), at(n)).await.0 })
        });
        let mut new = 0;
        for put in puts.collect::<Vec<_>>() {
            new += usize::from(put.await.unwrap());
        }
        assert_eq!(new, 1);
        assert_eq!(kind.list(&world, page(10)).await.len(), 1);
    }
}

pub(crate) async fn a_sample_is_empty_only_without_secrets(factory: &dyn StoreFactory) {
    let world = World::new(factory).await;
    assert_eq!(world.store.secret_sample(3).await.unwrap(), []);
    Kind::Variable.put(&world, "A", "value", at(1)).await;
    assert_eq!(world.store.secret_sample(3).await.unwrap(), []);
    Kind::Secret.put(&world, "A", "sealed", at(1)).await;
    let sample = SealedSecret {
        user_id: world.user.id,
        name: "A".into(),
        sealed: b"sealed".to_vec(),
    };
    assert_eq!(world.store.secret_sample(3).await.unwrap(), [sample]);
    Kind::Secret.put(&world, "B", "sealed", at(1)).await;
    assert_eq!(world.store.secret_sample(1).await.unwrap().len(), 1);
}
