//! Receipts of messages that have an id at their destination: kept, read back, and what happens when the message is gone.

use serde::{Deserialize, Serialize};

use crate::{Delivered, Failure, Intent, Notification, delivered};

/// What is needed to find a message again.
#[derive(Deserialize, Serialize)]
struct Receipt {
    /// Where it is: at another place there is nothing to change.
    at: String,
    /// What the destination calls it.
    id: String,
}

/// Changes the message that the notification updates, else posts one. `at` names the place in the operator's words (a
/// channel, a chat), never with a placeholder: those change at every start.
///
/// `change` gets the message's id and says `false` where the message is gone; `post` returns the id of what it posted.
///
/// # Errors
/// What `change` and `post` give.
pub fn post_or_change(
    notification: &Notification,
    at: &str,
    change: impl FnOnce(&str) -> Result<bool, Failure>,
    post: impl FnOnce() -> Result<String, Failure>,
) -> Result<Delivered, Failure> {
    if let Some(receipt) = previous(notification).filter(|receipt| receipt.at == at)
        && change(&receipt.id)?
    {
        return Ok(told(at, receipt.id, true));
    }
    Ok(told(at, post()?, false))
}

/// The message that is to be changed; one that cannot be read is as good as none.
fn previous(notification: &Notification) -> Option<Receipt> {
    let bytes = notification.previous.as_ref().filter(|_| notification.intent == Intent::Update)?;
    serde_json::from_slice(bytes).ok()
}

fn told(at: &str, id: String, updated_in_place: bool) -> Delivered {
    if id.is_empty() {
        return Delivered { updated_in_place, ..delivered() };
    }
    // Two texts: this cannot fail, and a message without a receipt is told all the same.
    let receipt = serde_json::to_vec(&Receipt { at: at.to_owned(), id }).ok();
    Delivered { receipt, updated_in_place, ..delivered() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure;
    use crate::testing::{group, notification, updating};

    const RECEIPT: &[u8] = br##"{"at":"#ops","id":"7"}"##;

    #[test]
    fn a_message_is_posted_and_then_changed() {
        let first = notification(vec![group("a", 1)]);
        let told = post_or_change(&first, "#ops", |_| unreachable!(), || Ok("7".into())).unwrap();
        assert_eq!((told.receipt.as_deref(), told.updated_in_place), (Some(RECEIPT), false));
        let told = post_or_change(&updating(RECEIPT), "#ops", |id| Ok(id == "7"), || unreachable!()).unwrap();
        assert_eq!((told.receipt.as_deref(), told.updated_in_place), (Some(RECEIPT), true));
    }

    #[test]
    fn what_is_gone_or_elsewhere_is_posted_anew() {
        let anew = || Ok("8".to_owned());
        let gone = post_or_change(&updating(RECEIPT), "#ops", |_| Ok(false), anew).unwrap();
        let elsewhere = post_or_change(&updating(RECEIPT), "#dev", |_| unreachable!(), anew).unwrap();
        let unreadable = post_or_change(&updating(b"junk"), "#ops", |_| unreachable!(), anew).unwrap();
        assert!(!gone.updated_in_place && !elsewhere.updated_in_place && !unreadable.updated_in_place);
        assert_eq!(gone.receipt.as_deref(), Some(br##"{"at":"#ops","id":"8"}"##.as_slice()));
    }

    #[test]
    fn a_change_that_fails_otherwise_posts_nothing() {
        let failed = post_or_change(&updating(RECEIPT), "#ops", |_| Err(failure::retry("x", "no")), || unreachable!());
        assert_eq!(failed, Err(failure::retry("x", "no")));
    }
}
