//! The storage peers of a workload: LMDB, which the goals speak of, and whatever else is built in, for the scale.

use tempfile::TempDir;
use watchful_peers::{Durability, Lmdb, MISSING, Row as Pair, Storage, open_others};

use crate::Outcome;
use crate::disk::folder;
use crate::report::Row;
use crate::rounds::Series;

/// The name of the peer that goals speak of.
pub(crate) const LMDB: &str = "LMDB";

/// Rows of one commit, where only the time of the whole matters.
const A_COMMIT: usize = 1000;

/// The peers, LMDB first, each in a folder of its own.
pub(crate) struct Peers {
    all: Vec<Box<dyn Storage>>,
    /// Removed after the peers are closed.
    _folders: [TempDir; 2],
}

impl Peers {
    /// Opens them, and says which are missing in this build.
    pub(crate) fn open(workload: &str, durability: Durability) -> Outcome<Self> {
        for name in MISSING {
            eprintln!(
                "  {workload}: {name} IS NOT MEASURED, as it is not built in: run `cargo xtask bench`, or build \
                 watchful-benches with `--features peers`"
            );
        }
        let folders = [folder()?, folder()?];
        let mut all: Vec<Box<dyn Storage>> = vec![Box::new(Lmdb::open(folders[0].path(), durability)?)];
        all.extend(open_others(folders[1].path(), durability)?);
        Ok(Self { all, _folders: folders })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn Storage> {
        self.all.iter().map(|peer| &**peer)
    }

    /// Appends these rows to every peer.
    pub(crate) fn fill(&self, rows: &[Pair]) -> Outcome {
        self.iter().try_for_each(|peer| rows.chunks(A_COMMIT).try_for_each(|commit| peer.append(commit)))
    }

    /// One row for each peer, all with our series; only LMDB's, the first, has goals. `series` are ours and then theirs, in
    /// their order. A peer that is not built in has a row of ours alone, which says so.
    pub(crate) fn rows(
        &self,
        series: Vec<Series>,
        new: impl Fn(&str, Series) -> Row,
        goals: impl FnOnce(Row) -> Row,
    ) -> Outcome<Vec<Row>> {
        let mut series = series.into_iter();
        let ours = series.next().ok_or("nothing was measured")?;
        let lmdb = series.next().ok_or("LMDB was not measured")?;
        let mut rows = vec![goals(new("", ours.clone()).with_peer(LMDB, lmdb))];
        let others = self.iter().skip(1).map(Storage::name).zip(series);
        rows.extend(
            others
                .map(|(name, theirs)| new(&format!(", beside {name}"), ours.clone()).with_peer(name, theirs)),
        );
        rows.extend(MISSING.iter().map(|name| new(&format!(", {name} NOT BUILT IN"), ours.clone())));
        Ok(rows)
    }
}

/// Refuses a peer that has lost what it was given.
pub(crate) fn check_kept(peer: &dyn Storage, (key, expected): &Pair) -> Outcome {
    let mut is_kept = false;
    peer.get(key, &mut |value| {
        is_kept = value == expected;
        Ok(())
    })?;
    if is_kept { Ok(()) } else { Err(format!("{} has lost a row that it was given", peer.name()).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_kept_something_else_is_refused() {
        let peers = Peers::open("test", Durability::Unsynced).unwrap();
        peers.fill(&[(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())]).unwrap();
        for peer in peers.iter() {
            check_kept(peer, &(b"b".to_vec(), b"2".to_vec())).unwrap();
            assert!(check_kept(peer, &(b"b".to_vec(), b"1".to_vec())).is_err(), "{}", peer.name());
            assert!(check_kept(peer, &(b"c".to_vec(), b"1".to_vec())).is_err(), "{}", peer.name());
        }
    }

    #[test]
    fn each_peer_has_a_row_and_each_that_is_missing_too() {
        let peers = Peers::open("test", Durability::Unsynced).unwrap();
        let series = vec![Series(vec![1.0]); 1 + peers.iter().count()];
        let new = |what: &str, ours| Row::new("P0", format!("case{what}"), "µs", ours);
        let rows = peers.rows(series, new, |row| row.with("first", 1.0)).unwrap();
        let rows: Vec<_> = rows.iter().map(Row::to_json).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(
            (rows[0]["peer"]["name"].as_str(), rows[0]["more"]["first"].as_f64()),
            (Some(LMDB), Some(1.0))
        );
        let others =
            rows[1..].iter().filter_map(|row| Some((row["case"].clone(), row["peer"]["name"].as_str()?)));
        assert!(others.into_iter().all(|(case, name)| case == format!("case, beside {name}")));
        for (row, name) in rows[3 - MISSING.len()..].iter().zip(MISSING) {
            assert_eq!(row["case"], format!("case, {name} NOT BUILT IN"));
            assert!(row["peer"].is_null());
        }
    }
}
