//! One line, or one family of lines, at a time.
//!
//! Counters are written with their full names, as etcd's are: some of those end in `_total` and some do not.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder};
use prometheus_client::metrics::MetricType;
use watchful::Distribution;

/// Labels of one line.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page that is being written.
pub(crate) struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl<'a> Page<'a> {
    pub(crate) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self { encoder }
    }

    /// A number that only grows.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.begin(name, help, MetricType::Counter)?.encode_gauge(&value)
    }

    /// A number of now.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.begin(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// Numbers of now, by labels.
    pub(crate) fn gauges(&mut self, name: &str, help: &str, lines: &[(Labels<'_>, u64)]) -> fmt::Result {
        let mut family = self.begin(name, help, MetricType::Gauge)?;
        lines.iter().try_for_each(|(labels, value)| family.encode_family(labels)?.encode_gauge(value))
    }

    /// The family of metrics that the caller writes the lines of.
    pub(crate) fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.encoder.encode_descriptor(name, help, None, kind)
    }

    /// How values spread, each value times `unit`.
    pub(crate) fn distribution(
        &mut self,
        name: &str,
        help: &str,
        values: &Distribution,
        unit: f64,
    ) -> fmt::Result {
        let buckets = buckets(values, unit);
        let sum = float(values.sum()) * unit;
        let mut metric = self.begin(name, help, MetricType::Histogram)?;
        metric.encode_histogram::<Labels<'_>>(sum, values.count(), &buckets, None)
    }
}

/// All buckets, the last one without a bound: a line that is there once has to be there always.
fn buckets(values: &Distribution, unit: f64) -> Vec<(f64, u64)> {
    let mut buckets: Vec<_> = values.buckets().map(|(bound, count)| (float(bound) * unit, count)).collect();
    if let Some((bound, _)) = buckets.last_mut() {
        *bound = f64::MAX;
    }
    buckets
}

/// For a measurement, of which nobody needs more than 15 digits.
#[allow(clippy::cast_precision_loss, reason = "a measurement needs no more digits than a float has")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
