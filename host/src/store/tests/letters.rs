//! Dead letters: replayed, dropped, listed; and tests, which no ledger counts.

use super::*;

/// How long tests are waited for.
const WAIT: Duration = Duration::from_secs(60);
const TWO: &[(&str, &[&str])] = &[("root", &["console", "hook"])];

/// A store with a dead letter of each sender: `a`, 5 messages.
async fn with_letters(path: Option<&Path>) -> (Rig, Delivery, Delivery) {
    let rig = Rig::open(path, TWO, &["console", "hook"]);
    rig.close(vec![group("root", "a", 5)]).await;
    let console = rig.next("console").await.expect("something waits");
    let hook = rig.next("hook").await.expect("something waits");
    rig.finish(&console, dead()).await;
    rig.finish(&hook, dead()).await;
    (rig, console, hook)
}

async fn done(rig: &Rig, which: Which, deed: Deed) -> Result<Moved, LetterError> {
    rig.store.letters(which, deed).await.expect("the store runs")
}

/// One column of one delivery, as text.
fn column(path: &Path, id: &str, column: &str) -> Option<String> {
    let sql = format!("SELECT CAST({column} AS TEXT) FROM deliveries WHERE id = ?1");
    Connection::open(path).and_then(|conn| conn.query_row(&sql, [id], |row| row.get(0))).expect("a delivery")
}

fn term(path: &Path, sender: &str, term: &str) -> i64 {
    number(path, &format!("SELECT {term} FROM ledger WHERE sender = '{sender}'"))
}

#[tokio::test]
async fn a_replayed_letter_is_queued_under_its_id_with_its_attempts_and_its_failures_forgotten() {
    let (_folder, path) = file();
    let (rig, console, _) = with_letters(Some(&path)).await;
    Connection::open(&path)
        .and_then(|conn| conn.execute("UPDATE deliveries SET failures = 9, tried_ms = 8", []))
        .expect("set");
    let moved = done(&rig, Which::Ids(vec![console.id.clone(), console.id.clone()]), Deed::Replay).await;
    assert_eq!(moved.map(|moved| (moved.letters, moved.messages)), Ok((1, 5)));
    balanced(&path);
    assert_eq!((term(&path, "console", "frozen"), term(&path, "console", "dead")), (5, 0));
    assert_eq!((term(&path, "hook", "frozen"), term(&path, "hook", "dead")), (0, 5), "the other one stays dead");
    let value = |name| column(&path, &console.id, name);
    assert_eq!((value("state").as_deref(), value("attempt").as_deref()), (Some("queued"), Some("1")));
    assert_eq!(
        (value("finished"), value("failures").as_deref(), value("tried_ms").as_deref()),
        (None, Some("0"), Some("0"))
    );
    let again = done(&rig, Which::Ids(vec![console.id.clone()]), Deed::Replay).await;
    assert_eq!(again, Err(LetterError::NotDead { id: console.id.clone(), state: "queued".to_owned() }));
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn a_replayed_letter_goes_on_after_a_restart() {
    let (_folder, path) = file();
    let (rig, console, _) = with_letters(Some(&path)).await;
    done(&rig, Which::Sender("console".to_owned()), Deed::Replay).await.expect("replayed");
    rig.stop();
    let rig = Rig::open(Some(&path), TWO, &["console", "hook"]);
    let again = match rig.recovered.deliveries.first() {
        Some(delivery) => delivery.clone(),
        None => rig.next("console").await.expect("it is told"),
    };
    assert_eq!((again.id.as_str(), again.groups), (console.id.as_str(), console.groups));
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn a_dropped_letter_is_dropped_for_good_and_its_row_stays_until_history_is_forgotten() {
    let (_folder, path) = file();
    let (rig, _, hook) = with_letters(Some(&path)).await;
    let moved = done(&rig, Which::Sender("hook".to_owned()), Deed::Drop).await.expect("dropped");
    assert_eq!((moved.letters, moved.messages), (1, 5));
    balanced(&path);
    assert_eq!((term(&path, "hook", "dropped"), term(&path, "hook", "dead")), (5, 0));
    assert_eq!(column(&path, &hook.id, "state").as_deref(), Some("dropped"));
    rig.store.trim(NOON).await.expect("the store runs");
    assert_eq!(column(&path, &hook.id, "state").as_deref(), Some("dropped"), "not old enough");
    rig.store.trim(NOON * 2).await.expect("the store runs");
    assert_eq!(number(&path, "SELECT count(*) FROM deliveries"), 1, "the other letter, which nobody decided about");
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn ids_are_all_done_or_none_and_what_is_missing_is_named() {
    let (_folder, path) = file();
    let (rig, console, _) = with_letters(Some(&path)).await;
    let error = done(&rig, Which::Ids(vec![console.id, "nothing".to_owned()]), Deed::Drop).await;
    assert_eq!(error.expect_err("one is missing").to_string(), "there is no dead letter nothing");
    assert_eq!(term(&path, "console", "dead"), 5, "nothing was done");
    let many = vec![String::new(); limits::LETTERS + 1];
    assert_eq!(done(&rig, Which::Ids(many), Deed::Drop).await, Err(LetterError::TooMany));
    rig.stop();
}

#[tokio::test]
async fn a_letter_of_a_sender_that_is_gone_waits_until_the_sender_is_back() {
    let (_folder, path) = file();
    let rig = Rig::open(Some(&path), TWO, &["console", "hook"]);
    rig.close(vec![group("root", "a", 5)]).await;
    rig.stop();
    let rig = Rig::open(Some(&path), &[("root", &["console"])], &["console"]);
    assert_eq!(rig.recovered.buried, 1);
    let gone = done(&rig, Which::Sender("hook".to_owned()), Deed::Replay).await.expect_err("nobody could tell it");
    assert!(gone.to_string().starts_with("sender hook is not in the config: bring [senders.hook] back"), "{gone}");
    let all = done(&rig, Which::All, Deed::Replay).await.expect("the others are replayed");
    assert_eq!((all.letters, all.left.into_iter().collect::<Vec<_>>()), (0, vec![("hook".to_owned(), 1)]));
    rig.stop();
    let rig = Rig::open(Some(&path), TWO, &["console", "hook"]);
    let back = done(&rig, Which::All, Deed::Replay).await.expect("it is back");
    assert_eq!((back.letters, back.messages), (1, 5));
    assert_eq!((term(&path, "hook", "frozen"), term(&path, "hook", "dead")), (5, 0));
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn more_letters_than_one_transaction_takes_are_all_done() {
    let (_folder, path) = file();
    let rig = Rig::open(Some(&path), &[("root", &["console"])], &["console"]);
    let letters = limits::LETTERS + 3;
    rig.close((0..letters).map(|n| group("root", &n.to_string(), 2)).collect()).await;
    for _ in 0..letters {
        let one = Freeze { sender: "console".to_owned(), max_groups: 1, split: true, living: None };
        let delivery = rig.freeze(one).await.expect("something waits");
        rig.finish(&delivery, dead()).await;
    }
    let moved = done(&rig, Which::All, Deed::Drop).await.expect("dropped");
    assert_eq!((moved.letters, moved.messages), (letters as u64, letters as u64 * 2));
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn letters_are_listed_newest_first_by_pages_and_shown_with_groups_and_attempts() {
    for in_a_file in [true, false] {
        let (_folder, path) = file();
        let (rig, console, hook) = with_letters(in_a_file.then_some(path.as_path())).await;
        let page = |sender: Option<&'static str>, before: Option<String>| {
            let store = rig.store.clone();
            async move { store.look(move |reader| reader.letters(sender, before.as_deref(), 1)).await.expect("it reads") }
        };
        let first = page(None, None).await;
        let (newest, oldest) = if console.id > hook.id { (&console, &hook) } else { (&hook, &console) };
        assert_eq!(
            (first.total, first.next.as_ref(), first.letters[0].id.as_str()),
            (2, Some(&newest.id), newest.id.as_str())
        );
        let second = page(None, first.next).await;
        assert_eq!((second.next, second.letters[0].id.as_str()), (None, oldest.id.as_str()));
        let of_hook = page(Some("hook"), None).await;
        assert_eq!((of_hook.total, of_hook.letters[0].error.as_deref()), (1, Some("refused")));
        let id = hook.id.clone();
        let shown = rig.store.look(move |reader| reader.delivery(&id)).await.expect("it reads").expect("it is there");
        assert_eq!((shown.letter.state.as_str(), shown.letter.text.as_deref()), ("dead", Some("a")));
        assert_eq!((shown.tries[0].number, shown.tries[0].code.as_deref()), (1, Some("http-400")));
        assert_eq!((shown.told[0].count, shown.told[0].route.as_str()), (5, "root"));
        let none = rig.store.look(|reader| reader.delivery("nothing")).await.expect("it reads");
        assert_eq!(none, None);
        rig.stop();
    }
}

#[tokio::test]
async fn a_test_is_queued_for_a_known_sender_and_counts_in_no_ledger() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    let id = rig.store.test("console".to_owned(), WAIT).await.expect("the store runs").expect("the sender is known");
    let unknown = rig.store.test("nobody".to_owned(), WAIT).await.expect("the store runs");
    assert_eq!(unknown, Err(LetterError::SenderGone { sender: "nobody".to_owned() }));
    assert_eq!(column(&path, &id, "state").as_deref(), Some("queued"));
    balanced(&path);
    let attempted = Attempted {
        id: id.clone(),
        attempt: 1,
        sender: "console".to_owned(),
        outcome: delivered(),
        tries: Tries::default(),
        fallback: None,
    };
    rig.store.finish(attempted).await.expect("the store runs");
    assert_eq!(number(&path, "SELECT count(*) FROM ledger WHERE route = ''"), 0);
    let seen = rig.store.look(|reader| reader.overview()).await.expect("it reads");
    let console = seen.senders.iter().find(|line| line.name == "console").expect("a line");
    assert_eq!((console.delivered, console.last_delivered.is_some(), console.queued), (1, true, 0));
    assert_eq!(seen.recent[0].text.as_deref(), Some(TEST_TEXT));
    rig.stop();
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn a_test_that_nobody_waits_for_any_more_is_dropped_and_not_told() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    let ask = || async { rig.store.test("console".to_owned(), WAIT).await.expect("the store runs").expect("known") };
    let (late, dropped) = (ask().await, ask().await);
    let moved = done(&rig, Which::Ids(vec![dropped.clone()]), Deed::Drop).await.expect("whoever asked drops it");
    assert_eq!(moved.letters, 1);
    let queued = LetterError::NotDead { id: late.clone(), state: "queued".to_owned() };
    assert_eq!(done(&rig, Which::Ids(vec![late.clone()]), Deed::Replay).await, Err(queued));
    tokio::time::advance(WAIT).await;
    let in_time = ask().await;
    let told = rig.next("console").await.expect("the one that is waited for");
    assert_eq!(told.id, in_time);
    rig.finish(&told, delivered()).await;
    assert_eq!(rig.next("console").await, None);
    let states = [&late, &dropped].map(|id| column(&path, id, "state"));
    assert_eq!(states, [Some("dropped".to_owned()), Some("dropped".to_owned())]);
    assert_eq!(column(&path, &late, "code").as_deref(), Some("too-late"));
    // Of a sender that is never free it is dropped with the history.
    let last = ask().await;
    tokio::time::advance(WAIT).await;
    rig.store.trim(0).await.expect("the store runs");
    assert_eq!(column(&path, &last, "state").as_deref(), Some("dropped"));
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn a_look_tells_groups_queues_senders_and_the_file() {
    let (_folder, path) = file();
    let (rig, console, _) = with_letters(Some(&path)).await;
    rig.close(vec![group("root", "b", 3), group("root", "c", 4)]).await;
    let failing = rig.next("console").await.expect("something waits");
    rig.finish(&failing, backoff()).await;
    let seen = rig.store.look(|reader| reader.overview()).await.expect("it reads");
    let [console_line, hook] = seen.senders.as_slice() else { panic!("{:#?}", seen.senders) };
    assert_eq!((console_line.backoff, console_line.dead, console_line.queue_groups), (1, 1, 0));
    assert_eq!(console_line.last_failed.as_ref().map(|(_, code, _)| code.as_str()), Some("http-500"));
    assert_eq!((hook.queue_groups, hook.queue_messages, hook.dead), (2, 7, 1));
    assert!(seen.recent.iter().any(|letter| letter.id == console.id));
    let facts = rig.store.look(|reader| reader.facts()).await.expect("it reads");
    assert!(facts.bytes > 0 && facts.wal_bytes > 0 && facts.path.as_deref() == Some(&*path), "{facts:?}");
    let queue = facts.rows.iter().find(|(table, _)| *table == "queue");
    assert_eq!((facts.schema, queue), (schema::VERSION, Some(&("queue", 2))));
    assert_eq!(holder(&path).as_deref(), Some(std::process::id().to_string().as_str()));
    rig.stop();
    assert_eq!(holder(&path), None);
    let after = look(&path, |reader| reader.overview()).expect("a stopped store reads");
    assert_eq!((after.accounts, after.senders), (seen.accounts, seen.senders));
}

#[tokio::test]
async fn a_ledger_that_does_not_hold_is_said_term_by_term() {
    let (_folder, path) = file();
    let (rig, _, _) = with_letters(Some(&path)).await;
    rig.stop();
    balanced(&path);
    let spoil = "UPDATE ledger SET dead = dead - 6, told = told + 6 WHERE sender = 'hook'";
    Connection::open(&path).and_then(|conn| conn.execute(spoil, [])).expect("spoilt");
    let wrong = verify(&path).expect("the file reads");
    assert_eq!(
        wrong,
        [
            "route root, sender hook: dead is -1, its rows hold 5",
            "route root, sender hook: a term is less than nothing",
        ]
    );
}
