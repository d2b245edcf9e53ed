use std::collections::BTreeMap;

use proptest::prelude::*;

use super::group::Group;
use super::{MemoryStore, Store, StoreBatch};

fn batch() -> impl Strategy<Value = StoreBatch> {
    let key = || prop::collection::vec(0u8..4, 1..2);
    let deletes = prop::collection::vec(key(), 0..4);
    let puts = prop::collection::btree_map(key(), prop::collection::vec(any::<u8>(), 0..3), 0..4);
    (prop::bool::weighted(0.1), deletes, puts).prop_map(|(clear, deletes, puts)| StoreBatch {
        clear,
        deletes,
        puts: puts.into_iter().collect(),
    })
}

proptest! {
    #[test]
    fn a_group_is_the_same_as_its_batches_in_order(
        before in batch(),
        batches in prop::collection::vec(batch(), 0..6),
    ) {
        let (mut one_by_one, mut together) = (MemoryStore::default(), MemoryStore::default());
        let mut group = Group::default();
        one_by_one.commit(before.clone()).unwrap();
        together.commit(before).unwrap();
        for batch in batches {
            one_by_one.commit(batch.clone()).unwrap();
            group.add(batch);
        }
        let sum = group.into_batch();
        let written: BTreeMap<_, _> = sum.puts.iter().cloned().collect();
        prop_assert_eq!(written.len(), sum.puts.len(), "each key is written once");
        prop_assert!(sum.deletes.iter().all(|key| !sum.clear && !written.contains_key(key)));
        together.commit(sum).unwrap();
        prop_assert_eq!(one_by_one.load().unwrap(), together.load().unwrap());
    }
}
