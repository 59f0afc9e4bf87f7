//! Ids of messages that came before, in the file.

use super::*;
use crate::ids::SavedId;

impl Rig {
    fn remembering(path: &Path, ids: usize) -> Self {
        let settings = Settings { ids: Memory { ids, ..Memory::default() }, ..Settings::new(Some(path)) };
        Self::with(&settings, &[("root", &["console"])], &["console"], clock::Clock::derived(NOON))
    }

    async fn remember(&self, rows: std::ops::Range<i64>, first_id: i64) {
        let saved = |n: i64| SavedId { n, source: "s".to_owned(), id: n.to_string(), content: u64::MAX, seen: NOON };
        let changes = Changes { ids: rows.map(saved).collect(), first_id, ..Changes::default() };
        self.store.change(changes).await.expect("the store runs");
    }
}

#[tokio::test]
async fn ids_come_back_after_a_start_as_many_as_are_remembered() {
    let (_folder, path) = file();
    let rig = Rig::remembering(&path, 100);
    assert!(rig.recovered.ids.is_empty());
    assert_eq!(rig.recovered.ids.first(), 1);
    rig.remember(1..51, 1).await;
    rig.stop();
    let rig = Rig::remembering(&path, 100);
    assert_eq!((rig.recovered.ids.len(), rig.recovered.ids.first()), (50, 1));
    rig.stop();
    let rig = Rig::remembering(&path, 20);
    assert_eq!((rig.recovered.ids.len(), rig.recovered.ids.first()), (20, 31));
    // What is no longer needed goes with what comes.
    rig.remember(51..52, 32).await;
    rig.stop();
    assert_eq!((number(&path, "SELECT min(n) FROM ids"), number(&path, "SELECT max(n) FROM ids")), (32, 51));
    assert_eq!(number(&path, "SELECT content FROM ids LIMIT 1"), -1);
}

#[tokio::test]
async fn much_that_is_no_longer_needed_goes_a_part_at_a_time() {
    let (_folder, path) = file();
    let rig = Rig::remembering(&path, 10_000);
    rig.remember(1..5_001, 1).await;
    rig.remember(5_001..5_002, 5_000).await;
    assert_eq!(number(&path, "SELECT min(n) FROM ids"), 1_002);
    for n in 5_002..5_012 {
        rig.remember(n..n + 1, 5_000).await;
    }
    rig.stop();
    assert_eq!(number(&path, "SELECT min(n) FROM ids"), 5_000);
}
