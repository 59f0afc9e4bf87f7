//! What a plugin should make of each answer, and the words in which outcomes are told. Pure.

use std::time::Duration;

use super::double::{Does, status};
use super::script::{Script, Scripted};
use crate::sender::{Delivered, Failure};

/// Every outcome there is.
pub(super) const OUTCOMES: [&str; 7] = [
    "delivered",
    "retry",
    "retry, maybe delivered",
    "rate-limited",
    "rate-limited, after N s",
    "permanent",
    "misconfigured",
];
/// An answer longer than the host takes.
const TOO_LARGE_BYTES: usize = 5 * 1024 * 1024;
/// What the answers that ask for a pause ask for.
const RETRY_AFTER_SECONDS: u64 = 7;

/// Whether a script may name this outcome.
pub(super) fn is_outcome(word: &str) -> bool {
    let (kind, after) = word.split_once(", after ").unwrap_or((word, "1 s"));
    let is_pause = after.strip_suffix(" s").is_some_and(|seconds| seconds.parse::<u64>().is_ok());
    is_pause && OUTCOMES.contains(&kind)
}

/// How a call ended, in the table's words; with the pause only where the answer named one.
pub(super) fn outcome(ended: &Result<Delivered, Failure>, with_pause: bool) -> String {
    let Err(failure) = ended else { return "delivered".to_owned() };
    if let Some(fault) = failure.fault {
        return format!("broken: {}", fault.code());
    }
    let mut words = failure.kind.as_str().to_owned();
    if failure.maybe_delivered {
        words.push_str(", maybe delivered");
    }
    if let Some(after) = failure.after.filter(|_| with_pause) {
        words.push_str(&format!(", after {} s", after.as_secs()));
    }
    words
}

/// An answer, and what should become of it.
pub(super) struct AnswerCase {
    pub(super) name: String,
    pub(super) does: Does,
    /// To which requests; all without it.
    pub(super) only: Option<Scripted>,
    /// Any of these.
    pub(super) expect: Vec<String>,
    /// Whether the pause is part of the outcome.
    pub(super) with_pause: bool,
    /// Whether the script says something else than the contract recommends.
    pub(super) by_script: bool,
    /// Whether the whole call may take no longer than the shorter timeout.
    pub(super) is_slow: bool,
}

/// What the contract recommends for each answer, and what the script says instead.
pub(super) fn cases(script: &Script) -> Vec<AnswerCase> {
    let mut all = Vec::new();
    for (code, word) in [(302, "misconfigured"), (400, "permanent"), (401, "misconfigured"), (403, "misconfigured")] {
        all.push(case(&code.to_string(), Does::Answer(status(code)), &[word]));
    }
    for (code, word) in [(404, "misconfigured"), (410, "misconfigured"), (413, "permanent"), (429, "rate-limited")] {
        all.push(case(&code.to_string(), Does::Answer(status(code)), &[word]));
    }
    // Whoever cannot know whether it was told all the same may say so.
    let later = ["retry", "retry, maybe delivered"];
    all.push(case("500", Does::Answer(status(500)), &later));
    all.push(pause(429, &["rate-limited, after 7 s"]));
    all.push(pause(503, &["retry, after 7 s", "retry, maybe delivered, after 7 s"]));
    let unknown = "retry, maybe delivered";
    let taken = ["delivered", unknown];
    let text = |text: String| Does::Answer(Scripted { body: Some(text.into()), ..status(200) });
    all.push(case("200, no JSON", text("<html>".to_owned()), &taken));
    all.push(case("200, too large", text("x".repeat(TOO_LARGE_BYTES)), &taken));
    all.push(case("dropped", Does::Drop, &[unknown]));
    all.push(AnswerCase { is_slow: true, ..case("slow", Does::Stall, &[unknown]) });
    for case in &mut all {
        if let Some(word) = script.expect.get(&case.name) {
            (case.expect, case.by_script) = (vec![word.clone()], true);
        }
    }
    all.extend(script.cases.iter().map(|own| AnswerCase {
        only: Some(own.answer.clone()),
        with_pause: own.expect.contains("after"),
        by_script: true,
        ..case(&own.name, Does::Answer(own.answer.clone()), &[&own.expect])
    }));
    all
}

/// Names under `expect` that no case has.
pub(super) fn unknown_names(script: &Script) -> Vec<String> {
    let known: Vec<String> = cases(script).into_iter().map(|case| case.name).collect();
    script.expect.keys().filter(|name| !known.contains(name) && *name != NO_CONNECTION).cloned().collect()
}

/// The case that no server can answer.
pub(super) const NO_CONNECTION: &str = "no connection";

fn case(name: &str, does: Does, expect: &[&str]) -> AnswerCase {
    let expect = expect.iter().map(|&word| word.to_owned()).collect();
    AnswerCase { name: name.to_owned(), does, only: None, expect, with_pause: false, by_script: false, is_slow: false }
}

fn pause(code: u16, expect: &[&str]) -> AnswerCase {
    let headers = [("retry-after".to_owned(), RETRY_AFTER_SECONDS.to_string())].into();
    let does = Does::Answer(Scripted { headers, ..status(code) });
    AnswerCase { with_pause: true, ..case(&format!("{code}, Retry-After"), does, expect) }
}

/// How long the call of a slow answer may take.
pub(super) const SLOW_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::{FailureKind, Fault};

    fn failure(kind: FailureKind) -> Failure {
        let (code, message) = (String::new(), String::new());
        Failure { kind, code, message, after: None, maybe_delivered: false, progress: None, fault: None }
    }

    #[test]
    fn an_outcome_is_told_in_words_that_a_script_may_use() {
        let after = Some(Duration::from_secs(7));
        let limited = Err(Failure { after, ..failure(FailureKind::RateLimited) });
        assert_eq!(outcome(&limited, true), "rate-limited, after 7 s");
        assert_eq!(outcome(&limited, false), "rate-limited");
        let maybe = Err(Failure { maybe_delivered: true, ..failure(FailureKind::Retry) });
        assert_eq!(outcome(&maybe, false), "retry, maybe delivered");
        let trap = Err(Failure { fault: Some(Fault::Trap), ..failure(FailureKind::Retry) });
        assert_eq!(outcome(&trap, false), "broken: trap");
        for word in ["delivered", "permanent", "rate-limited, after 7 s", "retry, maybe delivered, after 30 s"] {
            assert!(is_outcome(word), "{word}");
        }
        for word in ["", "later", "retry, after", "retry, after x s"] {
            assert!(!is_outcome(word), "{word}");
        }
    }

    #[test]
    fn what_a_script_expects_stands_in_for_the_recommendation() {
        let script = Script::parse("[expect]\n\"404\" = \"permanent\"\n\"405\" = \"retry\"", "x").unwrap();
        let found = cases(&script).into_iter().find(|case| case.name == "404").unwrap();
        assert_eq!((found.expect, found.by_script), (vec!["permanent".to_owned()], true));
        assert_eq!(unknown_names(&script), ["405"]);
    }
}
