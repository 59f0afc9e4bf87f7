//! Stores of former schemas: they open, and everything in them goes on.

use super::*;

const ROUTES: &[(&str, &[&str])] = &[
    ("root", &["team", "hook"]),
    ("kind=\"backup\"", &["hook"]),
    ("kind=\"deploy\"", &["team"]),
    ("kind=\"noise\"", &[]),
    ("kind=\"room\"", &["gone"]),
];

/// A copy of a kept store.
fn kept(schema: usize) -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = file();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/data/store-{schema}.db"));
    std::fs::copy(from, &path).expect("the file is kept");
    (folder, path)
}

#[tokio::test]
async fn a_store_of_each_former_schema_goes_on_with_everything_in_it() {
    for schema in 1..schema::VERSION {
        let (_folder, path) = kept(schema);
        let was = i64::try_from(schema).expect("few");
        assert_eq!(number(&path, "PRAGMA user_version"), was, "the file that is kept is of its schema");
        let rig = Rig::open(Some(&path), ROUTES, &["team", "hook", "gone"]);
        let found = &rig.recovered;
        assert_eq!((found.windows.len(), found.windows.iter().map(|window| window.count).sum()), (11, 53));
        assert_eq!((found.clocks.len(), found.next_row > 11, found.buried), (3, true, 0));
        let going: Vec<_> =
            found.deliveries.iter().map(|d| (d.sender.as_str(), d.attempt, d.groups[0].count)).collect();
        assert_eq!(going, [("hook", 3, 3), ("hook", 3, 3)]);
        assert!(rig.next("hook").await.is_none(), "the group that waits is still under way");
        for delivery in &found.deliveries {
            let again = Delivery { attempt: 4, ..delivery.clone() };
            rig.store.begin(again.clone()).await.expect("the store runs");
            rig.finish(&again, delivered()).await;
        }
        let waited = rig.next("hook").await.expect("it is told now");
        assert_eq!((texts(&waited), waited.groups[0].count, waited.groups[0].total), (vec!["backup failed"], 6, 9));
        rig.finish(&waited, delivered()).await;
        rig.close(vec![group("kind=\"deploy\"", "after", 2)]).await;
        rig.stop();
        balanced(&path);
        assert_eq!(number(&path, "SELECT sum(accepted) FROM ledger"), 123);
        assert_eq!(number(&path, "SELECT told FROM ledger WHERE sender = 'hook' AND told > 0"), 12);
        assert_eq!(number(&path, "SELECT count(*) FROM receipts"), 3);
        assert_eq!(number(&path, "SELECT count(*) FROM deliveries WHERE state = 'dead'"), 1);
    }
}
