//! The differences that are known, each as narrow as it can be told. docs/COMPATIBILITY.md tells the same list to people,
//! and a test holds the two together.

use crate::run::Exchange;

/// A difference that is meant to be, or that the etcd at hand has and a later one has not.
#[derive(Debug)]
pub(crate) struct Known {
    /// What docs/COMPATIBILITY.md calls it.
    pub(crate) id: &'static str,
    /// The version of etcd that answers so.
    pub(crate) etcd: &'static str,
    /// Whether it is this one, of the request and of both answers.
    matches: fn(&Exchange) -> bool,
}

impl Known {
    /// Whether the exchange, with an etcd of this version, is this difference.
    pub(crate) fn is(&self, exchange: &Exchange, version: &str) -> bool {
        self.etcd == version && (self.matches)(exchange)
    }
}

pub(crate) const KNOWN: &[Known] = &[];
