//! What a watch is owed.

use watchful_revision::{KeyRange, Revision};

use super::row::Change;
use super::{Model, ModelEvent};
use crate::Filters;

impl Model {
    /// Every change of main revisions `from_revision` to `to_revision`, both included, that a watch of these ranges and
    /// filters must be told, in order. Compaction takes nothing away.
    #[must_use]
    pub fn events(
        &self,
        ranges: &[KeyRange],
        filters: Filters,
        from_revision: u64,
        to_revision: u64,
    ) -> Vec<ModelEvent> {
        let to = Revision::new(to_revision, u32::MAX);
        self.events_between(ranges, filters, Revision::start_of(from_revision), to).collect()
    }

    /// The same without a `Vec`, and with both ends inside a transaction if need be. `to` is included.
    pub fn events_between<'a>(
        &'a self,
        ranges: &'a [KeyRange],
        filters: Filters,
        from: Revision,
        to: Revision,
    ) -> impl Iterator<Item = ModelEvent> + 'a {
        let start = self.log.partition_point(|change| change.row.revision < from);
        let changes = self.log[start..].iter().take_while(move |change| change.row.revision <= to);
        let owed = changes.filter(move |change| {
            filters.keep(change.kind) && ranges.iter().any(|range| range.contains(&change.row.key))
        });
        owed.map(|change| self.event_of(change))
    }

    /// The change of exactly this revision.
    #[must_use]
    pub fn event_at(&self, revision: Revision) -> Option<ModelEvent> {
        let place = self.log.binary_search_by_key(&revision, |change| change.row.revision).ok()?;
        Some(self.event_of(&self.log[place]))
    }

    /// Whether the key of `event` has changed again since, as far as the model goes.
    #[must_use]
    pub fn is_superseded(&self, event: &ModelEvent) -> bool {
        let newest = self.by_key.get(&event.key).and_then(|places| places.last());
        newest.is_some_and(|&place| self.log[place].row.revision > event.revision)
    }

    fn event_of(&self, change: &Change) -> ModelEvent {
        let row = change.row.clone();
        ModelEvent {
            revision: row.revision,
            kind: change.kind,
            key: row.key,
            value: row.value,
            create_revision: row.create_revision,
            version: row.version,
            lease: row.lease,
            prev: change.prev.map(|place| self.log[place].row.clone()),
        }
    }
}
