//! What people write: the config, its values, matchers, silences.

use super::Verdict;
use crate::alertmanager;
use crate::config::{Config, Source};
use crate::matcher::Matcher;

/// Any time will do.
const NOW: u64 = 1_700_000_000_000;

/// Loads a file; its mistakes must all have a place that can be shown.
fn loads(text: String) -> bool {
    let source = Source { file: Some("mag.toml".into()), text };
    match Config::load(&source, &|_| None) {
        Ok(_) => true,
        Err(mistakes) => {
            let told = mistakes.to_string();
            assert!(mistakes.count() > 0 && told.contains("mag.toml:"), "mistakes without a place: {told}");
            false
        }
    }
}

/// A file that is not UTF-8 is refused before it comes here.
pub(super) fn config(input: &[u8]) -> Verdict {
    let Ok(text) = str::from_utf8(input) else { return Verdict::Malformed };
    Verdict::malformed_if(!loads(text.to_owned()))
}

/// Values that have a syntax of their own; the first byte says which.
pub(super) fn config_value(input: &[u8]) -> Verdict {
    let Some((first, value)) = input.split_first() else { return Verdict::Read };
    let Ok(value) = str::from_utf8(value) else { return Verdict::Malformed };
    let value = serde_json::Value::from(value);
    let text = match first % 7 {
        0 => format!("[route]\ntime_limit = {value}\n"),
        1 => format!("[limits]\nline = {value}\n"),
        2 => format!("[[listen]]\naddress = {value}\n"),
        3 => format!("[[listen]]\naddress = \"127.0.0.1:1\"\nallow = [{value}]\n"),
        4 => format!("[senders.a]\nplugin = \"console\"\nrate = {value}\n"),
        5 => format!("[monitors.a]\nurl = \"http://a/\"\nalert_if = {value}\n"),
        _ => format!("[senders.a]\nplugin = \"webhook\"\nconfig = {{ url = {value} }}\n"),
    };
    Verdict::malformed_if(!loads(text))
}

/// A matcher that is written down is read as the same one.
pub(super) fn matcher(input: &[u8]) -> Verdict {
    let Ok(text) = str::from_utf8(input) else { return Verdict::Malformed };
    let Ok(matcher) = Matcher::parse(text) else { return Verdict::Malformed };
    let again = Matcher::parse(&matcher.to_string());
    assert_eq!(again.as_ref(), Ok(&matcher), "{text:?} is written as {matcher}");
    let held = matcher.holds(text);
    assert_eq!(again.map(|again| again.holds(text)), Ok(held), "{matcher}");
    Verdict::Read
}

pub(super) fn silence(input: &[u8]) -> Verdict {
    Verdict::malformed_if(alertmanager::silence(input, NOW).is_err())
}
