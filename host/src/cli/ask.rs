//! How commands talk to a running mag: one request to `[admin]`, one answer.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{EXIT_TEMPORARY, EXIT_USAGE, complain, load_config};
use crate::config::Config;

/// mag on the same machine answers far sooner.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where the running mag is.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Where {
    /// Where the running mag's `[admin]` listens; else what the config says
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) admin: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// Nobody said where to ask.
    #[error("the config has no [admin]: add it and send mag SIGHUP, or say where it is with --admin")]
    NoAdmin,
    /// Nobody is there.
    #[error("no mag answers at {address}: {why}")]
    Away {
        /// Where it was looked for.
        address: String,
        /// What the system said.
        why: String,
    },
    /// mag says no, in its own words.
    #[error("{0}")]
    Refused(String),
    /// mag says that it cannot do it as things are, in its own words.
    #[error("{0}")]
    NotNow(String),
    /// The answer makes no sense.
    #[error("what answers at {address} is not this mag: {why}")]
    Odd {
        /// Who answered.
        address: String,
        /// What was expected.
        why: String,
    },
}

impl Unanswered {
    /// As the README has it: 1 refused, 75 not reached or not now.
    pub(super) fn exit(&self) -> ExitCode {
        match self {
            Self::Refused(_) | Self::Odd { .. } => ExitCode::FAILURE,
            Self::NoAdmin | Self::Away { .. } | Self::NotNow(_) => ExitCode::from(EXIT_TEMPORARY),
        }
    }

    /// Whether mag does not run, or cannot be asked.
    pub(super) fn is_away(&self) -> bool {
        matches!(self, Self::NoAdmin | Self::Away { .. })
    }
}

/// A mag to ask.
#[derive(Clone, Debug)]
pub(super) struct Mag {
    address: Option<String>,
    /// The config, when it was read.
    pub(super) config: Option<Config>,
}

impl Mag {
    /// The mag that arguments and config name; the config is left unread when the address was given.
    pub(super) fn find(place: &Where, config: Option<&Path>) -> Result<Self, ExitCode> {
        if let Some(address) = &place.admin {
            return Ok(Self { address: Some(address.clone()), config: None });
        }
        let config = load_config(config).map_err(|error| {
            complain(&error.to_string());
            complain("mag: put the config right, or say where the running mag is with --admin");
            ExitCode::from(EXIT_USAGE)
        })?;
        Ok(Self::of(place, config))
    }

    /// The mag at this address, if it is one.
    pub(super) fn at(address: Option<String>) -> Self {
        Self { address, config: None }
    }

    /// The mag of a config that was read.
    pub(super) fn of(place: &Where, config: Config) -> Self {
        let configured = config.admin.as_ref().map(|admin| admin.address.clone());
        Self { address: place.admin.clone().or(configured), config: Some(config) }
    }

    /// Reads something.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Unanswered> {
        self.ask(Method::GET, path, None, TIMEOUT)
    }

    /// Changes something.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &serde_json::Value) -> Result<T, Unanswered> {
        self.post_within(path, body, TIMEOUT)
    }

    /// Changes something that takes longer.
    pub(super) fn post_within<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
        time: Duration,
    ) -> Result<T, Unanswered> {
        self.ask(Method::POST, path, Some(body), time)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
        time: Duration,
    ) -> Result<T, Unanswered> {
        let address = self.address.clone().ok_or(Unanswered::NoAdmin)?;
        let away = |why: String| Unanswered::Away { address: address.clone(), why };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| away(error.to_string()))?;
        let asked = runtime.block_on(async { timeout(time, request(&address, method, path, body)).await });
        let (status, answer) = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(away(format!("{error:#}"))),
            Err(_) => return Err(away(format!("no answer in {} s", time.as_secs()))),
        };
        let odd = |error: serde_json::Error| Unanswered::Odd { address: address.clone(), why: error.to_string() };
        if status.is_success() {
            return serde_json::from_slice(&answer).map_err(odd);
        }
        let refusal: Refusal = serde_json::from_slice(&answer).map_err(odd)?;
        Err(match status {
            StatusCode::SERVICE_UNAVAILABLE => Unanswered::NotNow(refusal.error),
            _ => Unanswered::Refused(refusal.error),
        })
    }
}

#[derive(serde::Deserialize)]
struct Refusal {
    error: String,
}

async fn request(
    address: &str,
    method: Method,
    path: &str,
    body: Option<&serde_json::Value>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(HOST, address);
    let request: Request<Full<Bytes>> = match body {
        Some(body) => request.header(CONTENT_TYPE, "application/json").body(Full::from(body.to_string()))?,
        None => request.body(Full::<Bytes>::default())?,
    };
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let bytes = answer.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, bytes))
}
