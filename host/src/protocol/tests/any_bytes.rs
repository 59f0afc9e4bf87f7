//! What holds for any bytes at all.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::decode;

const OPEN: &[u8] = b"1 open 14 relp_version=0\n2 syslog ";

/// Bytes that often are nearly a message.
fn near_messages() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(Cow::Borrowed(&b"STRING\n"[..])),
        Just(Cow::Borrowed(&b"ERROR\r\n"[..])),
        Just(Cow::Borrowed(&b"disk full\n"[..])),
        Just(Cow::Borrowed(&b"{\"text\":\"a\"}\n"[..])),
        Just(Cow::Borrowed(&b"{\"text\":\"a\",\"labels\":{\"a\":"[..])),
        Just(Cow::Borrowed(&b"\"\\ud800\"}}\n"[..])),
        Just(Cow::Borrowed(&b"{\"ack\":true}\n"[..])),
        Just(Cow::Borrowed(&b"<13>Oct 11 22:14:15 web-1 su[7]: failed\n"[..])),
        Just(Cow::Borrowed(&b"\x93\xa1t\x91\x92\x05\x81\xa3msg\xa1a\x81\xa5chunk\xa1c"[..])),
        Just(Cow::Borrowed(&b"\x92\xa1t\xc4\x0a\x92\x05\x81\xa3log\xa2a\n"[..])),
        Just(Cow::Borrowed(&b"\x94\xa1t\xd7\x00\0\0\0\x05\0\0\0\0\x82\xa1k\x93\xc2\xcb"[..])),
        Just(Cow::Borrowed(&b"1 open 14 relp_version=0\n"[..])),
        Just(Cow::Borrowed(&b"2 syslog 5 <13>a\n"[..])),
        Just(Cow::Borrowed(&b"3 close 0\n"[..])),
        Just(Cow::Borrowed(&b"22 <13>hello\n3 <1"[..])),
        Just(Cow::Borrowed(&b"<34>1 2003-10-11T22:14:15Z h a - - [x y=\"z"[..])),
        vec(any::<u8>(), 0..12).prop_map(Cow::Owned),
        vec(prop_oneof![Just(b' '), Just(b'\n'), Just(b'x'), Just(0xC3), Just(0xA9)], 0..20).prop_map(Cow::Owned),
    ];
    vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_comes_out_never_depends_on_how_the_bytes_are_cut(
        bytes in near_messages(),
        sizes in vec(1_usize..40, 1..9),
        text_bytes in 1_usize..12,
    ) {
        assert_eq!(decode(&bytes, &sizes, text_bytes), decode(&bytes, &[usize::MAX], text_bytes));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in vec(any::<u8>(), 0..400), sizes in vec(1_usize..40, 1..9)) {
        for first in [&b""[..], b"{", b"STRING\n", b"{\"text\":", b"<13>", b"<13>1 - ", b"9 <13>", OPEN, b"\x93\xa1t", b"\x92\xa1t\xdb\0\0\0\xff\x1f\x8b\x08\0"] {
            let bytes = [first, &bytes].concat();
            decode(&bytes, &sizes, 8);
        }
    }
}
