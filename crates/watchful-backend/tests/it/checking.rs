//! The offline check finds nothing wrong with a good file, finds what is wrong with a bad one, and survives any bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;
use watchful_backend::{CheckError, CheckReport, Durability, check_file, check_file_with};

use crate::{TABLES, data_file, key, open, small};

/// The bytes of a good file with branches, overflow pages, free lists and two tables.
fn good_file() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        make_store(dir.path());
        fs::read(data_file(dir.path())).unwrap()
    })
}

fn make_store(dir: &Path) {
    let settings = small().with_durability(Durability::Unsynced);
    let backend = watchful_backend::Backend::open(dir, &settings, &TABLES).unwrap();
    let (log, meta) = (backend.table("log").unwrap(), backend.table("meta").unwrap());
    for round in 0..20u32 {
        let mut txn = backend.write().unwrap();
        for number in round * 40..(round + 1) * 40 {
            txn.append(log, &key(number), &vec![1; usize::try_from(number % 7 * 500).unwrap()]).unwrap();
        }
        txn.delete(log, &key(round * 20 + 3)).unwrap();
        txn.put(meta, b"round", &round.to_be_bytes()).unwrap();
        txn.put(meta, b"large", &vec![round.to_be_bytes()[3]; 10_000]).unwrap();
        txn.commit().unwrap();
    }
}

/// Checks these bytes as a file, opens none of them, and shows the check's report.
fn report_of(bytes: &[u8]) -> Result<CheckReport, CheckError> {
    let dir = tempfile::tempdir().unwrap();
    let path = data_file(dir.path());
    fs::write(&path, bytes).unwrap();
    check_file(&path)
}

#[test]
fn a_good_file_has_no_problem_and_shows_its_entries() {
    let dir = tempfile::tempdir().unwrap();
    make_store(dir.path());
    let mut seen: BTreeMap<String, Vec<(Vec<u8>, usize)>> = BTreeMap::new();
    let report = check_file_with(&data_file(dir.path()), |table, key, value| {
        seen.entry(table.to_owned()).or_default().push((key.to_vec(), value.unwrap().len()));
    });
    let report = report.unwrap();
    assert!(report.is_ok() && report.is_older_usable, "{report:?}");
    let tables: Vec<_> = report.tables.iter().map(|table| (table.name.as_str(), table.entries)).collect();
    assert_eq!(tables, [("log", 780), ("meta", 2)]);
    assert!(report.free_pages > 0);
    assert_eq!(report.used_pages + report.free_pages, report.pages, "no page is lost");
    assert_eq!(seen["log"].len(), 780);
    assert!(seen["log"].is_sorted());
    assert_eq!(seen["meta"], [(b"large".to_vec(), 10_000), (b"round".to_vec(), 4)]);
}

/// The check once took this for damage: LMDB writes a shorter value over the pages of a longer one that the same
/// transaction put, and keeps all of them.
#[test]
fn a_shorter_value_over_a_longer_one_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (backend, log) = open(dir.path());
    let mut txn = backend.write().unwrap();
    for len in [50_000, 5000, 9000] {
        txn.put(log, b"key", &vec![1; len]).unwrap();
    }
    txn.commit().unwrap();
    drop(backend);
    let mut lens = Vec::new();
    let report = check_file_with(&data_file(dir.path()), |_, _, value| lens.push(value.unwrap().len()));
    assert!(report.as_ref().is_ok_and(CheckReport::is_ok), "{report:?}");
    assert_eq!(lens, [9000]);
}

#[test]
fn a_page_that_was_zeroed_or_misplaced_is_found() {
    let good = good_file();
    let report = report_of(good).unwrap();
    let page_bytes = usize::try_from(report.page_bytes).unwrap();
    let pages = usize::try_from(report.pages).unwrap();
    let damaged_pages = |damage: &dyn Fn(&mut Vec<u8>, usize)| {
        let found = (2..pages).filter(|page| {
            let mut bytes = good.to_vec();
            damage(&mut bytes, *page);
            !report_of(&bytes).unwrap().is_ok()
        });
        found.count()
    };
    // Every page with a head is found out. A value's pages but the first have none, and free pages do not matter: here
    // there is one leaf page to every one or two overflow pages.
    let zeroed = damaged_pages(&|bytes, page| bytes[page * page_bytes..][..page_bytes].fill(0));
    let swapped =
        damaged_pages(&|bytes, page| bytes.copy_within(4 * page_bytes..5 * page_bytes, page * page_bytes));
    assert!(zeroed > pages / 3 && swapped > pages / 3, "{zeroed} and {swapped} of {pages}");
}

#[test]
fn a_file_cut_short_is_found() {
    let good = good_file();
    let report = report_of(&good[..good.len() / 2]).unwrap();
    assert!(report.problems.iter().any(|problem| problem.what.contains("file ends before")), "{report:?}");
    assert!(matches!(report_of(b""), Err(CheckError::NotAStore { .. })));
    let missing = check_file(Path::new("/no/such/file"));
    assert!(matches!(missing, Err(CheckError::Io { .. })));
}

#[test]
fn one_damaged_first_page_leaves_the_other() {
    for page in [0, 1] {
        let mut bytes = good_file().to_vec();
        let page_bytes = usize::try_from(report_of(&bytes).unwrap().page_bytes).unwrap();
        bytes[page * page_bytes..][..100].fill(0);
        let report = report_of(&bytes).unwrap();
        assert!(!report.is_older_usable && report.problems[0].page == page as u64, "{report:?}");
        assert!(report.tables[0].entries > 700, "{report:?}");
    }
}

/// Does `damage` to each page in turn that has these flags, and expects the check to tell `what` for one of them.
fn check_found(flags: u16, what: &str, damage: impl Fn(&mut [u8])) {
    let page_bytes = usize::try_from(report_of(good_file()).unwrap().page_bytes).unwrap();
    let found = (2..good_file().len() / page_bytes).any(|page| {
        let mut bytes = good_file().to_vec();
        let page = &mut bytes[page * page_bytes..][..page_bytes];
        if u16_at(page, 10) != flags {
            return false;
        }
        damage(page);
        report_of(&bytes).unwrap().problems.iter().any(|problem| problem.what.contains(what))
    });
    assert!(found, "no damage was told as {what:?}");
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap())
}

/// Where a page's node begins.
fn node(page: &[u8], index: usize) -> usize {
    u16_at(page, 16 + 2 * index).into()
}

const BRANCH: u16 = 1;
const LEAF: u16 = 2;

#[test]
fn each_kind_of_damage_is_told_by_its_name() {
    check_found(LEAF, "it says that it is page", |page| page[0] ^= 1);
    check_found(LEAF, "is out of order", |page| page[16..20].rotate_left(2));
    check_found(LEAF, "does not fit into it", |page| page[16..18].fill(0xff));
    check_found(LEAF, "free space", |page| page[12] ^= 1);
    check_found(BRANCH, "in use twice", |page| {
        let (first, second) = (node(page, 0), node(page, 1));
        page.copy_within(first..first + 6, second);
    });
    check_found(BRANCH, "of the wrong kind", |page| page[10..12].copy_from_slice(&LEAF.to_ne_bytes()));
    // The lists of free pages have keys of eight bytes; the last number of a list is its smallest.
    check_found(LEAF, "in use and free", |page| {
        let list = node(page, 0) + 16;
        if u16_at(page, list - 10) == 8 {
            let last = list + 8 * usize::from(u16_at(page, list));
            page.get_mut(last..last + 8)
                .into_iter()
                .for_each(|number| number.copy_from_slice(&2u64.to_ne_bytes()));
        }
    });
}

/// A list of free pages whose number was damaged was taken for a shorter list: the check found nothing, and the room of the pages
/// behind was gone for good.
#[test]
fn a_list_of_free_pages_that_says_too_few_is_told() {
    let says = |page: &mut [u8], less: fn(u8) -> u8| {
        let node = node(page, 0);
        let list = node + 16;
        if u16_at(page, node + 6) == 8 && u16_at(page, list) > 1 {
            page[list] = less(page[list]);
        }
    };
    check_found(LEAF, "list of free pages does not fit", |page| says(page, |count| count - 1));
    // An empty one may be longer than that.
    check_found(LEAF, "are in use and", |page| says(page, |_| 0));
}

/// `Unsynced`: after a power failure the lists of free pages were those of two commits later, and fitted. The next commits wrote
/// their own over them: pages were lost for good, and a check called the store damaged from then on.
#[test]
fn a_list_of_free_pages_of_a_later_commit_is_told() {
    check_found(LEAF, "is of commit", |page| {
        let node = node(page, 0);
        if u16_at(page, node + 6) == 8 {
            page[node + 8 + 3] = 1;
        }
    });
    // LMDB takes one of commit 0 for as often as it looks, and gives the same pages out twice.
    check_found(LEAF, "is of commit 0", |page| {
        let node = node(page, 0);
        if u16_at(page, node + 6) == 8 {
            page[node + 8..node + 16].fill(0);
        }
    });
}

#[derive(Clone, Debug)]
enum Damage {
    Flip { at: usize, bit: u8 },
    Number { at: usize, value: u64 },
    Zero { sector: usize },
    Copy { from: usize, to: usize },
    Cut { len: usize },
}

fn damage() -> impl Strategy<Value = Damage> {
    // Heads and nodes matter more than values, so half of the places are near the start of a page.
    let len = good_file().len();
    let place =
        move || prop_oneof![0..len, (0..len / 4096, 0..64usize).prop_map(|(page, at)| page * 4096 + at)];
    let number = prop_oneof![0..2000u64, any::<u64>(), (0..64u32).prop_map(|bit| 1 << bit)];
    prop_oneof![
        4 => (place(), 0..8u8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        4 => (place(), number).prop_map(|(at, value)| Damage::Number { at, value }),
        1 => (0..len / 512).prop_map(|sector| Damage::Zero { sector }),
        1 => (0..len / 4096, 0..len / 4096).prop_map(|(from, to)| Damage::Copy { from, to }),
        1 => (0..len).prop_map(|len| Damage::Cut { len }),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match *self {
            Self::Flip { at, bit } => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit),
            Self::Number { at, value } => {
                bytes.iter_mut().skip(at & !1).zip(value.to_ne_bytes()).for_each(|(byte, new)| *byte = new);
            }
            Self::Zero { sector } => bytes.iter_mut().skip(sector * 512).take(512).for_each(|byte| *byte = 0),
            Self::Copy { from, to } if (from.max(to) + 1) * 4096 <= bytes.len() => {
                bytes.copy_within(from * 4096..(from + 1) * 4096, to * 4096);
            }
            Self::Copy { .. } => {}
            Self::Cut { len } => bytes.truncate(len),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The check ends, without a panic, whatever is done to a file; and it finds the same twice.
    #[test]
    fn any_damage_is_survived(damages in proptest::collection::vec(damage(), 1..6)) {
        let mut bytes = good_file().to_vec();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        let dir = tempfile::tempdir().unwrap();
        let path = data_file(dir.path());
        fs::write(&path, &bytes).unwrap();
        let mut entries = 0u64;
        let checked = check_file_with(&path, |_, _, _| entries += 1);
        if let Ok(report) = checked {
            let counted: u64 = report.tables.iter().map(|table| table.entries).sum();
            prop_assert!(entries <= counted);
            prop_assert!(report.problems.len() <= 1000);
            prop_assert!(!report.is_ok() || counted == 782, "{report:?}");
        }
    }
}
