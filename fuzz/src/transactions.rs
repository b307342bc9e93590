//! Transactions, deeply nested and often refused, one after the other in one store: each is answered as the model answers.

use arbitrary::Unstructured;
use watchful_mvcc_twin::{Action, Twin};
use watchful_testkit::script::Step;

use crate::input::{many, ops};

/// The most transactions.
const TXNS_MAX: usize = 40;
/// How deep they nest. etcd's bound is on their number, not on their depth.
const DEPTH_MAX: usize = 5;

pub(crate) fn run(input: &[u8]) {
    let mut u = Unstructured::new(input);
    let mut steps = vec![Step::Grant { id: 1, ttl: 10 }];
    steps.extend(many(&mut u, TXNS_MAX, |u| {
        let count = u.int_in_range(0..=8)?;
        Ok(Step::Txn(ops(u, count, DEPTH_MAX)?))
    }));
    let mut twin = Twin::default();
    // Some together in a group, each seeing what the ones before have done, and some alone.
    for steps in steps.chunks(3) {
        twin.run(&Action::Group { steps: steps.to_vec(), is_committed: true, slice: None });
    }
    twin.check(300);
}
