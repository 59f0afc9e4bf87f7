//! What is asked of Alertmanager's API beside posting alerts: which path is what, and who answers it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use hyper::body::Bytes;
use hyper::http::Method;

use super::Answer;

/// What a path stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// The alerts that fire.
    Alerts,
    /// The same, by the groups they count in.
    Groups,
    /// Which mag this is.
    Status,
    /// Who can be told.
    Receivers,
    /// All silences, and where new ones go.
    Silences,
    /// One of them.
    Silence(String),
    /// Whether mag runs.
    Healthy,
    /// Whether it takes messages.
    Ready,
}

impl Page {
    /// What `path` stands for, if anything.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/api/v2/alerts" => Self::Alerts,
            "/api/v2/alerts/groups" => Self::Groups,
            "/api/v2/status" => Self::Status,
            "/api/v2/receivers" => Self::Receivers,
            "/api/v2/silences" => Self::Silences,
            "/-/healthy" => Self::Healthy,
            "/-/ready" => Self::Ready,
            other => Self::Silence(other.strip_prefix("/api/v2/silence/").filter(|id| !id.contains('/'))?.to_owned()),
        })
    }

    /// Methods that it takes.
    #[must_use]
    pub fn methods(&self) -> &'static [Method] {
        match self {
            Self::Silences => &[Method::GET, Method::POST],
            Self::Silence(_) => &[Method::GET, Method::DELETE],
            _ => &[Method::GET, Method::HEAD],
        }
    }
}

/// A question.
#[derive(Debug)]
pub struct Asked {
    /// What it is about.
    pub page: Page,
    /// One of its methods.
    pub method: Method,
    /// What stands behind the question mark, still encoded.
    pub query: String,
    /// The body, decompressed and of bounded size.
    pub body: Bytes,
}

/// Whoever answers.
pub trait Desk: fmt::Debug + Send + Sync {
    /// Answers one question.
    fn answer<'a>(&'a self, asked: Asked) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;
}
