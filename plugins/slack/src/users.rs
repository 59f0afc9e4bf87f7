//! Who is who: from the names in the config to Slack's ids, looked up once and kept in the state.

use std::collections::{BTreeMap, BTreeSet};

use mag_plugin_sdk::{Call, Failure};
use serde::{Deserialize, Serialize};

use crate::{Config, api};

/// People on a page; Slack takes at most 999 and advises fewer.
const PAGE: usize = 500;
/// Pages read; a call of `prepare` may make 64 requests.
const PAGES: usize = 60;

/// Ids of the people in the config who exist, by name as [`wanted`] writes it.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Users {
    users: BTreeMap<String, String>,
}

impl Users {
    /// The state that mag keeps.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // A map with string keys is always JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the state; nobody is found in one that this version did not write.
    pub(crate) fn from_bytes(state: &[u8]) -> Self {
        serde_json::from_slice(state).unwrap_or_default()
    }

    /// The names in the config that nobody has, each once, as they are written there.
    pub(crate) fn nobody<'c>(&self, config: &'c Config) -> Vec<&'c str> {
        let mut asked = BTreeSet::new();
        let names = config.mention.iter().chain(&config.mention_monitor);
        names.filter(|name| self.id(name).is_none() && asked.insert(wanted(name))).map(String::as_str).collect()
    }

    /// The id of a name in the config.
    pub(crate) fn id(&self, name: &str) -> Option<&str> {
        self.users.get(&wanted(name)).map(String::as_str)
    }
}

/// A name as it is compared: trimmed, without a leading `@`, in lower case.
pub(crate) fn wanted(name: &str) -> String {
    let name = name.trim();
    name.strip_prefix('@').unwrap_or(name).trim().to_lowercase()
}

/// Pages through the workspace until everybody is found. A user name wins against somebody else's display name.
pub(crate) fn look_up(call: &Call<'_, Config>) -> Result<Users, Failure> {
    let names: BTreeSet<String> =
        call.config.mention.iter().chain(&call.config.mention_monitor).map(|name| wanted(name)).collect();
    let mut by_name = BTreeMap::new();
    let mut by_display_name = BTreeMap::new();
    let mut cursor = String::new();
    for _ in 0..PAGES {
        if by_name.len() == names.len() {
            break;
        }
        let page = api::users_page(call, PAGE, &cursor)?;
        for member in page.members.iter().filter(|member| !member.deleted && !member.is_bot && is_id(&member.id)) {
            for (name, found) in [(&member.name, &mut by_name), (&member.profile.display_name, &mut by_display_name)] {
                let name = wanted(name);
                if names.contains(&name) {
                    found.entry(name).or_insert_with(|| member.id.clone());
                }
            }
        }
        cursor = page.response_metadata.unwrap_or_default().next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    by_display_name.append(&mut by_name);
    Ok(Users { users: by_display_name })
}

/// What is written between `<@` and `>` must be an id and nothing else.
fn is_id(id: &str) -> bool {
    (1..=32).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric())
}
