//! Looking into a sender without running it: what its plugin is, what it says of itself, and what it asks for.

use std::fmt;

use super::component;
use super::failure::{ConfigMistake, Manifest, Wanted};
use super::limit::Calling;
use super::start::StartError;
use super::used::{self, Allowed};
use super::{Sender, mail, text};
use crate::egress::Origin;
use crate::limits;

/// An origin that a plugin asks for, and whether it gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// In its one canonical form.
    pub origin: String,
    /// With which methods, as the plugin says.
    pub methods: Vec<String>,
    /// What for, as the plugin says.
    pub why: String,
    /// Whether the sender may reach it.
    pub granted: bool,
}

impl Asked {
    pub(super) fn new(wanted: &Wanted, origin: &Origin, granted: bool) -> Self {
        let word = |text: &String| text::line(text, limits::PLUGIN_WORD_CHARS);
        Self {
            origin: origin.to_string(),
            methods: wanted.methods.iter().take(limits::PLUGIN_MISTAKES).map(word).collect(),
            why: text::line(&wanted.why, limits::PLUGIN_MESSAGE_CHARS),
            granted,
        }
    }

    /// Where it leads, for a person: the origin, or how mag itself sends the mail.
    #[must_use]
    pub fn place(&self) -> &str {
        if mail::is_the_service(&self.origin) { "mail, through `smtp`" } else { &self.origin }
    }
}

impl fmt::Display for Asked {
    /// `https://slack.com (POST, to post messages)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [self.methods.join(" "), self.why.clone()];
        let reasons: Vec<String> = reasons.into_iter().filter(|reason| !reason.is_empty()).collect();
        f.write_str(self.place())?;
        if reasons.is_empty() { Ok(()) } else { write!(f, " ({})", reasons.join(", ")) }
    }
}

/// What a plugin says of itself and of its config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Who it is.
    pub manifest: Manifest,
    /// What it asks for with this config; nothing when there are mistakes in that.
    pub asked: Vec<Asked>,
    /// How many origins it asks for beside these.
    pub more: usize,
    /// What is wrong with its config.
    pub mistakes: Vec<ConfigMistake>,
}

/// A plugin's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its bytes.
    pub bytes: usize,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
    /// What it exports of the contract.
    pub export: Option<String>,
    /// What it imports.
    pub imports: Vec<String>,
}

impl Sender {
    /// Lets the plugin say what it is and look at its config. Makes no connection, and starts nothing.
    ///
    /// # Errors
    ///
    /// When the plugin is broken.
    pub async fn look(&self) -> Result<Looked, StartError> {
        self.look_inside().await.map(|(_plugin, looked, _grants)| looked)
    }

    /// Its file.
    #[must_use]
    pub fn file(&self) -> Component {
        let bytes: &[u8] = &self.profile.bytes;
        let (imports, export) = component::imports(bytes);
        Component { bytes: bytes.len(), sha256: sha256(bytes), export, imports }
    }

    /// Whether it is one of those inside the binary.
    #[must_use]
    pub fn is_bundled(&self) -> bool {
        self.profile.bundled
    }

    /// What its calls may use.
    #[must_use]
    pub fn limits(&self) -> Vec<Allowed> {
        used::allowed(&self.profile.call_limits(Calling::Send))
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
