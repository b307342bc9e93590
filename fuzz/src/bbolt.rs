//! bbolt files of any bytes: an answer or an error, and what is answered is in order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Write as _};
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use watchful_bbolt::{Bucket, PAGE_LEN, ReadError, Reader, Value, Writer};

/// How deep buckets are gone into, as [`Reader::check`] does.
const DEPTH_MAX: usize = 10;

#[derive(Arbitrary, Debug)]
enum Case {
    /// The sample with some of it changed, cut where asked.
    Changed { changes: Vec<Change>, cut: Option<u16> },
    /// A file that somebody wrote, with a bucket inside a bucket.
    Nested { page: Vec<u8> },
    /// Any bytes.
    Loose(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Change {
    page: u8,
    at: u16,
    bytes: Bytes,
}

#[derive(Arbitrary, Debug)]
enum Bytes {
    One(u8),
    Two([u8; 2]),
    Eight([u8; 8]),
}

/// A file with an inline bucket, a tree of two levels, and a value of several pages.
static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let numbers =
        (0..300_u64).map(|number| (number.to_be_bytes().to_vec(), b"some value".to_vec())).collect();
    let one = |value: &[u8]| BTreeMap::from([(b"a".to_vec(), value.to_vec())]);
    write(&BTreeMap::from([
        (b"few".to_vec(), one(b"1")),
        (b"large".to_vec(), one(&[1; 9000])),
        (b"numbers".to_vec(), numbers),
    ]))
});

pub(crate) fn run(input: &[u8]) {
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(input)) else { return };
    let bytes = match case {
        Case::Changed { changes, cut } => changed(&changes, cut),
        // A value that is taken for a bucket, because its element says so, is a page of any bytes.
        Case::Nested { page } => {
            let value = [&[0; 16][..], &page].concat();
            let mut bytes =
                write(&BTreeMap::from([(b"b".to_vec(), BTreeMap::from([(b"k".to_vec(), value)]))]));
            let leaf = (0..bytes.len()).step_by(PAGE_LEN).find(|at| bytes[at + 8] == 2).unwrap();
            bytes[leaf + 16] = 1;
            bytes
        }
        Case::Loose(bytes) => bytes,
    };
    let _ = read_all(&bytes);
}

fn changed(changes: &[Change], cut: Option<u16>) -> Vec<u8> {
    let mut bytes = SAMPLE.clone();
    for Change { page, at, bytes: new } in changes {
        let new: &[u8] = match new {
            Bytes::One(byte) => std::slice::from_ref(byte),
            Bytes::Two(two) => two,
            Bytes::Eight(eight) => eight,
        };
        // Where the elements are, mostly: in the first 600 bytes of a page.
        let at = usize::from(*page) * PAGE_LEN % bytes.len() + usize::from(*at) % 600;
        bytes[at..at + new.len()].copy_from_slice(new);
    }
    if let Some(cut) = cut {
        bytes.truncate(usize::from(cut));
    }
    bytes
}

pub(crate) fn write(content: &BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>) -> Vec<u8> {
    let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
    for (name, entries) in content {
        writer.bucket(name).unwrap();
        entries.iter().for_each(|(key, value)| writer.put(key, value).unwrap());
    }
    writer.finish().unwrap().0.into_inner()
}

/// A file with these bytes, which is gone with its handle.
pub(crate) fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn read_all(bytes: &[u8]) -> Result<(), ReadError> {
    let reader = Reader::open(file_of(bytes))?;
    // A walk of what was not checked ends too.
    let (checked, walked) = (reader.check(), walk(&reader, &reader.root(), DEPTH_MAX));
    checked.map(drop)?;
    walked.expect("what was checked can be read");
    Ok(())
}

fn walk(reader: &Reader, bucket: &Bucket, depth: usize) -> Result<(), ReadError> {
    let mut entries = reader.entries(bucket)?;
    let mut last: Option<Vec<u8>> = None;
    let mut count = 0;
    while let Some(entry) = entries.next()? {
        assert!(last.as_deref().is_none_or(|last| last < entry.key), "keys are in order");
        last = Some(entry.key.to_vec());
        count += 1;
        assert!(count < 100_000, "a file of a few pages has few keys");
        if let Value::Bucket(inner) = entry.value
            && depth > 0
        {
            walk(reader, &inner, depth - 1)?;
        }
    }
    assert_eq!(reader.last_key(bucket)?, last);
    Ok(())
}
