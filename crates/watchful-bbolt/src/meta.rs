//! The two pages that begin a file. Each tells where everything is, as of one transaction.

use crate::format::{
    FIRST_PAGE, HEAD_LEN, Head, MAGIC, META_LEN, META_SUMMED_LEN, NO_FREELIST, PAGE_META, PageId, VERSION,
    checksum, put_u32, put_u64, u32_at, u64_at,
};

/// The page sizes that are read: bbolt takes the operating system's.
pub(crate) const PAGE_LENS: std::ops::RangeInclusive<u32> = 4096..=65536;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) page_len: u32,
    pub(crate) root: PageId,
    /// None when the free pages are not written down.
    pub(crate) freelist: Option<PageId>,
    /// How many pages the file has: the first number that is not in use.
    pub(crate) pages: u64,
    pub(crate) transaction: u64,
}

impl Meta {
    /// Reads the meta of a page's first bytes, or tells what is wrong with it; it reads on from "page n ".
    pub(crate) fn parse(page: &[u8]) -> Result<Self, &'static str> {
        let short = "is too short for a meta";
        let head = Head::parse(page).ok_or(short)?;
        let meta = page.get(HEAD_LEN..HEAD_LEN + META_LEN).ok_or(short)?;
        match u32_at(meta, 0) {
            Some(MAGIC) => {}
            Some(magic) if magic.swap_bytes() == MAGIC => {
                return Err("was written on a machine of the other byte order");
            }
            _ => return Err("does not begin as bbolt's do"),
        }
        if u64_at(meta, META_SUMMED_LEN) != Some(checksum(&meta[..META_SUMMED_LEN])) {
            return Err("has a checksum that does not match");
        }
        if u32_at(meta, 4) != Some(VERSION) {
            return Err("has another version of the format than 2");
        }
        if head.flags != PAGE_META {
            return Err("does not say that it is a meta");
        }
        Self::parse_content(meta).ok_or(short)?.checked()
    }

    fn parse_content(meta: &[u8]) -> Option<Self> {
        Some(Self {
            page_len: u32_at(meta, 8)?,
            root: u64_at(meta, 16)?,
            freelist: Some(u64_at(meta, 32)?).filter(|page| *page != NO_FREELIST),
            pages: u64_at(meta, 40)?,
            transaction: u64_at(meta, 48)?,
        })
    }

    fn checked(self) -> Result<Self, &'static str> {
        let is_page = |page: &PageId| (FIRST_PAGE..self.pages).contains(page);
        if !self.page_len.is_power_of_two() || !PAGE_LENS.contains(&self.page_len) {
            return Err("tells a page size that no machine has");
        }
        if self.pages.checked_mul(u64::from(self.page_len)).is_none() {
            return Err("tells more pages than a file can have");
        }
        if !is_page(&self.root) {
            return Err("tells a root that is no page of the file");
        }
        if !self.freelist.iter().all(is_page) {
            return Err("tells a freelist that is no page of the file");
        }
        Ok(self)
    }

    /// The page `id`, which is 0 or 1, with this meta in it.
    pub(crate) fn encode(&self, id: PageId) -> Vec<u8> {
        let mut page = Vec::with_capacity(self.page_len as usize);
        Head { id, flags: PAGE_META, count: 0, overflow: 0 }.encode(&mut page);
        put_u32(MAGIC, &mut page);
        put_u32(VERSION, &mut page);
        put_u32(self.page_len, &mut page);
        put_u32(0, &mut page);
        put_u64(self.root, &mut page);
        put_u64(0, &mut page);
        put_u64(self.freelist.unwrap_or(NO_FREELIST), &mut page);
        put_u64(self.pages, &mut page);
        put_u64(self.transaction, &mut page);
        let sum = checksum(&page[HEAD_LEN..]);
        put_u64(sum, &mut page);
        page.resize(self.page_len as usize, 0);
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: Meta = Meta { page_len: 4096, root: 3, freelist: Some(2), pages: 9, transaction: 7 };

    #[test]
    fn a_meta_is_read_as_it_was_written() {
        for meta in [META, Meta { freelist: None, page_len: 65536, ..META }] {
            let page = meta.encode(1);
            assert_eq!((page.len(), Meta::parse(&page)), (meta.page_len as usize, Ok(meta)));
        }
    }

    #[test]
    fn any_flipped_bit_is_told() {
        let page = META.encode(0);
        // The head's number, count and overflow are not looked at in a meta, nor by bbolt.
        for bit in (64..80).chain(HEAD_LEN * 8..(HEAD_LEN + META_LEN) * 8) {
            let mut page = page.clone();
            page[bit / 8] ^= 1 << (bit % 8);
            assert!(Meta::parse(&page).is_err(), "bit {bit}");
        }
        for len in 0..HEAD_LEN + META_LEN {
            assert!(Meta::parse(&page[..len]).is_err(), "{len} bytes");
        }
    }

    fn check_refused(meta: Meta, expected: &str) {
        assert_eq!(Meta::parse(&meta.encode(0)), Err(expected));
    }

    #[test]
    fn what_no_file_has_is_told() {
        check_refused(Meta { root: 9, ..META }, "tells a root that is no page of the file");
        check_refused(Meta { root: 1, ..META }, "tells a root that is no page of the file");
        check_refused(Meta { freelist: Some(9), ..META }, "tells a freelist that is no page of the file");
        check_refused(Meta { page_len: 512, ..META }, "tells a page size that no machine has");
        check_refused(Meta { page_len: 12288, ..META }, "tells a page size that no machine has");
        check_refused(Meta { pages: u64::MAX, ..META }, "tells more pages than a file can have");
    }
}
