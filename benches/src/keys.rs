//! Keys and values: made from a number, so that whoever receives one can tell whether it is the right one.

use watchful::KeyRange;
use watchful_testkit::SplitMix64;

/// The seed of every workload's random choices: the same run, each time.
pub const KEYS_SEED: u64 = 0x5eed_0001;

/// Key number `number`, `len` bytes long (at least 20).
#[must_use]
pub fn key_of(number: u64, len: usize) -> Vec<u8> {
    let mut key = format!("/bench/key/{number:09}").into_bytes();
    key.resize(len.max(key.len()), b'.');
    key
}

/// All keys that [`key_of`] makes.
pub(crate) fn all_keys() -> KeyRange {
    KeyRange::prefix("/bench/")
}

/// A value of `len` bytes that begins with `number`.
pub(crate) fn value_of(number: u64, len: usize) -> Vec<u8> {
    let mut value = number.to_be_bytes().to_vec();
    value.resize(len.max(value.len()), b'v');
    value
}

/// The number a value begins with.
pub(crate) fn number_in(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*value.first_chunk()?))
}

/// A number below `below`, at random.
pub(crate) fn any_below(rng: &mut SplitMix64, below: u64) -> u64 {
    rng.next_u64() % below
}
