//! What each page of a file was found to be, a byte a page.

use std::ops::Range;

use super::layout::Misfit;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unseen,
    Used,
    /// Something leads to it, and it is not what it should be there. It may have its place elsewhere.
    Misread,
    Free,
}

/// The pages of a file. Each is in use once, or free once; the two at the start are neither.
pub(super) struct Marks {
    /// One for each page that the file has and the newest commit spans.
    marks: Vec<Mark>,
    last_page: u64,
    needed_pages: u64,
    /// How many free pages lie behind the end of the file.
    free_behind: u64,
}

impl Marks {
    pub(super) fn new(file_pages: u64, last_page: u64) -> Self {
        let pages = usize::try_from(file_pages.min(last_page + 1)).unwrap_or(usize::MAX);
        Self { marks: vec![Mark::Unseen; pages], last_page, needed_pages: 2, free_behind: 0 }
    }

    /// Takes `count` pages from `first` on as in use, of which the file must have all and none may be taken yet.
    pub(super) fn take(&mut self, first: u64, count: u64) -> Result<(), Misfit> {
        self.can_take(first, count).map(|range| self.marks[range].fill(Mark::Used))
    }

    /// Whether they can be taken, and where they are among the marks.
    pub(super) fn can_take(&mut self, first: u64, count: u64) -> Result<Range<usize>, Misfit> {
        let end = first.saturating_add(count);
        if first < 2 || end > self.last_page + 1 {
            return Err(format!(
                "{count} pages from here on are referred to, and the last is {}",
                self.last_page
            ));
        }
        self.needed_pages = self.needed_pages.max(end);
        let range = usize::try_from(first).ok().zip(usize::try_from(end).ok());
        let range = range.map(|(first, end)| first..end).filter(|range| range.end <= self.marks.len());
        let range = range.ok_or("it is referred to, and the file ends before it")?;
        if self.marks[range.clone()].iter().any(|mark| [Mark::Used, Mark::Free].contains(mark)) {
            return Err("it is in use twice".to_owned());
        }
        Ok(range)
    }

    /// A page that was taken is not what it should be.
    pub(super) fn misread(&mut self, number: u64) {
        if let Some(mark) = usize::try_from(number).ok().and_then(|at| self.marks.get_mut(at)) {
            *mark = Mark::Misread;
        }
    }

    /// Takes a page as free. The file may end before it: pages at the end that are free may never have been written.
    pub(super) fn release(&mut self, number: u64) -> Result<(), Misfit> {
        let mark = usize::try_from(number).ok().and_then(|at| self.marks.get_mut(at));
        match mark {
            Some(Mark::Used) => Err("it is in use and free".to_owned()),
            Some(Mark::Free) => Err("it is free twice".to_owned()),
            Some(mark) => {
                *mark = Mark::Free;
                Ok(())
            }
            None => {
                self.free_behind += 1;
                Ok(())
            }
        }
    }

    /// Whether all pages that the newest commit spans and the file does not have are free, as they are unless the number of
    /// the last page is damaged. Whoever believed that one would make the file as long as it says.
    pub(super) fn check_end(&self) -> Result<(), Misfit> {
        let missing = (self.last_page + 1).saturating_sub(self.marks.len() as u64);
        if missing == self.free_behind {
            return Ok(());
        }
        Err(format!(
            "the file ends before it, and of the {missing} pages from here on {} are free",
            self.free_behind
        ))
    }

    /// Whether each page that the newest commit spans is in use or free.
    pub(super) fn check_all_seen(&self) -> Result<(), Misfit> {
        let (used, free) = (2 + self.used(), self.all_free());
        let pages = self.last_page + 1;
        if used + free == pages {
            return Ok(());
        }
        Err(format!("of {pages} pages {used} are in use and {free} are free"))
    }

    /// Whether nothing was found to refer to a page that the file has.
    pub(super) fn is_unseen(&self, number: u64) -> bool {
        self.mark(number) == Some(Mark::Unseen)
    }

    /// Whether a page that the file has may be in use where nothing that was read leads to it.
    pub(super) fn is_loose(&self, number: u64) -> bool {
        self.mark(number).is_some_and(|mark| [Mark::Unseen, Mark::Misread].contains(&mark))
    }

    fn mark(&self, number: u64) -> Option<Mark> {
        usize::try_from(number).ok().and_then(|at| self.marks.get(at)).copied()
    }

    /// How many pages the file must have for all that was taken.
    pub(super) fn needed_pages(&self) -> u64 {
        self.needed_pages
    }

    pub(super) fn used(&self) -> u64 {
        self.count(Mark::Used) + self.count(Mark::Misread)
    }

    pub(super) fn free(&self) -> u64 {
        self.count(Mark::Free)
    }

    /// The free pages behind the end of the file among them.
    pub(super) fn all_free(&self) -> u64 {
        self.free() + self.free_behind
    }

    fn count(&self, mark: Mark) -> u64 {
        self.marks.iter().filter(|found| **found == mark).count() as u64
    }
}
