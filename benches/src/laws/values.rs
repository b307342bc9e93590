//! S8: what a value costs by its length: a put, and on the disk.

use std::time::Instant;

use watchful::Durability;

use super::{Law, ONCE, SOME, without_state};
use crate::Outcome;
use crate::disk::folder;
use crate::gear::Gear;
use crate::keys::{key_of, value_of};
use crate::report::Row;
use crate::workloads::support::{figure, micros_each, open};

const SIZES: &[u64] = &[64, 1024, 65_536];
const KEY_LEN: usize = 32;

/// So few keys, that a round's puts replace values of their own length.
const KEYS: u64 = 100;

pub(crate) fn run(gear: &Gear) -> Outcome<Vec<Row>> {
    let puts: u64 = gear.scale.pick(2000, 500);
    let law = |case, unit, tolerance| Law { workload: "S8", case, unit, expected: 1.0, tolerance };
    let opened = |len: &u64| {
        let folder = folder()?;
        Ok((*len, (open(folder.path(), Durability::Unsynced)?, folder)))
    };
    let mut stores = SIZES.iter().map(opened).collect::<Outcome<Vec<_>>>()?;
    let put = law("put a value of # bytes", "µs", 0.0).measure(&mut stores, SOME, |len, (store, _)| {
        let (begun, len) = (Instant::now(), usize::try_from(len)?);
        for number in 0..puts {
            store.put(key_of(number % KEYS, KEY_LEN), value_of(number, len)).wait()?;
        }
        Ok(micros_each(begun, usize::try_from(puts)?))
    })?;
    let disk = law("a record with a value of # bytes, on disk", "B", 0.0);
    let disk = disk.measure(&mut without_state(SIZES), ONCE, |len, ()| {
        let folder = folder()?;
        let store = open(folder.path(), Durability::Unsynced)?;
        let empty = store.stats().mvcc.used_bytes;
        for number in 0..puts {
            store.put(key_of(number, KEY_LEN), value_of(number, usize::try_from(len)?)).wait()?;
        }
        Ok(figure(store.stats().mvcc.used_bytes - empty) / figure(puts))
    })?;
    Ok([put, disk].concat())
}
