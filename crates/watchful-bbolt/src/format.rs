//! The numbers of the format: where they are, and how they are read and written.

/// The length of a page that [`Writer`](crate::Writer) writes.
pub const PAGE_LEN: usize = PAGE_LEN_TOLD as usize;

/// The same, as a meta tells it.
pub(crate) const PAGE_LEN_TOLD: u32 = 4096;

/// The most bytes a key may have: bbolt's own bound.
pub const KEY_LEN_MAX: usize = 32768;

/// The most bytes a value may have: bbolt's own bound.
pub const VALUE_LEN_MAX: usize = (1 << 31) - 2;

/// A page number.
pub(crate) type PageId = u64;

/// How many bytes a page's head has.
pub(crate) const HEAD_LEN: usize = 16;

/// How many bytes an element has, of a leaf and of a branch.
pub(crate) const ELEMENT_LEN: usize = 16;

/// How many bytes a bucket's head has, in a leaf's value and in a meta.
pub(crate) const BUCKET_LEN: usize = 16;

/// How many bytes a meta has, behind the page's head.
pub(crate) const META_LEN: usize = 64;

/// How many of them its checksum covers.
pub(crate) const META_SUMMED_LEN: usize = 56;

pub(crate) const PAGE_BRANCH: u16 = 0x01;
pub(crate) const PAGE_LEAF: u16 = 0x02;
pub(crate) const PAGE_META: u16 = 0x04;
pub(crate) const PAGE_FREELIST: u16 = 0x10;

pub(crate) const ELEMENT_BUCKET: u32 = 0x01;

pub(crate) const MAGIC: u32 = 0xED0C_DAED;
pub(crate) const VERSION: u32 = 2;

/// What a meta says instead of a page when the free pages are not written down.
pub(crate) const NO_FREELIST: PageId = u64::MAX;

/// The first page that is no meta.
pub(crate) const FIRST_PAGE: PageId = 2;

/// What a page says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: PageId,
    pub(crate) flags: u16,
    pub(crate) count: u16,
    pub(crate) overflow: u32,
}

impl Head {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            id: u64_at(bytes, 0)?,
            flags: u16_at(bytes, 8)?,
            count: u16_at(bytes, 10)?,
            overflow: u32_at(bytes, 12)?,
        })
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(self.id, out);
        put_u16(self.flags, out);
        put_u16(self.count, out);
        put_u32(self.overflow, out);
    }
}

/// FNV-1a of 64 bits.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[expect(clippy::little_endian_bytes, reason = "bbolt's numbers are little-endian")]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[expect(clippy::little_endian_bytes, reason = "bbolt's numbers are little-endian")]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[expect(clippy::little_endian_bytes, reason = "bbolt's numbers are little-endian")]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[expect(clippy::little_endian_bytes, reason = "bbolt's numbers are little-endian")]
pub(crate) fn put_u16(number: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
}

#[expect(clippy::little_endian_bytes, reason = "bbolt's numbers are little-endian")]
pub(crate) fn put_u32(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
}

#[expect(clippy::little_endian_bytes, reason = "bbolt's numbers are little-endian")]
pub(crate) fn put_u64(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published test vectors of FNV-1a.
    #[test]
    fn the_checksum_is_fnv_1a() {
        assert_eq!(checksum(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(checksum(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(checksum(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
