//! Guests that attack: each file of `tests/guests/` is one, and says in which call it must fail and with which reason.
//! Nothing of them may stay in mag, reach what is forbidden, or hold up another sender.
//!
//! `cargo test -p mag --test guests` runs each a hundred times. `MAG_GUEST_RUNS=10000` in front of it runs them as often as
//! that says; `MAG_GUEST=endless_loop` runs one alone. What clients notice of it:
//! `cargo test --release -p mag --test guests -- --ignored --nocapture`.

#[cfg(test)]
mod guests {
    mod guest;
    mod ingest;
    mod places;

    use std::future::Future;
    use std::process;
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use mag::sender::{Failure, Fault, Host, HostOptions, Sender, StartError, Started};
    use mag_testkit::process::usage;
    use mag_testkit::wait_for;

    use guest::{Guest, When, all, notification};
    use places::{Canary, Receiver};

    /// How often each guest attacks unless `MAG_GUEST_RUNS` says otherwise.
    const RUNS: usize = 100;
    /// Runs after which everything is there that is kept for the next call.
    const WARM_RUNS: usize = 10;
    /// Nothing honest waits so long.
    const LIMIT: Duration = Duration::from_secs(60);
    /// What two looks at the same resident memory may differ by, beside a tenth of it.
    const NOISE_BYTES: u64 = 8 * 1024 * 1024;

    /// What the process holds is measured, so that only one test does anything at a time.
    static ALONE: Mutex<()> = Mutex::new(());

    fn in_runtime<F: Future>(work: F) -> F::Output {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(work)
    }

    fn host() -> Host {
        Host::new(HostOptions::new(Some(std::env::temp_dir().join("mag-test-plugins")))).expect("a host")
    }

    fn load(host: &Host, guest: &Guest, receiver: &Receiver, canary: &Canary) -> (tempfile::TempDir, Sender) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("guest.wasm");
        std::fs::write(&path, guest.component(&receiver.authority(), &canary.authority())).expect("it is written");
        let section = guest.section(&path, &receiver.authority());
        let sender = host.load(&section, &mag::config::Values::new()).expect("a component");
        (folder, sender)
    }

    /// How it failed: the code, and all that is said.
    async fn attack(sender: &Sender, started: Option<&Started>, when: When) -> Result<(String, String), String> {
        let told = |failure: Failure| {
            let code = failure.fault.map_or(failure.code.clone(), |fault: Fault| fault.code().to_owned());
            if code == failure.code { Ok((code, failure.message)) } else { Err(format!("{failure:?}")) }
        };
        match (when, started) {
            (When::Start, _) => match sender.start().await {
                Err(StartError::Plugin(said)) => {
                    let reason = said.split_once("): ").map_or(said.as_str(), |(_, reason)| reason);
                    Ok((reason.split(':').next().unwrap_or_default().to_owned(), said))
                }
                other => Err(format!("{other:?}")),
            },
            (When::Prepare, Some(started)) => {
                started.prepare().await.map_or_else(told, |prepared| Err(format!("{prepared:?}")))
            }
            (When::Send, Some(started)) => {
                let sent = started.send(&[], &notification()).await;
                sent.map_or_else(told, |delivered| Err(format!("{delivered:?}")))
            }
            (_, None) => Err("it did not start".to_owned()),
        }
    }

    fn runs() -> usize {
        std::env::var("MAG_GUEST_RUNS").ok().and_then(|typed| typed.parse().ok()).unwrap_or(RUNS)
    }

    /// Lets a guest attack again and again: what is wrong with how that went.
    async fn again_and_again(guest: &Guest, host: &Host, receiver: &Receiver, canary: &Canary) -> Vec<String> {
        let (_folder, sender) = load(host, guest, receiver, canary);
        let started = if guest.when == When::Start { None } else { Some(sender.start().await.expect(&guest.name)) };
        let mut before = usage(process::id()).expect("a process");
        let mut wrong = Vec::new();
        for run in 0..runs() + WARM_RUNS {
            if run == WARM_RUNS {
                before = usage(process::id()).expect("a process");
            }
            match attack(&sender, started.as_ref(), guest.when).await {
                Ok((code, said)) if code != guest.fails || !guest.says.iter().all(|part| said.contains(part)) => {
                    wrong.push(format!("{}: fails with {code}: {said}", guest.name));
                }
                Ok(_) => {}
                Err(other) => wrong.push(format!("{}: {other}", guest.name)),
            }
            if wrong.len() > 3 {
                break;
            }
        }
        let same = || {
            let now = usage(process::id())?;
            let may = before.resident_bytes + before.resident_bytes / 10 + NOISE_BYTES;
            Ok((now.handles <= before.handles && now.resident_bytes <= may).then_some(()))
        };
        if wait_for("memory and handles to be as before", LIMIT, same).is_err() {
            let now = usage(process::id()).expect("a process");
            wrong.push(format!("{}: before {before:?}, now {now:?}", guest.name));
        }
        wrong
    }

    #[test]
    fn each_guest_fails_with_its_reason_and_leaves_nothing_behind() {
        let (receiver, canary) = (Receiver::start(), Canary::start());
        let alone = std::env::var("MAG_GUEST").ok();
        let guests: Vec<Guest> = all().filter(|guest| alone.as_ref().is_none_or(|name| *name == guest.name)).collect();
        assert!(alone.is_some() || guests.len() >= 24, "only {} guests", guests.len());
        let wrong = in_runtime(async {
            let host = host();
            let mut wrong = Vec::new();
            for guest in &guests {
                wrong.extend(again_and_again(guest, &host, &receiver, &canary).await);
                others_still_work(&host, &receiver, &canary).await;
            }
            wrong
        });
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(canary.connections(), 0, "somebody reached what is forbidden");
        assert!(!receiver.heard("evil"), "a header came out of a value");
    }

    async fn others_still_work(host: &Host, receiver: &Receiver, canary: &Canary) {
        let (_folder, sender) = load(host, &Guest::good(), receiver, canary);
        let started = sender.start().await.expect("a good guest");
        started.send(&[], &notification()).await.expect("a good guest tells");
    }

    #[test]
    fn guests_that_compute_without_end_do_not_hold_up_the_calls_of_another_sender() {
        let (receiver, canary) = (Receiver::start(), Canary::start());
        in_runtime(async {
            let host = host();
            let hostile = all().find(|guest| guest.name == "endless_loop").expect("it is there");
            let (_folder, hostile) = load(&host, &hostile.with_cpu("60s"), &receiver, &canary);
            let hostile = hostile.start().await.expect("it starts");
            // Twice as many as there are threads.
            let attacks: Vec<_> = (0..4)
                .map(|_| {
                    let hostile = hostile.clone();
                    tokio::spawn(async move { hostile.send(&[], &notification()).await })
                })
                .collect();
            let (_folder, good) = load(&host, &Guest::good(), &receiver, &canary);
            let told = async {
                let good = good.start().await.expect("a good guest");
                for _ in 0..20 {
                    good.send(&[], &notification()).await.expect("a good guest tells");
                }
            };
            tokio::time::timeout(LIMIT, told).await.expect("it tells while others compute");
            assert!(attacks.iter().all(|attack| !attack.is_finished()), "they computed all the while");
            attacks.iter().for_each(tokio::task::JoinHandle::abort);
        });
    }

    #[test]
    fn what_a_guest_used_is_known_for_its_last_calls() {
        let (receiver, canary) = (Receiver::start(), Canary::start());
        in_runtime(async {
            let host = host();
            let guest = all().find(|guest| guest.name == "requests_without_end").expect("it is there");
            let (_folder, sender) = load(&host, &guest, &receiver, &canary);
            let started = sender.start().await.expect("it starts");
            for _ in 0..20 {
                started.send(&[], &notification()).await.expect_err("it fails");
            }
            let usage = host.usage("team").expect("calls");
            assert_eq!(usage.calls.len(), mag::limits::PLUGIN_CALLS_KEPT, "the last ones");
            let last = usage.calls.last().expect("calls");
            assert_eq!((last.call.as_str(), last.ended.as_str()), ("send", "too-many-requests"));
            let used = |code: &str| last.amounts.iter().find(|(limit, _)| limit.code() == code).map(|(_, used)| *used);
            assert_eq!((used("too-many-requests"), used("requests-at-once")), (Some(8), Some(8)));
            assert_eq!(used("memory"), Some(2 * 65_536));
            assert!(used("resources").is_some_and(|handles| (16..=64).contains(&handles)), "{last:?}");
            assert!(used("cpu").is_some_and(|micros| micros > 0) && used("timeout") >= used("cpu"), "{last:?}");
        });
    }

    #[test]
    #[ignore = "figures of a quiet machine: run it alone, with --release"]
    fn clients_wait_less_than_twice_as_long_for_their_acks_while_guests_attack() {
        let (receiver, canary) = (Receiver::start(), Canary::start());
        let places = (receiver.authority(), canary.authority());
        let hostile = ["endless_loop", "floods_stdout", "grows_memory_and_touches_it", "requests_without_end"];
        let guests: Vec<Guest> = all().filter(|guest| hostile.contains(&guest.name.as_str())).collect();
        assert_eq!(guests.len(), hostile.len());
        let alone = ingest::p99(&[], (&places.0, &places.1));
        let attacked = ingest::p99(&guests, (&places.0, &places.1));
        println!("p99 of an ack: {alone:?} alone, {attacked:?} while {} guests attack", guests.len());
        assert!(attacked < 2 * alone, "{attacked:?} against {alone:?}");
    }
}
