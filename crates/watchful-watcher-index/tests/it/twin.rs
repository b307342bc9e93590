//! The index and a plain list do the same steps, and must always agree.

use proptest::collection::vec;
use proptest::prelude::*;
use watchful_revision::KeyRange;
use watchful_watcher_index::{GroupId, WatcherIndex};
use watchful_watcher_index_twin::{Step, Twins};

/// Short keys over bytes that matter: the least, the greatest, and two between.
fn arb_key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0x00), Just(b'a'), Just(b'b'), Just(0xff)], 0..=5)
}

fn arb_range() -> impl Strategy<Value = KeyRange> {
    let between = (arb_key(), arb_key()).prop_filter_map("a range holds a key", |(a, b)| {
        let (start, end) = if a < b { (a, b) } else { (b, a) };
        KeyRange::between(start, end).ok()
    });
    prop_oneof![
        arb_key().prop_map(KeyRange::key),
        arb_key().prop_map(KeyRange::prefix),
        arb_key().prop_map(KeyRange::from_key),
        between,
    ]
}

/// Prefixes of the same byte: a hundred lengths, far more than the table takes, and each key has many of them.
fn arb_long_range() -> impl Strategy<Value = KeyRange> {
    let byte = prop_oneof![Just(b'a'), Just(0xff)];
    (1..100_usize, byte).prop_map(|(len, last)| KeyRange::prefix([vec![b'a'; len], vec![last]].concat()))
}

fn arb_steps<R: Strategy<Value = KeyRange> + Clone + 'static>(
    range: R,
    key: impl Strategy<Value = Vec<u8>> + 'static,
) -> impl Strategy<Value = Vec<Step>> {
    let group = || (0..4_u32).prop_map(GroupId);
    let step = prop_oneof![
        6 => (range.clone(), group()).prop_map(|(range, group)| Step::Insert(range, group)),
        1 => (range, group()).prop_map(|(range, group)| Step::Remove(range, group)),
        3 => any::<usize>().prop_map(Step::RemoveOne),
        3 => key.prop_map(Step::Stab),
    ];
    vec(step, 1..if cfg!(miri) { 20 } else { 200 })
}

proptest! {
    #[test]
    fn agrees_with_a_list(steps in arb_steps(arb_range().boxed(), arb_key()), small in any::<bool>()) {
        let mut twins = Twins::new(if small { WatcherIndex::small() } else { WatcherIndex::new() });
        steps.iter().for_each(|step| twins.step(step));
        twins.take_out();
    }

    #[test]
    fn agrees_with_a_list_beyond_the_cap_on_lengths(
        steps in arb_steps(arb_long_range().boxed(), (0..110_usize).prop_map(|len| vec![b'a'; len])),
        lengths in 60..70_usize,
    ) {
        let mut twins = Twins::new(WatcherIndex::small());
        for len in 1..=lengths {
            twins.step(&Step::Insert(KeyRange::prefix(vec![b'a'; len]), GroupId(9)));
        }
        steps.iter().for_each(|step| twins.step(step));
        twins.take_out();
    }
}
