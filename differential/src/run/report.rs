//! What is compared, and what came of it.

use std::collections::BTreeMap;

use crate::answer::Answer;
use crate::caller::Caller;
use crate::program::Program;
use crate::request::Request;

/// The two servers to compare. The first is the one to go by.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) reference: Program,
    pub(crate) subject: Program,
    /// Whether the list of known differences is for these two.
    pub(crate) has_known: bool,
}

impl Pair {
    /// The same with tokens of this kind.
    pub(crate) fn with_web_tokens(mut self, has_web_tokens: bool) -> Self {
        self.reference.has_web_tokens = has_web_tokens;
        self.subject.has_web_tokens = has_web_tokens;
        self
    }
}

/// A request and what both answered.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The step that it belongs to.
    pub(crate) step: usize,
    pub(crate) caller: Caller,
    pub(crate) request: Request,
    pub(crate) answers: [Answer; 2],
    /// The known difference that it is, if it is one.
    pub(crate) known: Option<&'static str>,
}

impl Exchange {
    /// Whether the answers differ. No answer in time is none, even where both gave it.
    pub(super) fn differs(&self) -> bool {
        let [first, second] = &self.answers;
        first != second || self.is_late()
    }

    pub(super) fn is_late(&self) -> bool {
        self.answers.iter().any(|answer| matches!(answer, Answer::Late { .. }))
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) exchanges: usize,
    pub(crate) events: usize,
    /// Watches that were not given on both servers what [`crate::owed`] says they are owed.
    pub(crate) missed: Vec<String>,
    pub(crate) differences: Vec<Exchange>,
    /// How often each known difference was met.
    pub(crate) known: BTreeMap<&'static str, usize>,
    /// Everything that was asked and answered, where it was to be kept.
    pub(crate) transcript: Vec<Exchange>,
    /// The last lines of the servers, where there is a difference.
    pub(crate) output: Vec<String>,
}

impl Report {
    /// Whether nothing unlisted differed, and nothing was waited for in vain.
    pub(crate) fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.missed.is_empty()
    }
}

/// What a run does beside comparing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Go on after a difference.
    pub(crate) keep_going: bool,
    /// Keep everything that was asked and answered.
    pub(crate) transcript: bool,
}
