//! The one door between a guest and the network: counts, checks, puts secrets in, and hands on to `egress` or to mail.
//!
//! **Invariant:** what a guest may not do is written down here, so that the person who can allow it hears of it even
//! when the guest hides it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use url::Url;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::call::CallLimits;
use super::mail::{self, Mailer};
use super::secrets::{Blanked, Errand, Refusal, Wire};
use crate::clock::Clock;
use crate::egress::{self, EgressError};
use crate::limits;

/// What one sender can reach, and the secrets that go with it.
pub(super) struct Reach {
    pub(super) client: egress::Client,
    pub(super) wire: Wire,
    pub(super) mailer: Option<Mailer>,
}

/// Something a guest tried and may not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// An origin that is not granted.
    Origin(String),
    /// A granted origin whose addresses are private.
    Private(String),
    /// More requests than a call may make.
    Requests(u32),
    /// A request in a call that has no network.
    Offline,
    /// A mail, and the sender has no `smtp`.
    NoSmtp,
    /// A secret where it may not stand; the words are for the operator.
    Secret(String),
}

/// What a call did on the network; shared with whoever judges the call afterwards.
#[derive(Debug, Default)]
pub(super) struct Record {
    requests: AtomicU32,
    sent: AtomicU32,
    note: Mutex<Option<Note>>,
}

impl Record {
    pub(super) fn note(&self) -> Option<Note> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a request may have reached its destination.
    pub(super) fn sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed) > 0
    }

    /// Before a request goes out: a call that is dropped meanwhile counts as sent.
    fn sending(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// It is certain now that this request did not arrive.
    fn not_sent(&self) {
        self.sent.fetch_sub(1, Ordering::Relaxed);
    }

    fn write(&self, note: Note) {
        self.note.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(note);
    }
}

/// The hooks of one call.
pub(super) struct Hooks {
    reach: Option<Arc<Reach>>,
    limits: CallLimits,
    record: Arc<Record>,
    /// Of the notification, in a call that has one.
    id: Option<Arc<str>>,
}

type Response = http::Response<WasiBody>;
type Worker = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answering = Box<dyn Future<Output = Result<(Response, Worker), Error>> + Send>;

impl Hooks {
    pub(super) fn new(reach: Option<Arc<Reach>>, limits: CallLimits, id: Option<Arc<str>>) -> Self {
        Self { reach, limits, record: Arc::default(), id }
    }

    pub(super) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    fn admit(&self) -> Result<Arc<Reach>, Error> {
        let Some(reach) = &self.reach else {
            self.record.write(Note::Offline);
            return Err(Error::HttpRequestDenied);
        };
        if self.record.requests.fetch_add(1, Ordering::Relaxed) >= self.limits.requests {
            self.record.write(Note::Requests(self.limits.requests));
            return Err(Error::ConnectionLimitReached);
        }
        Ok(Arc::clone(reach))
    }
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _told_when_read: Worker,
    ) -> Answering {
        let admitted = self.admit();
        let (record, answer_bytes) = (Arc::clone(&self.record), self.limits.answer_bytes);
        let id = self.id.clone();
        Box::new(async move {
            let reach = admitted?;
            let first_byte = options.and_then(|options| options.first_byte_timeout);
            let exchange = reach.exchange(request, &record, answer_bytes, id.as_deref());
            let response = match first_byte {
                Some(limit) => tokio::time::timeout(limit, exchange).await.or(Err(Error::ConnectionReadTimeout))??,
                None => exchange.await?,
            };
            let worker: Worker = Box::new(async { Ok(()) });
            Ok((response, worker))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        limits::PLUGIN_STATE_BYTES
    }
}

impl Reach {
    async fn exchange(
        &self,
        request: http::Request<WasiBody>,
        record: &Record,
        answer_bytes: usize,
        id: Option<&str>,
    ) -> Result<Response, Error> {
        let fields = request.headers();
        let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if fields.len() > limits::PLUGIN_HEADER_FIELDS || bytes > limits::PLUGIN_HEADER_BYTES {
            return Err(Error::HttpRequestHeaderSectionSize(u32::try_from(limits::PLUGIN_HEADER_BYTES).ok()));
        }
        if mail::is_for_mail(request.uri()) && !self.client.is_answered_by_a_double() {
            return self.mail(request, record).await;
        }
        // Before the body is read: a guest that may not send does not get to write.
        let url = Url::parse(&request.uri().to_string()).or(Err(Error::HttpRequestUriInvalid))?;
        let origin = self.client.check(&url).map_err(|error| deny(error, record))?;
        let (mut parts, body) = request.into_parts();
        let body = whole(body).await?;
        let (now, body_bytes) = (Clock::system().now(), limits::PLUGIN_REQUEST_BYTES);
        let errand = Errand { url: &url, to: &origin, id, now, body_bytes };
        let body = self.wire.fill(&mut parts, body, errand).map_err(|Refusal(why)| {
            record.write(Note::Secret(why));
            Error::ConfigurationError
        })?;
        record.sending();
        let answer = self.client.request(http::Request::from_parts(parts, body), answer_bytes).await;
        let answer = answer.map_err(|error| {
            if !may_have_arrived(&error) {
                record.not_sent();
            }
            deny(error, record)
        })?;
        let needles = self.wire.secrets.needles();
        let (mut head, body) = answer.into_parts();
        needles.blank_headers(&mut head.headers);
        let body = Blanked::new(body.map_err(wasi_error), needles).boxed_unsync();
        Ok(http::Response::from_parts(head, body))
    }

    async fn mail(&self, request: http::Request<WasiBody>, record: &Record) -> Result<Response, Error> {
        let Some(mailer) = &self.mailer else {
            record.write(Note::NoSmtp);
            return Err(Error::HttpRequestDenied);
        };
        let body = whole(request.into_body()).await?;
        record.sending();
        let mut answer = mailer.answer(&body).await;
        let mut said = answer.body().to_vec();
        if self.wire.secrets.needles().blank(&mut said) {
            *answer.body_mut() = said.into();
        }
        if !matches!(answer.status(), http::StatusCode::ACCEPTED | http::StatusCode::GATEWAY_TIMEOUT) {
            record.not_sent();
        }
        Ok(answer.map(|body| http_body_util::Full::new(body).map_err(|never| match never {}).boxed_unsync()))
    }
}

async fn whole(body: WasiBody) -> Result<Bytes, Error> {
    let limit = limits::PLUGIN_REQUEST_BYTES;
    let collected = Limited::new(body, limit).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| match error.downcast::<LengthLimitError>() {
        Ok(_too_long) => Error::HttpRequestBodySize(u64::try_from(limit).ok()),
        Err(error) => error.downcast::<Error>().map_or(Error::HttpProtocolError, |error| *error),
    })
}

fn may_have_arrived(error: &EgressError) -> bool {
    matches!(error, EgressError::Broken(_) | EgressError::Timeout(_) | EgressError::TooLarge(_))
}

fn deny(error: EgressError, record: &Record) -> Error {
    match &error {
        EgressError::NotGranted(origin) => record.write(Note::Origin(origin.clone())),
        EgressError::Private(origin) => record.write(Note::Private(origin.clone())),
        _ => {}
    }
    wasi_error(error)
}

/// What a guest hears; its helpers tell by it whether the request may have arrived.
fn wasi_error(error: EgressError) -> Error {
    match error {
        EgressError::NotGranted(_) => Error::HttpRequestDenied,
        EgressError::Private(_) => Error::DestinationIpProhibited,
        EgressError::Origin(_) => Error::HttpRequestUriInvalid,
        EgressError::Resolve(_) => Error::DnsError { rcode: None, info_code: None },
        EgressError::Connect { .. } => Error::ConnectionRefused,
        EgressError::Tls { reason, .. } => Error::TlsAlertReceived { alert_id: None, alert_message: Some(reason) },
        EgressError::Request(reason) => Error::InternalError(Some(reason)),
        EgressError::Broken(_) => Error::ConnectionTerminated,
        EgressError::Timeout(_) => Error::ConnectionReadTimeout,
        EgressError::TooLarge(bytes) => Error::HttpResponseBodySize(u64::try_from(bytes).ok()),
        EgressError::Redirect(_) => Error::LoopDetected,
    }
}

#[cfg(test)]
mod tests;
