//! The wire format of protobuf, as far as OTLP uses it: fields one after the other, borrowed from their bytes.

use super::Refusal;

/// A field's value; what it means depends on its number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// The bytes are not protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::bad("the body is no protobuf message of the type ExportLogsServiceRequest")
    }
}

/// The fields of a message, each with its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (place, byte) in self.0.iter().enumerate().take(10) {
            // The tenth byte holds the last bit alone.
            if place == 9 && *byte > 1 {
                return Err(Malformed);
            }
            value |= u64::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                self.0 = self.0.get(place + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn field(&mut self) -> Result<(u32, Field<'a>), Malformed> {
        let tag = u32::try_from(self.varint()?).map_err(|_too_large| Malformed)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed);
        }
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_too_large| Malformed)?;
                Field::Bytes(self.bytes(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            // Groups, which proto3 has not.
            _ => return Err(Malformed),
        };
        Ok((number, field))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Appends a field that holds bytes, unless they are empty.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.push(number << 3 | 2);
        put(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}

/// Appends a field that holds a number, unless it is 0.
pub(super) fn put_number(out: &mut Vec<u8>, number: u8, value: u64) {
    if value != 0 {
        out.push(number << 3);
        put(out, value);
    }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::{Field, Fields, Malformed, put_bytes, put_number};

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        put_number(&mut out, 1, u64::MAX);
        put_number(&mut out, 2, 0);
        put_bytes(&mut out, 3, &[7; 200]);
        out.extend_from_slice(&[4 << 3 | 5, 1, 0, 0, 0, 5 << 3 | 1, 2, 0, 0, 0, 0, 0, 0, 0]);
        let fields: Vec<_> = Fields(&out).map(Result::unwrap).collect();
        assert_eq!(
            fields,
            [
                (1, Field::Varint(u64::MAX)),
                (3, Field::Bytes(&[7; 200])),
                (4, Field::Fixed32(1)),
                (5, Field::Fixed64(2))
            ]
        );
    }

    #[test]
    fn what_breaks_off_or_cannot_be_is_malformed() {
        for bytes in [
            &[0x08][..],
            &[0x0A, 2, 1],
            &[0x0B],
            &[0x00],
            &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
            &[0x09, 1],
        ] {
            assert_eq!(Fields(bytes).last(), Some(Err(Malformed)), "{bytes:?}");
        }
    }
}
