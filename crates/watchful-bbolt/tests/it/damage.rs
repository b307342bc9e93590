//! Whatever the file holds: an answer or an error, in the time that its length allows, and never a panic.

use std::sync::LazyLock;

use proptest::prelude::*;
use watchful_bbolt::{PAGE_LEN, ReadError, looks_like_bbolt};

use crate::support::{Content, numbered, open, read, write};

/// A file with an inline bucket, a tree of two levels, and a value of several pages.
fn sample() -> Vec<u8> {
    static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut content = numbered(300, b"some value");
        content.insert(b"few".to_vec(), [(b"a".to_vec(), b"1".to_vec())].into());
        content.insert(b"large".to_vec(), [(b"a".to_vec(), vec![1; 9000])].into());
        write(&content)
    });
    SAMPLE.clone()
}

fn read_all(bytes: &[u8]) -> Result<Content, ReadError> {
    let reader = open(bytes)?;
    reader.check()?;
    read(&reader)
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused() {
    let bytes = sample();
    for len in (0..bytes.len()).step_by(if cfg!(miri) { 1280 } else { 128 }) {
        let error = open(&bytes[..len]).unwrap_err();
        let expected = match len {
            0..80 => matches!(error, ReadError::NotBbolt { .. }),
            _ => matches!(error, ReadError::CutShort { .. }),
        };
        assert!(expected, "{len} bytes: {error}");
    }
}

/// A file may be cut after it was opened. With a map that would be the end of the process.
#[test]
fn a_file_that_is_cut_while_it_is_read_is_an_error() {
    let bytes = sample();
    let file = crate::support::file_of(&bytes);
    let reader = watchful_bbolt::Reader::open(file.try_clone().unwrap()).unwrap();
    file.set_len(3 * PAGE_LEN as u64).unwrap();
    assert!(matches!(reader.check(), Err(ReadError::Io(_))));
}

#[test]
#[cfg_attr(miri, ignore = "it reads a file thousands of times; the random damage below is tried a few times")]
fn every_flipped_bit_ends_with_an_answer() {
    let mut bytes = sample();
    let whole = read_all(&bytes).unwrap();
    let mut told = 0;
    for at in (0..bytes.len()).filter(|at| at % PAGE_LEN < 600 || at % 61 == 0) {
        let bit = 1 << (at % 8);
        bytes[at] ^= bit;
        told += usize::from(read_all(&bytes).is_err());
        bytes[at] ^= bit;
    }
    assert!(told > 1000, "{told} of the flips were told");
    assert_eq!(read_all(&bytes).unwrap(), whole);
}

#[test]
fn either_meta_will_do() {
    let bytes = sample();
    let whole = read_all(&bytes).unwrap();
    for meta in [0, 1] {
        let mut bytes = bytes.clone();
        bytes[meta * PAGE_LEN..(meta + 1) * PAGE_LEN].fill(0xff);
        assert_eq!(read_all(&bytes).unwrap(), whole);
    }
    let mut bytes = bytes;
    bytes[..2 * PAGE_LEN].fill(0xff);
    assert!(matches!(open(&bytes), Err(ReadError::NotBbolt { .. })));
}

#[test]
fn other_files_are_told_by_their_beginning() {
    assert!(looks_like_bbolt(&sample()));
    for other in [&b""[..], b"{}", &[0; 200], &[0xff; 200]] {
        assert!(!looks_like_bbolt(other));
        assert!(matches!(open(other), Err(ReadError::NotBbolt { .. })));
    }
}

/// Pages of a file, to change.
struct Pages(Vec<u8>);

impl Pages {
    fn number(&self, at: usize, len: usize) -> usize {
        self.0[at..at + len].iter().rev().fold(0, |all, byte| all << 8 | usize::from(*byte))
    }

    #[expect(clippy::little_endian_bytes, reason = "bbolt's numbers are little-endian")]
    fn set(&mut self, at: usize, len: usize, number: usize) {
        for (place, byte) in self.0[at..at + len].iter_mut().zip((number as u64).to_le_bytes()) {
            *place = byte;
        }
    }

    /// Where the first page with these flags begins.
    fn find(&self, flags: usize) -> usize {
        (0..self.0.len()).step_by(PAGE_LEN).find(|at| self.number(at + 8, 2) == flags).unwrap()
    }

    fn check_told(&self, expected: &str) {
        let error = read_all(&self.0).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

const BRANCH: usize = 1;
const LEAF: usize = 2;

/// A leaf page whose elements all have the one `value`, which is a bucket, and share the end of the last key.
#[expect(clippy::little_endian_bytes, reason = "bbolt's numbers are little-endian")]
fn page_of_shared(value: &[u8]) -> Vec<u8> {
    const KEYS: &[u8] = b"abcdefgh";
    let count = KEYS.len();
    let mut page = vec![0; 16];
    page[8..10].copy_from_slice(&2u16.to_le_bytes());
    page[10] = u8::try_from(count).unwrap();
    for at in 0..count {
        let pos = 16 * (count - at) + at;
        for number in [1, pos, count - at, value.len()] {
            page.extend_from_slice(&u32::try_from(number).unwrap().to_le_bytes());
        }
    }
    [&page[..], KEYS, value].concat()
}

/// Elements of a page could overlap. A file of 12 KB, where eight elements of a leaf were one and the same bucket, sixteen
/// levels deep, kept a check busy for ever. Here it is six levels, which end.
#[test]
fn elements_that_share_a_bucket_are_told() {
    let mut bucket = [&[0; 16][..], &[0; 8], &[2, 0, 0, 0], &[0; 4]].concat();
    for _ in 0..6 {
        bucket = [&[0; 16][..], &page_of_shared(&bucket)].concat();
    }
    let content = Content::from([(b"deep".to_vec(), [(b"b".to_vec(), bucket)].into())]);
    let mut pages = Pages(write(&content));
    let leaf = pages.find(LEAF);
    pages.set(leaf + 16, 4, 1);
    pages.check_told("element 1 begins before the end of the one before");
}

/// Rows that overlapped counted each in full: a file of 1.3 MB was gigabytes once it was loaded.
#[test]
fn values_that_overlap_are_told() {
    let mut pages = Pages(write(&numbered(300, b"some value")));
    let leaf = pages.find(LEAF);
    let value_len = pages.number(leaf + 16 + 12, 4);
    pages.set(leaf + 16 + 12, 4, value_len + 1);
    pages.check_told("element 1 begins before the end of the one before");
    let mut pages = Pages(write(&numbered(300, b"some value")));
    let branch = pages.find(BRANCH);
    let key_len = pages.number(branch + 16 + 4, 4);
    pages.set(branch + 16 + 4, 4, key_len + 1);
    pages.check_told("element 1 begins before the end of the one before");
}

#[test]
fn a_circle_ends() {
    let mut pages = Pages(sample());
    let branch = pages.find(BRANCH);
    // Its first child is itself.
    pages.set(branch + 16 + 8, 8, branch / PAGE_LEN);
    let error = read(&open(&pages.0).unwrap()).unwrap_err().to_string();
    assert!(error.contains("has keys that page"), "{error}");
    pages.check_told("it is used twice");
}

#[test]
fn a_page_that_is_reached_twice_is_told() {
    let mut pages = Pages(sample());
    let branch = pages.find(BRANCH);
    let first = pages.number(branch + 16 + 8, 8);
    pages.set(branch + 32 + 8, 8, first);
    let error = read(&open(&pages.0).unwrap()).unwrap_err().to_string();
    assert!(error.contains("has keys that page"), "{error}");
    pages.check_told("it is used twice");
}

#[test]
fn a_child_outside_the_file_is_told() {
    for page in [0, 1, 9999, usize::MAX] {
        let mut pages = Pages(sample());
        let branch = pages.find(BRANCH);
        pages.set(branch + 16 + 8, 8, page);
        pages.check_told("is no page of the file");
    }
}

#[test]
fn a_page_that_goes_on_for_ever_is_told() {
    let mut pages = Pages(sample());
    let branch = pages.find(BRANCH);
    pages.set(branch + 12, 4, 0xffff_ffff);
    pages.check_told("it goes on behind the last page");
    pages.set(branch + 12, 4, 0);
    pages.set(branch + 10, 2, 0);
    pages.check_told("a branch without children");
    pages.set(branch + 10, 2, 0xffff);
    pages.check_told("room for less than its 65535 elements");
}

#[test]
fn a_page_that_is_in_use_and_free_is_told() {
    const FREELIST: usize = 2 * PAGE_LEN;
    let mut pages = Pages(sample());
    pages.set(FREELIST + 10, 2, 1);
    pages.set(FREELIST + 16, 8, 3);
    pages.check_told("used and free");
    pages.set(FREELIST + 16, 8, 9999);
    pages.check_told("lists page 9999");
    pages.set(FREELIST + 10, 2, 600);
    pages.check_told("room for fewer free pages");
    pages.set(FREELIST + 10, 2, 0xffff);
    pages.check_told("room for fewer free pages");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 2000 }))]

    #[test]
    fn random_damage_ends_with_an_answer(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = sample();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = read_all(&bytes);
    }

    /// Behind two good metas: any bytes at all.
    #[test]
    fn random_pages_end_with_an_answer(
        pages in prop::collection::vec(prop::collection::vec(0u8..20, 80), 1..6),
    ) {
        let mut bytes = sample();
        for (at, page) in pages.iter().enumerate() {
            let start = (3 + at) * PAGE_LEN + 8;
            bytes[start..start + page.len()].copy_from_slice(page);
        }
        let _ = read_all(&bytes);
    }
}
