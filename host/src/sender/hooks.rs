//! The one door between a guest and the network: counts, checks, puts secrets in, and hands on to `egress` or to mail.
//!
//! **Invariant:** what a guest may not do is written down here, so that the person who can allow it hears of it even
//! when the guest hides it.

mod answer;
mod record;

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use url::Url;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::limit::{CallLimits, Limit};
use super::mail::{self, Mailer};
use super::secrets::{Blanked, Errand, Refusal, Wire};
use crate::clock::Clock;
use crate::egress::{self, EgressError};
use crate::limits;
use answer::Answer;
use record::UnderWay;
pub(super) use record::{Note, Record};

/// What one sender can reach, and the secrets that go with it.
pub(super) struct Reach {
    pub(super) client: egress::Client,
    pub(super) wire: Wire,
    pub(super) mailer: Option<Mailer>,
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

    fn admit(&self) -> Result<(Arc<Reach>, UnderWay), Error> {
        let Some(reach) = &self.reach else {
            self.record.write(Note::Offline);
            return Err(Error::HttpRequestDenied);
        };
        let refuse = |limit| {
            self.record.write(Note::Limit(limit));
            Err(Error::ConnectionLimitReached)
        };
        if !self.record.count_request(self.limits.requests()) {
            return refuse(Limit::Requests);
        }
        match self.record.begin(self.limits.of().requests_at_once) {
            Some(under_way) => Ok((Arc::clone(reach), under_way)),
            None => refuse(Limit::AtOnce),
        }
    }
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _told_when_read: Worker,
    ) -> Answering {
        let (admitted, limits) = (self.admit(), self.limits);
        let (record, id) = (Arc::clone(&self.record), self.id.clone());
        Box::new(async move {
            let (reach, under_way) = admitted?;
            let first_byte = options.and_then(|options| options.first_byte_timeout);
            let began = tokio::time::Instant::now();
            let exchange = reach.exchange(request, &record, &limits, id.as_deref());
            let exchange = async {
                match limits.of().answer_timeout {
                    Some(limit) => tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_elapsed| {
                        record.write(Note::Limit(Limit::AnswerTime));
                        Err(Error::ConnectionReadTimeout)
                    }),
                    None => exchange.await,
                }
            };
            let response = match first_byte {
                Some(limit) => tokio::time::timeout(limit, exchange).await.or(Err(Error::ConnectionReadTimeout))??,
                None => exchange.await?,
            };
            let until = limits.of().answer_timeout.map(|limit| began + limit);
            let response = response.map(|body| Answer::new(body, under_way, began, until).boxed_unsync());
            let worker: Worker = Box::new(async { Ok(()) });
            Ok((response, worker))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        limits::PLUGIN_WRITE_BYTES
    }
}

impl Reach {
    async fn exchange(
        &self,
        request: http::Request<WasiBody>,
        record: &Record,
        limits: &CallLimits,
        id: Option<&str>,
    ) -> Result<Response, Error> {
        check_head(&request, record, limits)?;
        if mail::is_for_mail(request.uri()) && !self.client.is_answered_by_a_double() {
            return self.mail(request, record, limits).await;
        }
        // Before the body is read: a guest that may not send does not get to write.
        let url = Url::parse(&request.uri().to_string()).map_err(|error| {
            record.write(Note::Url(error.to_string()));
            Error::HttpRequestUriInvalid
        })?;
        let origin = self.client.check(&url).map_err(|error| deny(error, record))?;
        let (mut parts, body) = request.into_parts();
        let body = whole(body, record, limits).await?;
        let (now, body_bytes) = (Clock::system().now(), limits.of().request_bytes);
        let errand = Errand { url: &url, to: &origin, id, now, body_bytes };
        let body = self.wire.fill(&mut parts, body, errand).map_err(|Refusal(why)| {
            record.write(Note::Secret(why));
            Error::ConfigurationError
        })?;
        record.sending();
        let answer = self.client.request(http::Request::from_parts(parts, body), limits.answer_bytes()).await;
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

    async fn mail(
        &self,
        request: http::Request<WasiBody>,
        record: &Record,
        limits: &CallLimits,
    ) -> Result<Response, Error> {
        let Some(mailer) = &self.mailer else {
            record.write(Note::NoSmtp);
            return Err(Error::HttpRequestDenied);
        };
        let body = whole(request.into_body(), record, limits).await?;
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

/// What can be said of a request before its body is there.
fn check_head(request: &http::Request<WasiBody>, record: &Record, limits: &CallLimits) -> Result<(), Error> {
    let fields = request.headers();
    let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    record.saw(Limit::Headers, fields.len());
    record.saw(Limit::HeaderSize, bytes);
    let (most, most_bytes) = (limits.of().header_fields, limits.of().header_bytes);
    let passed = if fields.len() > most {
        Limit::Headers
    } else if bytes > most_bytes {
        Limit::HeaderSize
    } else if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        // The one opens a tunnel past every check, the other repeats secrets in its answer.
        record.write(Note::Method(request.method().to_string()));
        return Err(Error::HttpRequestMethodInvalid);
    } else {
        return Ok(());
    };
    record.write(Note::Limit(passed));
    Err(Error::HttpRequestHeaderSectionSize(u32::try_from(most_bytes).ok()))
}

async fn whole(mut body: WasiBody, record: &Record, limits: &CallLimits) -> Result<Bytes, Error> {
    let limit = limits.of().request_bytes;
    // Lent: a guest hears at once of a body that is gone, and may be over before the reason is noted.
    let collected = Limited::new(&mut body, limit).collect().await;
    let whole = collected.map(http_body_util::Collected::to_bytes);
    let whole = whole.map_err(|error| match error.downcast::<LengthLimitError>() {
        Ok(_too_long) => {
            record.write(Note::Limit(Limit::RequestSize));
            Error::HttpRequestBodySize(u64::try_from(limit).ok())
        }
        Err(error) => error.downcast::<Error>().map_or(Error::HttpProtocolError, |error| *error),
    })?;
    record.saw(Limit::RequestSize, whole.len());
    Ok(whole)
}

fn may_have_arrived(error: &EgressError) -> bool {
    matches!(error, EgressError::Broken(_) | EgressError::Timeout(_) | EgressError::TooLarge(_))
}

fn deny(error: EgressError, record: &Record) -> Error {
    match &error {
        EgressError::NotGranted(origin) => record.write(Note::Origin(origin.clone())),
        EgressError::Private(origin) => record.write(Note::Private(origin.clone())),
        EgressError::Origin(reason) => record.write(Note::Url(reason.to_string())),
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
