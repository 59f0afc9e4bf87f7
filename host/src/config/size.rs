//! Sizes as people write them: `64KiB`, `1 MB`.

use bytesize::ByteSize;

use super::typed::Value;

/// A size of 1 to `most` bytes.
pub(super) fn read(value: &Value<'_>, most: usize) -> Option<usize> {
    within(value, 1, most)
}

/// A size of `least` to `most` bytes.
pub(super) fn within(value: &Value<'_>, least: usize, most: usize) -> Option<usize> {
    let bytes = usize::try_from(typed(value)?).ok().filter(|bytes| (least..=most).contains(bytes));
    if bytes.is_none() {
        value.expected(&format!("{} to {}", shown(least as u64), shown(most as u64)));
    }
    bytes
}

/// A size of `least` bytes or more.
pub(super) fn at_least(value: &Value<'_>, least: u64) -> Option<u64> {
    let bytes = Some(typed(value)?).filter(|bytes| *bytes >= least);
    if bytes.is_none() {
        value.expected(&format!("{} or more", shown(least)));
    }
    bytes
}

fn typed(value: &Value<'_>) -> Option<u64> {
    value.parse("a size like \"64KiB\"", |text| text.parse::<ByteSize>().ok()).map(|size| size.as_u64())
}

fn shown(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}
