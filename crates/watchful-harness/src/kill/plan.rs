//! What both processes derive everything from: which writes there are, and which leases.

use watchful::{KeyRange, LeaseId};
use watchful_testkit::{Op, SplitMix64};

/// Those who write all the while. One more puts keys on leases that are to end.
pub(super) const WRITERS: u64 = 4;
pub(super) const LEASER: u64 = WRITERS;

/// Leases that end by themselves while a child works, and those that last.
pub(super) const SHORT_SECONDS: i64 = 10;
pub(super) const LONG_SECONDS: i64 = 1_000_000;

/// How many leases of each kind one child may grant.
const LEASES: u64 = 1 << 16;

/// Odd ones are short.
pub(super) fn ttl_of(lease: LeaseId) -> i64 {
    if lease % 2 == 1 { SHORT_SECONDS } else { LONG_SECONDS }
}

/// The lease that a writer grants before it writes.
pub(super) fn long_lease(seed: u64, writer: u64) -> LeaseId {
    lease(seed, writer + 1, 0)
}

/// The lease that the leaser's write of this number names.
pub(super) fn short_lease(seed: u64, number: u64) -> LeaseId {
    lease(seed, number, 1)
}

fn lease(seed: u64, number: u64, kind: u64) -> LeaseId {
    i64::try_from((seed % (1 << 40) * LEASES + number % LEASES) * 2 + kind).unwrap()
}

/// Whether it is one of this child's.
pub(super) fn is_of(seed: u64, lease: LeaseId) -> bool {
    lease.unsigned_abs() / 2 / LEASES == seed % (1 << 40)
}

pub(super) fn writer_key(writer: u64) -> String {
    format!("a-writer/{writer}")
}

/// The key that ends with its short lease, and with nothing else.
pub(super) fn lease_key(lease: LeaseId) -> String {
    format!("lease/{lease}")
}

pub(super) fn lease_of_key(key: &[u8]) -> Option<LeaseId> {
    std::str::from_utf8(key).ok()?.strip_prefix("lease/")?.parse().ok()
}

/// What a writer writes: first its own name and number.
pub(super) fn ops(seed: u64, writer: u64, number: u64) -> Vec<Op> {
    let mut rng = SplitMix64::new(seed ^ (writer << 48) ^ number);
    let mut ops = vec![Op::put(writer_key(writer), number.to_string())];
    if writer == LEASER {
        let lease = short_lease(seed, number);
        ops.push(Op::put_with_lease(lease_key(lease), "", lease));
        ops.extend((0..rng.below(3)).map(|_| Op::put_with_lease(key(&mut rng), "leased", lease)));
        return ops;
    }
    for _ in 0..rng.below(6) {
        let key = key(&mut rng);
        let len_max = if rng.chance(20) { 20_000 } else { 100 };
        let value = vec![b'v'; usize::try_from(rng.below(len_max)).unwrap()];
        ops.push(match rng.below(8) {
            0 => Op::delete(key),
            1 => Op::DeleteRange(KeyRange::between("key/03", "key/07").unwrap()),
            2 => Op::put_with_lease(key, value, long_lease(seed, writer)),
            _ => Op::put(key, value),
        });
    }
    ops
}

fn key(rng: &mut SplitMix64) -> String {
    format!("key/{:02}", rng.below(12))
}
