//! What one notification holds: what comes first, and how much fits. Pure.

use crate::limits;
use crate::message::Group;

/// The most important first: severity, then count, then whoever waits longest.
pub(super) const ORDER: &str = "CASE severity WHEN 'critical' THEN 7 WHEN 'error' THEN 6 WHEN 'warning' THEN 5 \
    WHEN 'notice' THEN 4 WHEN 'info' THEN 3 WHEN 'debug' THEN 2 WHEN 'trace' THEN 1 ELSE 0 END DESC, \
    count DESC";

/// How full one notification is.
pub(super) struct Filling {
    groups: u32,
    told: u32,
    bytes: usize,
}

impl Filling {
    /// Takes so many groups at most.
    pub(super) fn new(groups: u32) -> Self {
        Self { groups, told: 0, bytes: 0 }
    }

    /// Whether the next group is told in full; the first one always is.
    pub(super) fn takes(&mut self, group: &Group) -> bool {
        self.bytes = self.bytes.saturating_add(size(group));
        let fits = self.told < self.groups && (self.told == 0 || self.bytes <= limits::NOTIFICATION_BYTES);
        self.told += u32::from(fits);
        fits
    }
}

/// How many of these groups, from the first, one notification takes.
pub(super) fn fitting(groups: &[Group], max_groups: u32) -> usize {
    let mut filling = Filling::new(max_groups);
    groups.iter().take_while(|group| filling.takes(group)).count()
}

/// About what a group takes in the record that the plugin gets.
fn size(group: &Group) -> usize {
    let pairs = group.labels.iter().chain(group.annotations.iter());
    let labels: usize = pairs.map(|(name, value)| name.len() + value.len() + 16).sum();
    let samples: usize = group.samples.iter().map(|sample| sample.len() + 8).sum();
    let source = group.source.as_ref().map_or(0, String::len);
    256 + group.text.len() + group.route.len() + group.kind.len() + source + labels + samples
}
