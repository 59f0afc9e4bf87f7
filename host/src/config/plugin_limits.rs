//! `[senders.NAME.limits]`: how far one call of a plugin may go, with the bounds of every limit.
//!
//! The defaults suit guests in Rust, JavaScript and Python. What a limit is for says `PluginLimits`; who enforces it is
//! the plugin host.

use std::time::Duration;

use super::typed::Section;
use super::{PluginLimits, duration, size};
use crate::limits;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const KIB: usize = 1024;
const MIB: usize = 1024 * 1024;

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            offline_timeout: SECOND,
            offline_cpu: SECOND,
            prepare_timeout: MINUTE,
            prepare_cpu: 5 * SECOND,
            send_cpu: 2 * SECOND,
            // What a JavaScript guest needs, with room.
            memory_bytes: 128 * MIB,
            // Address space, not memory; Python guests need over 100,000.
            table_elements: 200_000,
            // Python guests bring one for each native library.
            instances: 64,
            resources: 256,
            transfer_bytes: 4 * MIB,
            send_requests: 8,
            // Pages of a large workspace's list of users…
            prepare_requests: 64,
            requests_at_once: 8,
            header_fields: 64,
            header_bytes: 32 * KIB,
            // A notification is at most half of it.
            request_bytes: MIB,
            answer_timeout: None,
            send_answer_bytes: 256 * KIB,
            // …each of which is large.
            prepare_answer_bytes: 4 * MIB,
            log_bytes: 16 * KIB,
            log_lines: 200,
            state_bytes: 64 * KIB,
            receipt_bytes: 4 * KIB,
        }
    }
}

/// What a sender's `limits` say.
pub(super) fn read(section: &mut Section<'_>) -> PluginLimits {
    let default = PluginLimits::default();
    let Some(value) = section.take("limits") else { return default };
    value.section(&section.below("limits"), |section| typed(section, &default)).unwrap_or(default)
}

fn typed(section: &mut Section<'_>, default: &PluginLimits) -> PluginLimits {
    let mut read = Reader(section);
    PluginLimits {
        offline_timeout: read.time("offline_timeout", 10 * MILLI, 10 * SECOND).unwrap_or(default.offline_timeout),
        offline_cpu: read.time("offline_cpu", 10 * MILLI, 10 * SECOND).unwrap_or(default.offline_cpu),
        prepare_timeout: read.time("prepare_timeout", 10 * MILLI, 10 * MINUTE).unwrap_or(default.prepare_timeout),
        prepare_cpu: read.time("prepare_cpu", 10 * MILLI, 10 * MINUTE).unwrap_or(default.prepare_cpu),
        send_cpu: read.time("cpu", 10 * MILLI, MINUTE).unwrap_or(default.send_cpu),
        memory_bytes: read.size("memory", MIB, limits::PLUGIN_MEMORY_MOST_BYTES).unwrap_or(default.memory_bytes),
        table_elements: read.count("tables", 1, limits::PLUGIN_TABLE_MOST_ELEMENTS).unwrap_or(default.table_elements),
        instances: read.count("instances", 1, limits::PLUGIN_INSTANCES_MOST as usize).unwrap_or(default.instances),
        resources: read.count("resources", 16, 4096).unwrap_or(default.resources),
        transfer_bytes: read.size("transfer", 64 * KIB, 64 * MIB).unwrap_or(default.transfer_bytes),
        send_requests: read.small("requests", 0, 256).unwrap_or(default.send_requests),
        prepare_requests: read.small("prepare_requests", 0, 1024).unwrap_or(default.prepare_requests),
        requests_at_once: read.small("requests_at_once", 1, 64).unwrap_or(default.requests_at_once),
        header_fields: read.count("headers", 1, 256).unwrap_or(default.header_fields),
        header_bytes: read.size("header_size", KIB, 256 * KIB).unwrap_or(default.header_bytes),
        request_bytes: read
            .size("request_size", KIB, limits::PLUGIN_REQUEST_MOST_BYTES)
            .unwrap_or(default.request_bytes),
        answer_timeout: read.time("answer_timeout", MILLI, 10 * MINUTE),
        send_answer_bytes: read.size("answer_size", KIB, 16 * MIB).unwrap_or(default.send_answer_bytes),
        prepare_answer_bytes: read.size("prepare_answer_size", KIB, 64 * MIB).unwrap_or(default.prepare_answer_bytes),
        log_bytes: read.size("log_size", KIB, MIB).unwrap_or(default.log_bytes),
        log_lines: read.count("log_lines", 1, 10_000).unwrap_or(default.log_lines),
        state_bytes: read.size("state", 1, MIB).unwrap_or(default.state_bytes),
        receipt_bytes: read.size("receipt", 1, 64 * KIB).unwrap_or(default.receipt_bytes),
    }
}

struct Reader<'r, 'a>(&'r mut Section<'a>);

impl Reader<'_, '_> {
    fn time(&mut self, key: &'static str, least: Duration, most: Duration) -> Option<Duration> {
        let value = self.0.take(key)?;
        let typed = duration::read(&value, Duration::ZERO)?;
        duration::within(&value, typed, least, most)
    }

    fn size(&mut self, key: &'static str, least: usize, most: usize) -> Option<usize> {
        self.0.take(key).and_then(|value| size::within(&value, least, most))
    }

    fn count(&mut self, key: &'static str, least: usize, most: usize) -> Option<usize> {
        let value = self.0.take(key)?;
        let typed = value.count(0).and_then(|number| usize::try_from(number).ok())?;
        if (least..=most).contains(&typed) {
            return Some(typed);
        }
        value.expected(&format!("{least} to {most}"));
        None
    }

    fn small(&mut self, key: &'static str, least: usize, most: usize) -> Option<u32> {
        self.count(key, least, most).and_then(|number| u32::try_from(number).ok())
    }
}
