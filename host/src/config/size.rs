//! Sizes as people write them: `64KiB`, `1 MB`.

use bytesize::ByteSize;

use super::typed::Value;

/// A size of 1 to `most` bytes.
pub(super) fn read(value: &Value<'_>, most: usize) -> Option<usize> {
    let size = value.parse("a size like \"64KiB\"", |text| text.parse::<ByteSize>().ok())?;
    let bytes = usize::try_from(size.as_u64()).ok().filter(|bytes| (1..=most).contains(bytes));
    if bytes.is_none() {
        value.expected(&format!("1 B to {}", ByteSize::b(most as u64).display().iec()));
    }
    bytes
}
