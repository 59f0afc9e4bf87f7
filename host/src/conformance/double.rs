//! A local server that plays every origin: it answers as told, and remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::script::Scripted;
use crate::{egress, limits};

/// What the double got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: String,
    /// The origin's name.
    pub(super) host: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Asked {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What the double does to a request.
#[derive(Clone, Debug)]
pub(super) enum Does {
    /// Answers.
    Answer(Scripted),
    /// Reads the request and closes the connection.
    Drop,
    /// Reads the request and never answers.
    Stall,
}

/// Does something else than usual, to the requests that `to` picks.
#[derive(Clone)]
pub(super) struct Instead {
    pub(super) to: Arc<dyn Fn(&Asked) -> bool + Send + Sync>,
    pub(super) does: Does,
}

impl Instead {
    /// To every request.
    pub(super) fn always(does: Does) -> Self {
        Self { to: Arc::new(|_| true), does }
    }
}

#[derive(Default)]
struct Part {
    usual: Vec<Scripted>,
    instead: Option<Instead>,
    asked: Vec<Asked>,
}

/// The server; it ends when this is dropped.
pub(super) struct Double {
    address: SocketAddr,
    part: Arc<Mutex<Part>>,
    egress: egress::Double,
    /// Ends the server with it.
    _serving: JoinSet<()>,
}

impl Double {
    /// Listens on the loopback and answers as `usual` says.
    pub(super) async fn start(usual: Vec<Scripted>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let part = Arc::new(Mutex::new(Part { usual, ..Part::default() }));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&part)));
        Ok(Self { address, part, egress: egress::Double::at(address), _serving: serving })
    }

    /// For the plugin host.
    pub(super) fn for_host(&self) -> egress::Double {
        self.egress.clone()
    }

    /// From now on it does this instead; `None`: as usual again.
    pub(super) fn does(&self, instead: Option<Instead>) {
        self.look(|part| part.instead = instead);
    }

    /// Nothing listens any more, until [`Self::comes_back`].
    ///
    /// # Errors
    ///
    /// When the system gives no port.
    pub(super) async fn goes_away(&self) -> std::io::Result<()> {
        // A port that was just ours and is closed again refuses connections.
        let closed = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        self.egress.moves_to(closed.local_addr()?);
        Ok(())
    }

    /// Listens again.
    pub(super) fn comes_back(&self) {
        self.egress.moves_to(self.address);
    }

    /// What it was asked since the last time.
    pub(super) fn take(&self) -> Vec<Asked> {
        self.look(|part| std::mem::take(&mut part.asked))
    }

    fn look<T>(&self, look: impl FnOnce(&mut Part) -> T) -> T {
        look(&mut self.part.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(listener: TcpListener, part: Arc<Mutex<Part>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // One that is gone before it was accepted asks for nothing.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&part)));
                }
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// The connection is to break off.
#[derive(Debug, thiserror::Error)]
#[error("dropped on purpose")]
struct Dropped;

async fn connection(stream: TcpStream, part: Arc<Mutex<Part>>) {
    let service = service_fn(|request| {
        let part = Arc::clone(&part);
        async move { answer(request, &part).await }
    });
    // How it ended the plugin says.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(request: Request<Incoming>, part: &Mutex<Part>) -> Result<Response<Full<Bytes>>, Dropped> {
    let (head, body) = request.into_parts();
    // The host lets no larger one out; what breaks off was never asked.
    let body = Limited::new(body, limits::PLUGIN_REQUEST_MOST_BYTES).collect().await.or(Err(Dropped))?;
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let asked = Asked {
        method: head.method.to_string(),
        host: head.headers.get(hyper::header::HOST).map(text).unwrap_or_default(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: body.to_bytes().to_vec(),
    };
    let does = decide(asked, &mut part.lock().unwrap_or_else(PoisonError::into_inner));
    match does {
        Does::Answer(scripted) => Ok(response(&scripted)),
        Does::Drop => Err(Dropped),
        Does::Stall => match std::future::pending::<Infallible>().await {},
    }
}

fn decide(asked: Asked, part: &mut Part) -> Does {
    let instead = part.instead.as_ref().filter(|instead| (instead.to)(&asked)).map(|instead| instead.does.clone());
    let does = instead.unwrap_or_else(|| {
        let usual = part.usual.iter().find(|answer| answer.fits(&asked.method, &asked.path));
        Does::Answer(usual.cloned().unwrap_or_else(|| status(200)))
    });
    part.asked.push(asked);
    does
}

/// An answer with a status and little else.
pub(super) fn status(status: u16) -> Scripted {
    let body = Value::Object(serde_json::Map::new());
    Scripted { method: None, path: None, status, headers: std::collections::BTreeMap::new(), body: Some(body) }
}

fn response(scripted: &Scripted) -> Response<Full<Bytes>> {
    let (bytes, kind) = match &scripted.body {
        None => (Bytes::new(), None),
        Some(Value::String(text)) => (Bytes::from(text.clone()), Some("text/plain; charset=utf-8")),
        Some(json) => (Bytes::from(json.to_string()), Some("application/json")),
    };
    let mut response = Response::builder().status(scripted.status);
    let named = scripted.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
    if let Some(kind) = kind.filter(|_| !named) {
        response = response.header("content-type", kind);
    }
    for (name, value) in &scripted.headers {
        response = response.header(name, value);
    }
    // A header that HTTP does not know is the script's mistake, and shows as an answer that no plugin expects.
    response.body(Full::new(bytes)).unwrap_or_else(|error| {
        let mut wrong = Response::new(Full::new(Bytes::from(format!("the script's answer is not valid: {error}"))));
        *wrong.status_mut() = hyper::StatusCode::IM_A_TEAPOT;
        wrong
    })
}
