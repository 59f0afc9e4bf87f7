//! Fluent Forward: the four modes, what becomes of a record, and what is none.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use rmpv::Value;

use super::super::forward::scan_all;
use super::{check, decode};
use crate::limits;

fn packed(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    bytes
}

fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(name, value)| (Value::from(*name), value.clone())).collect())
}

fn record(text: &str) -> Value {
    map(&[("message", text.into())])
}

fn entry(time: impl Into<Value>, record: Value) -> Value {
    Value::Array(vec![time.into(), record])
}

fn array(parts: &[Value]) -> Vec<u8> {
    packed(&Value::Array(parts.to_vec()))
}

/// Fluentd's own time: 5 s and 250 ms.
fn event_time() -> Value {
    Value::Ext(0, [5_u32.to_be_bytes(), 250_000_000_u32.to_be_bytes()].concat())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// What one record comes to.
#[track_caller]
fn one(record: Value, expect: &str) {
    check(array(&["app".into(), 5.into(), record]), expect);
}

const A: &str = "\"a\" labels.tag=app time=5000\n";
const B: &str = "\"b\" labels.tag=app time=5250\n";

#[test]
fn a_message_stands_for_itself() {
    let a = array(&["app".into(), 5.into(), record("a")]);
    check(&a, A);
    let b = array(&["app".into(), event_time(), record("b"), map(&[])]);
    check([&a[..], &b, &a].concat(), &format!("{A}{B}{A}"));
    let acked = array(&["app".into(), event_time(), record("b"), map(&[("chunk", "c".into())])]);
    let ack = "promise \\x81\\xdb\\x00\\x00\\x00\\x03ack\\xdb\\x00\\x00\\x00\\x01c\n";
    check([&acked[..], &a].concat(), &format!("{B}{ack}{A}"));
    check([&a[..], &[0xc0, 0xc0], &a].concat(), &format!("{A}{A}"));
}

#[test]
fn entries_come_in_an_array_packed_and_compressed() {
    let entries = [entry(5, record("a")), entry(event_time(), record("b"))];
    let bytes = entries.iter().map(packed).collect::<Vec<_>>().concat();
    let many = bytes.repeat(20_000);
    let ack = "promise \\x81\\xdb\\x00\\x00\\x00\\x03ack\\xdb\\x00\\x00\\x00\\x02c1\n";
    let two = |body: Value| {
        let plain = array(&["app".into(), body.clone()]);
        let acked = array(&["app".into(), body, map(&[("size", 2.into()), ("chunk", "c1".into())])]);
        check([plain, acked].concat(), &format!("{A}{B}{A}{B}{ack}"));
    };
    two(Value::Array(entries.to_vec()));
    two(Value::Binary(bytes.clone()));
    two(Value::Binary(gzip(&bytes)));
    two(Value::Binary([gzip(&packed(&entries[0])), gzip(&packed(&entries[1]))].concat()));
    for body in [many.clone(), gzip(&many)] {
        let chunk = array(&["app".into(), Value::Binary(body), map(&[("chunk", "c1".into())])]);
        assert_eq!(decode(&chunk, &[4096, 7], usize::MAX), format!("{}{ack}", format!("{A}{B}").repeat(20_000)));
    }
}

#[test]
fn a_record_says_text_severity_and_labels() {
    one(
        map(&[("level", "WARN".into()), ("log", "disk full\n".into()), ("stream", "stderr".into()), ("pid", 7.into())]),
        "\"disk full\" severity=warning labels.pid=7 labels.stream=stderr labels.tag=app time=5000",
    );
    one(
        map(&[("msg", "b".into()), ("message", "a".into()), ("severity", "Odd".into()), ("level", 30.into())]),
        "\"a\" labels.level=30 labels.msg=b labels.severity_text=Odd labels.tag=app time=5000",
    );
    let pod = map(&[("pod", "p-1".into()), ("labels", map(&[("app", "shop".into())]))]);
    one(
        map(&[
            ("log", "a".into()),
            ("k8s", pod),
            ("tags", Value::Array(vec![1.into(), "x".into()])),
            ("none", Value::Nil),
        ]),
        "\"a\" labels.k8s.labels.app=shop labels.k8s.pod=p-1 labels.tag=app labels.tags=[1,\"x\"] time=5000",
    );
    one(
        map(&[
            ("log", "a".into()),
            ("tag", "other".into()),
            ("time", "12:00".into()),
            ("ok", true.into()),
            ("f", 1.5.into()),
        ]),
        "\"a\" labels.f=1.5 labels.ok=true labels.tag=app time=5000",
    );
    check(array(&["".into(), 5.into(), record("a")]), "\"a\" time=5000");
}

#[test]
fn a_record_without_a_text_is_its_json() {
    let inner = map(&[("b", Value::Array(vec![Value::Nil, (-1).into(), map(&[])]))]);
    one(
        map(&[("a", 1.into()), ("c", inner)]),
        "\"{\\\"a\\\":1,\\\"c\\\":{\\\"b\\\":[null,-1,{}]}}\" labels.a=1 labels.c.b=[null,-1,{}] labels.tag=app time=5000",
    );
    one(map(&[]), "\"{}\" labels.tag=app time=5000");
}

#[test]
fn labels_are_bounded() {
    let many: Vec<_> = (0..100).map(|n| (Value::from(format!("k{n}")), Value::from(n))).collect();
    let out = decode(&array(&["app".into(), 5.into(), Value::Map(many)]), &[usize::MAX], 9);
    assert!(out.contains("labels.tag=app") && out.ends_with("ignored=37\n"), "{out}");
    assert_eq!(out.matches("labels.").count(), limits::LABELS, "{out}");
    one(
        map(&[("msg", "a".into()), (&"n".repeat(limits::LABEL_NAME_BYTES + 1), 1.into())]),
        "\"a\" labels.tag=app time=5000 ignored=1",
    );
    let long = "v".repeat(limits::LABEL_VALUE_BYTES + 9);
    let out = decode(&array(&["app".into(), 5.into(), map(&[("msg", "a".into()), ("k", long.into())])]), &[99], 9);
    assert!(out.len() < limits::LABEL_VALUE_BYTES + 100 && out.ends_with("ignored=1\n"), "{out}");
}

#[test]
fn an_entry_that_is_none_is_refused_and_the_chunk_goes_on() {
    let body =
        Value::Array(vec![entry(5, record("a")), 7.into(), entry(5, "x".into()), entry(event_time(), record("b"))]);
    check(array(&["app".into(), body]), &format!("{A}reply reply {B}"));
}

#[test]
fn what_is_no_forward_ends_the_connection() {
    let a = array(&["app".into(), 5.into(), record("a")]);
    let after = |bytes: &[u8], expect: &str| check([&a[..], bytes].concat(), &format!("{A}{expect}"));
    after(b"hello", "close \"\"");
    after(&array(&[]), "close \"\"");
    after(&array(&[1.into(), 2.into()]), "close \"\"");
    after(&array(&["app".into(), 5.into()]), "close \"\"");
    after(&array(&["app".into(), Value::Array(vec![]), map(&[]), map(&[])]), "close \"\"");
    after(&array(&["app".into(), Value::Binary(vec![0xc1])]), "close \"\"");
    after(&array(&["app".into(), Value::Binary(vec![0x92, 5])]), "close \"\"");
    after(&array(&["app".into(), Value::Binary(b"\x1f\x8bno gzip at all".to_vec())]), "close \"\"");
    let cut = gzip(&packed(&entry(5, record("a"))));
    after(&array(&["app".into(), Value::Binary(cut[..cut.len() - 9].to_vec())]), &format!("{A}close \"\""));
    after(&[0x92, 0xdb, 0xff, 0xff, 0xff, 0xff], "close \"\"");
    after(&a[..a.len() - 1], "partial");
    let deep = [&[0x93, 0xa1, b't', 0x05][..], &[0x91; 3_000]].concat();
    after(&deep, "partial");
}

#[test]
fn what_follows_a_wrong_length_is_not_read_for_long() {
    let entries = [&[0x92, 0xa1, b't', 0xc6, 0xff, 0xff, 0xff, 0xff][..], &[0; 100_000]].concat();
    let told = decode(&entries, &[4096], usize::MAX);
    assert_eq!(told.matches("reply").count(), limits::FORWARD_REFUSED as usize + 1);
    assert!(told.ends_with("close \"\"\n"));
}

#[test]
fn a_compressed_chunk_that_breaks_gives_out_the_same_however_it_comes() {
    let entries: Vec<u8> =
        (0..400).flat_map(|n| packed(&entry(n, record(&format!("text {}", n * 7919 % 997))))).collect();
    let mut broken = gzip(&entries);
    let at = broken.len() - 40;
    broken[at] ^= 0x55;
    let chunk = array(&["app".into(), Value::Binary(broken)]);
    let whole = decode(&chunk, &[usize::MAX], usize::MAX);
    assert!(whole.ends_with("close \"\"\n") && whole.len() > 1_000, "{whole:.200}");
    for size in [1, 7, 300] {
        assert_eq!(decode(&chunk, &[size], usize::MAX), whole, "in pieces of {size}");
    }
}

#[test]
fn a_bomb_and_an_entry_that_is_too_large_end_the_connection() {
    let bomb = gzip(&vec![0xc0; 2 * limits::FORWARD_ENTRY_BYTES]);
    let chunk = array(&["app".into(), Value::Binary(bomb)]);
    let told = decode(&chunk, &[4096], usize::MAX);
    assert_eq!(told.matches("reply").count(), limits::FORWARD_REFUSED as usize + 1);
    assert!(told.ends_with("close \"\"\n"), "what goes on like that is no Forward");
    let inside = [&[0x92, 0x05, 0xdb, 0xff, 0xff, 0xff, 0xff][..], &vec![0; 2 * limits::FORWARD_ENTRY_BYTES]].concat();
    let chunk = array(&["app".into(), Value::Binary(gzip(&inside))]);
    assert_eq!(decode(&chunk, &[4096], usize::MAX), "close \"\"\n");
    let large = array(&["app".into(), 5.into(), record(&"x".repeat(limits::FORWARD_ENTRY_BYTES))]);
    assert_eq!(decode(&large, &[4096], usize::MAX), "close \"\"\n");
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-200_i64..200).prop_map(Value::from),
        any::<f64>().prop_map(Value::F64),
        any::<f32>().prop_map(Value::F32),
        "[a-z]{0,40}".prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Value::Binary),
        (any::<i8>(), proptest::collection::vec(any::<u8>(), 0..20)).prop_map(|(kind, bytes)| Value::Ext(kind, bytes)),
    ];
    leaf.prop_recursive(4, 60, 20, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
            proptest::collection::vec((inner.clone(), inner), 0..20).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_ends_where_rmpv_says(value in values(), more in proptest::collection::vec(any::<u8>(), 0..9)) {
        let bytes = packed(&value);
        assert_eq!(scan_all(&[&bytes[..], &more].concat()), Some(bytes.len()));
        for cut in 0..bytes.len() {
            assert_eq!(scan_all(&bytes[..cut]), None);
        }
    }
}
