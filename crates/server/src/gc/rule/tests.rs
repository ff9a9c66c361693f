use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Seconds.
const GRACE: i64 = 10;
const PACKS: u8 = 4;

/// What happens to a store with a few packs.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes.
    Wait(i64),
    /// A pack is stored, perhaps again.
    Store(u8),
    /// A commit records a version that names these packs, if they are all there.
    Record(BTreeSet<u8>),
    /// A version is deleted.
    Delete(usize),
    /// A run mounts a version.
    Start(usize),
    /// A run ends, and its version names what it had mounted.
    Finish(usize),
    /// A collection reads the rows.
    Mark,
    /// A collection, by what it has read, turns to a pack.
    Visit(u8),
}

#[derive(Debug, Clone)]
struct Pack {
    stored_at: i64,
    condemned_since: Option<i64>,
    /// When it was stored or named last.
    needed_at: i64,
}

#[derive(Debug, Default)]
struct World {
    now: i64,
    packs: BTreeMap<u8, Pack>,
    versions: Vec<BTreeSet<u8>>,
    runs: Vec<(i64, BTreeSet<u8>)>,
    /// What the collection has read, which may be old.
    mark: BTreeSet<u8>,
    removed: usize,
}

impl World {
    fn named(&self) -> BTreeSet<u8> {
        self.versions.iter().flatten().copied().collect()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(seconds) => self.now += seconds,
            Step::Store(pack) => {
                let now = self.now;
                let stored = self.packs.entry(pack).or_insert(Pack {
                    stored_at: now,
                    condemned_since: None,
                    needed_at: now,
                });
                (stored.stored_at, stored.needed_at) = (now, now);
            }
            Step::Record(packs) => {
                self.record(packs);
            }
            Step::Delete(index) if !self.versions.is_empty() => {
                self.touch();
                self.versions.remove(index % self.versions.len());
            }
            Step::Start(index) if !self.versions.is_empty() => {
                let mounted = self.versions[index % self.versions.len()].clone();
                self.runs.push((self.now, mounted));
            }
            Step::Finish(index) if !self.runs.is_empty() => {
                let (_, mounted) = self.runs.remove(index % self.runs.len());
                assert!(self.record(mounted), "a run lost what it had mounted");
            }
            Step::Delete(_) | Step::Start(_) | Step::Finish(_) => {}
            Step::Mark => self.mark = self.named(),
            Step::Visit(pack) => self.visit(pack),
        }
        self.touch();
    }

    /// What a recorder does under its guard.
    fn record(&mut self, packs: BTreeSet<u8>) -> bool {
        if !packs.iter().all(|pack| self.packs.contains_key(pack)) {
            return false;
        }
        for pack in &packs {
            self.packs.get_mut(pack).unwrap().condemned_since = None;
        }
        self.versions.push(packs);
        true
    }

    /// What a collection does: first by its old mark, then, under the guard, by the rows.
    fn visit(&mut self, id: u8) {
        let old = self.mark.contains(&id);
        match self.verdict(id, old) {
            Some(Verdict::Pardon) => self.packs.get_mut(&id).unwrap().condemned_since = None,
            Some(Verdict::Condemn | Verdict::Remove) => {
                let named = self.named();
                // Packs that were named once stay marked until the next collection.
                self.mark.extend(&named);
                let referenced = self.mark.contains(&id);
                match self.verdict(id, referenced) {
                    Some(Verdict::Condemn) => {
                        self.packs.get_mut(&id).unwrap().condemned_since = Some(self.now);
                    }
                    Some(Verdict::Remove) => {
                        let pack = self.packs.remove(&id).unwrap();
                        let idle = self.now - pack.needed_at;
                        assert!(idle >= GRACE, "removed after {idle} s");
                        self.removed += 1;
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn verdict(&self, id: u8, referenced: bool) -> Option<Verdict> {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let pack = self.packs.get(&id)?;
        let moment = Moment {
            now: at(self.now),
            grace: Duration::from_secs(GRACE as u64),
            oldest_running: self.runs.iter().map(|&(start, _)| at(start)).min(),
        };
        Some(moment.verdict(Facts {
            referenced,
            stored_at: at(pack.stored_at),
            condemned_since: pack.condemned_since.map(at),
        }))
    }

    /// Notes what is named now, after proving that it is there.
    fn touch(&mut self) {
        for pack in self.named() {
            let stored = self.packs.get_mut(&pack);
            stored
                .expect("a version names a pack that is gone")
                .needed_at = self.now;
        }
        for (_, mounted) in &self.runs {
            for pack in mounted {
                assert!(
                    self.packs.contains_key(pack),
                    "a run mounts a pack that is gone"
                );
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let packs = proptest::collection::btree_set(0..PACKS, 1..3);
    prop_oneof![
        2 => (0..=GRACE).prop_map(Step::Wait),
        2 => (0..PACKS).prop_map(Step::Store),
        2 => packs.prop_map(Step::Record),
        2 => any::<usize>().prop_map(Step::Delete),
        1 => any::<usize>().prop_map(Step::Start),
        1 => any::<usize>().prop_map(Step::Finish),
        2 => Just(Step::Mark),
        6 => (0..PACKS).prop_map(Step::Visit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_order_of_commits_runs_and_collections_loses_a_pack(
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let mut world = World::default();
        for step in steps {
            world.step(step);
        }
        // Nothing stays for ever either: once all is over, two collections leave what is named.
        for (start, mounted) in std::mem::take(&mut world.runs) {
            world.runs.push((start, mounted));
            world.step(Step::Finish(0));
        }
        for _ in 0..2 {
            world.step(Step::Mark);
            for pack in 0..PACKS {
                world.step(Step::Visit(pack));
            }
            world.step(Step::Wait(GRACE));
        }
        world.step(Step::Mark);
        for pack in 0..PACKS {
            world.step(Step::Visit(pack));
        }
        let left: BTreeSet<u8> = world.packs.keys().copied().collect();
        prop_assert_eq!(left, world.named());
    }
}

#[test]
fn a_pack_without_a_reference_is_condemned_and_removed_after_the_grace_period() {
    let mut world = World::default();
    for step in [
        Step::Store(0),
        Step::Mark,
        Step::Visit(0),
        Step::Wait(GRACE - 1),
    ] {
        world.step(step);
    }
    world.step(Step::Visit(0));
    assert_eq!(world.removed, 0);
    world.step(Step::Wait(1));
    world.step(Step::Visit(0));
    assert_eq!(world.removed, 1);
}
