//! Files as plain maps, and bytes as files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Cursor, Write as _};

use watchful_bbolt::{ReadError, Reader, Value, Writer};

/// A file's buckets, with their keys and values.
pub(crate) type Content = BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>;

/// The file's bytes.
pub(crate) fn write(content: &Content) -> Vec<u8> {
    let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
    for (name, entries) in content {
        writer.bucket(name).unwrap();
        for (key, value) in entries {
            writer.put(key, value).unwrap();
        }
    }
    let (out, bytes) = writer.finish().unwrap();
    let out = out.into_inner();
    assert_eq!(out.len() as u64, bytes);
    out
}

/// A file with these bytes, which is gone with its handle.
pub(crate) fn file_of(bytes: &[u8]) -> File {
    let mut file = BufWriter::new(tempfile::tempfile().unwrap());
    file.write_all(bytes).unwrap();
    file.into_inner().unwrap()
}

pub(crate) fn open(bytes: &[u8]) -> Result<Reader, ReadError> {
    Reader::open(file_of(bytes))
}

/// Everything in a file whose buckets hold values.
pub(crate) fn read(reader: &Reader) -> Result<Content, ReadError> {
    let mut content = Content::new();
    let mut buckets = reader.entries(&reader.root())?;
    while let Some(entry) = buckets.next()? {
        let mut entries = BTreeMap::new();
        if let Value::Bucket(bucket) = entry.value {
            let mut walk = reader.entries(&bucket)?;
            while let Some(entry) = walk.next()? {
                if let Value::Bytes(value) = entry.value {
                    entries.insert(entry.key.to_vec(), value.to_vec());
                }
            }
        }
        content.insert(entry.key.to_vec(), entries);
    }
    Ok(content)
}

/// A bucket `numbers` of so many keys of eight bytes.
pub(crate) fn numbered(count: u64, value: &[u8]) -> Content {
    let entries = (0..count).map(|number| (number.to_be_bytes().to_vec(), value.to_vec())).collect();
    Content::from([(b"numbers".to_vec(), entries)])
}
