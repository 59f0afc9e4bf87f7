//! Forgetting what was told long ago, while messages come in.

use super::*;

/// A store with so many notifications that were told long ago, and as many groups, a tenth of them still in use.
fn aged(path: &Path, told: u64) {
    Rig::simple(Some(path)).stop();
    let conn = Connection::open(path).expect("a store");
    let numbers = format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {told})");
    let sql = format!(
        "PRAGMA synchronous = OFF; BEGIN;
         {numbers} INSERT INTO deliveries (id, sender, state, attempt, groups, messages, omitted_groups, omitted_messages,
             created, finished) SELECT printf('%032x', i), 'console', iif(i % 100, 'delivered', 'dead'), 1, 1, 1, 0, 0, i, i
           FROM n;
         {numbers} INSERT INTO delivery_groups (delivery, n, omitted, total, group_id, route, kind, text, labels, count,
             first_seen, last_seen, opened, closed, samples, reason, resolved)
           SELECT printf('%032x', i), 0, 0, 1, printf('%016x', i), 'root', 'default', 'disk full on web-' || i, '{{}}', 1,
             i, i, i, i, '[]', 'time', 0 FROM n;
         {numbers} INSERT INTO attempts SELECT printf('%032x', i), 1, 'console', i, i, 'delivered', NULL, NULL FROM n;
         {numbers} INSERT INTO groups (group_id, route, text, total, first_seen, last_seen, updated)
           SELECT printf('%016x', i * 7919), 'root', 'disk full on web-' || i, 1, i, i, iif(i % 10, i, {NOON}) FROM n;
         {numbers} INSERT INTO receipts (sender, group_id, delivery, receipt, updated)
           SELECT 'console', printf('%016x', i * 7919), printf('%032x', i), x'07', iif(i % 10, i, {NOON}) FROM n;
         UPDATE ledger SET accepted = {told}, dead = {told} / 100, told = {told} - {told} / 100 WHERE sender = 'console';
         COMMIT;"
    );
    conn.execute_batch(&sql).expect("the history is written");
}

/// `MAG_TEST_HISTORY=1000000` shows how long an ack waits at most while so much is forgotten.
#[tokio::test]
async fn history_is_forgotten_in_steps_and_acks_go_on_meanwhile() {
    let told = std::env::var("MAG_TEST_HISTORY").map_or(5_000, |told| told.parse().expect("a number"));
    let (_folder, path) = file();
    aged(&path, told);
    let rig = Rig::simple(Some(&path));
    let store = rig.store.clone();
    let begun = tokio::time::Instant::now();
    let mut forgetting = tokio::spawn(async move {
        let mut steps = 0;
        while store.trim(NOON - 1).await.expect("the store runs").more {
            steps += 1;
        }
        steps
    });
    let mut waits = Vec::new();
    let steps: u64 = loop {
        let asked = tokio::time::Instant::now();
        rig.close(vec![group("root", "a", 1)]).await;
        waits.push(asked.elapsed());
        tokio::select! {
            biased;
            steps = &mut forgetting => break steps.expect("the task ends"),
            () = tokio::task::yield_now() => {}
        }
    };
    let took = begun.elapsed();
    waits.sort();
    let at = |part: usize| waits[(waits.len() - 1) * part / 100];
    println!(
        "{told} notifications forgotten in {took:?} by {steps} steps; {} acks meanwhile waited {:?} (p50), {:?} (p99), at most {:?}",
        waits.len(),
        at(50),
        at(99),
        at(100)
    );
    // As a rule one an ack; who is asked first is the system's.
    assert!(waits.len() as u64 >= steps / 10, "{} acks and {steps} steps", waits.len());
    rig.stop();
    for (table, left) in
        [("deliveries", told / 100), ("attempts", told / 100), ("groups", told / 10 + 1), ("receipts", told / 10)]
    {
        let found = number(&path, &format!("SELECT count(*) FROM {table}"));
        assert_eq!(found.unsigned_abs(), left, "{table}");
    }
    balanced(&path);
}
