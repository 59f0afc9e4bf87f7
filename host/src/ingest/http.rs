//! HTTP on a listener: one request is one batch, and its answer is sent when that batch is committed.
//!
//! Speaks HTTP/1.1 and HTTP/2, with or without TLS. What a body means is none of its business: that is `protocol::http`.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::http::{Method, StatusCode};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;

use super::carrier::Carrier;
use super::flight::Pass;
use super::{Shared, connection};
use crate::limits;
use crate::protocol::http::desk::{Asked, Desk, Page};
use crate::protocol::http::{Answer, Format, Head, Outcome, Refusal};

mod body;
mod frames;
mod intake;
mod kept;
mod rebind;
mod streams;
mod watch;

use body::Body;
use frames::Framed;
use intake::Intake;
use kept::Kept;
use streams::Streams;
use watch::{Watch, Watched};

type Reply = Response<BoxBody<Bytes, Infallible>>;

/// Serves one connection until it is closed, or until mag stops and what was asked is answered.
pub(super) async fn run(carrier: Carrier, is_h2: bool, peer: &Arc<str>, shared: &Arc<Shared>) {
    // Every request is answered by itself, so the end of a connection promises nothing.
    if let Some(socket) = carrier.tcp() {
        super::end_in_order(&socket);
    }
    let ended = if is_h2 { second(carrier, peer, shared).await } else { first(carrier, peer, shared).await };
    let Err(error) = ended else { return };
    tracing::debug!(%peer, %error, "an HTTP connection broke off");
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    // Who does what HTTP/2 forbids, or too much of what it allows, was told so and is gone.
    if cause.is_some_and(h2::Error::is_library) {
        shared.turned_away(peer, &error);
    }
}

/// HTTP/1.1.
async fn first(carrier: Carrier, peer: &Arc<str>, shared: &Arc<Shared>) -> hyper::Result<()> {
    let watch = Arc::new(Watch::default());
    let service = service_fn(|request: Request<Incoming>| {
        watch.asked();
        let (peer, shared, watch) = (Arc::clone(peer), Arc::clone(shared), Arc::clone(&watch));
        async move {
            let (parts, mut body) = request.into_parts();
            let reply = reply(parts, &mut body, &peer, &shared).await;
            watch.answered();
            Ok::<_, Infallible>(reply)
        }
    });
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(wait_for_next(shared))
        .max_buf_size(limits::HTTP_BUFFER_BYTES)
        .max_headers(limits::HTTP_HEADER_FIELDS)
        .half_close(true)
        .serve_connection(TokioIo::new(Watched { carrier, watch: Arc::clone(&watch) }), service);
    let (ended, wrong) = tokio::select! {
        ended = &mut serving => (ended, watch.wrong()),
        () = watch.late() => (Ok(()), Some(StatusCode::REQUEST_TIMEOUT)),
        () = shared.stop.cancelled() => {
            std::pin::Pin::new(&mut serving).graceful_shutdown();
            (last_answers(&mut serving).await, None)
        }
    };
    let Watched { mut carrier, .. } = serving.into_parts().io.into_inner();
    if let Some(status) = wrong {
        let why = ended.as_ref().err().map(ToString::to_string).unwrap_or_default();
        refuse_head(carrier, status, &why, shared).await;
    } else if ended.is_ok() {
        // A body that was refused may still be on its way, and must not take the answer with it.
        connection::linger(&mut carrier, connection::patience(shared)).await;
    }
    ended
}

/// HTTP/2.
async fn second(carrier: Carrier, peer: &Arc<str>, shared: &Arc<Shared>) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let (peer, shared) = (Arc::clone(peer), Arc::clone(shared));
        async move {
            let (mut parts, mut body) = request.into_parts();
            kept::compact(&mut parts);
            let reply = reply(parts, &mut body, &peer, &shared).await;
            body::skip(body).await;
            Ok::<_, Infallible>(reply)
        }
    });
    let streams = Streams::default();
    let late = Arc::new(AtomicBool::new(false));
    let _with_the_connection = streams.stop.clone().drop_guard();
    let connection = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .max_header_list_size(limits::HTTP_HEADER_BYTES)
        .max_concurrent_streams(limits::HTTP_STREAMS)
        .keep_alive_interval(Duration::from_secs(limits::HTTP_WAIT_SECONDS))
        .serve_connection(TokioIo::new(Framed::new(carrier, &late)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = streams.idle(wait_for_next(shared)) => {
            connection.as_mut().graceful_shutdown();
            last_answers(connection).await
        }
        () = shared.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            last_answers(connection).await
        }
    };
    streams.end().await;
    if late.load(Ordering::Relaxed) {
        shared.turned_away(peer, &format!("the head of a request took longer than {} s", limits::HTTP_HEAD_SECONDS));
    }
    ended
}

/// How long a connection may wait for its next request.
fn wait_for_next(shared: &Shared) -> Duration {
    let most = Duration::from_secs(limits::HTTP_WAIT_SECONDS);
    shared.settings.idle_timeout.map_or(most, |idle| idle.min(most))
}

/// Says what is wrong with a head that never became a request, and ends the connection.
async fn refuse_head(mut carrier: Carrier, status: StatusCode, why: &str, shared: &Shared) {
    shared.counters.refused_lines.fetch_add(1, Ordering::Relaxed);
    let why = match status {
        StatusCode::REQUEST_TIMEOUT => format!("the head took longer than {} s", limits::HTTP_HEAD_SECONDS),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => format!(
            "the head is larger than {} KiB, or has more than {} fields",
            limits::HTTP_BUFFER_BYTES / 1024,
            limits::HTTP_HEADER_FIELDS
        ),
        _ => format!("this is no request of HTTP/1.1: {why}"),
    };
    let answer = Answer::error(&Refusal { status, why });
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.content_type,
        answer.body.len()
    );
    let patience = connection::patience(shared);
    let told = carrier.write_all_within(&[head.as_bytes(), &answer.body].concat(), patience).await;
    if told.is_ok() {
        connection::linger(&mut carrier, patience).await;
    }
}

/// When mag stops, a client has so long to take its last answers.
async fn last_answers(connection: impl Future<Output = hyper::Result<()>>) -> hyper::Result<()> {
    let patience = Duration::from_millis(limits::STOP_READ_MILLIS + limits::STOP_WRITE_MILLIS);
    timeout(patience, connection).await.unwrap_or(Ok(()))
}

/// Answers one request, unless others need the memory that it keeps more.
async fn reply(parts: Parts, body: &mut Incoming, peer: &str, shared: &Shared) -> Reply {
    let parts = Arc::new(parts);
    let kept = Kept::new(&parts, &shared.settings.flight);
    tokio::select! {
        biased;
        reply = answer(Arc::clone(&parts), body, peer, &kept, shared) => reply,
        refusal = kept.evicted() => {
            let head = Head { uri: &parts.uri, headers: &parts.headers, text_bytes: shared.text_bytes() };
            reply_of(Format::at(parts.uri.path()).unwrap_or(Format::Messages).answer(&head, Err(&refusal)))
        }
    }
}

async fn answer(parts: Arc<Parts>, body: &mut Incoming, peer: &str, kept: &Kept<'_>, shared: &Shared) -> Reply {
    let path = parts.uri.path();
    let head = Head { uri: &parts.uri, headers: &parts.headers, text_bytes: shared.text_bytes() };
    let format = Format::at(path);
    shared.listener.door.refresh().await;
    if !shared.listener.door.admits(&head, format.and_then(|format| format.key(&head))) {
        let how = format.unwrap_or(Format::Messages).how_to_show_a_token();
        let why = format!("this listener wants its token: {how}");
        let refusal = Refusal { status: StatusCode::UNAUTHORIZED, why };
        let answer = format.map_or_else(|| Answer::error(&refusal), |format| format.answer(&head, Err(&refusal)));
        let mut reply = reply_of(answer);
        reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return refused(reply, shared);
    }
    if let (Some(desk), Some(page)) = (&shared.settings.desk, Page::at(path)) {
        if page.methods().contains(&parts.method) {
            let came = ask(desk.as_ref(), page, &parts, body, kept, shared).await;
            let answer = came.unwrap_or_else(|refusal| Format::Alerts.answer(&head, Err(&refusal)));
            let reply = counted(answer, shared);
            return if reply.status().is_client_error() { refused(reply, shared) } else { reply };
        }
        if format.is_none() {
            return refused(not_allowed(Format::Alerts, page.methods(), &head, &parts.method), shared);
        }
    }
    let Some(format) = format else {
        let why = format!("there is nothing at {path}; messages go to POST /api/v1/messages");
        return refused(reply_of(Answer::error(&Refusal { status: StatusCode::NOT_FOUND, why })), shared);
    };
    if !format.methods().contains(&parts.method) || parts.method == Method::GET {
        return refused(not_allowed(format, format.methods(), &head, &parts.method), shared);
    }
    let came = take_in(format, Arc::clone(&parts), body, peer, (kept, shared)).await;
    let is_refused = came.as_ref().is_err_and(|refusal| refusal.status.is_client_error());
    let reply = told(format, &head, came, shared);
    // What mag itself is to blame for is no mistake of the client; and mistakes in messages are counted one by one.
    if is_refused { refused(reply, shared) } else { reply }
}

/// Says what came of a request. Where there is no room for a long answer only the first mistake is named: what was taken
/// is committed, so nobody should send it again.
fn told(format: Format, head: &Head<'_>, mut came: Result<Outcome, Refusal>, shared: &Shared) -> Reply {
    let answer = format.answer(head, came.as_ref());
    if let Ok(outcome) = &mut came
        && outcome.errors.len() > 1
        && answer.body.len() > limits::HTTP_FREE_ANSWER_BYTES
    {
        return match shared.settings.flight.answer(answer.body.len()) {
            Some(room) => reply_in(room, answer),
            None => {
                outcome.errors.truncate(1);
                reply_of(format.answer(head, came.as_ref()))
            }
        };
    }
    reply_of(answer)
}

/// A method that a path does not take.
fn not_allowed(format: Format, methods: &[Method], head: &Head<'_>, method: &Method) -> Reply {
    let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let why = format!("{} takes {allowed}, not {method}", head.uri.path());
    let mut reply = reply_of(format.answer(head, Err(&Refusal { status: StatusCode::METHOD_NOT_ALLOWED, why })));
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        reply.headers_mut().insert(ALLOW, allowed);
    }
    reply
}

/// Asks whoever knows what is not a message.
async fn ask(
    desk: &dyn Desk,
    page: Page,
    parts: &Parts,
    body: &mut Incoming,
    kept: &Kept<'_>,
    shared: &Shared,
) -> Result<Answer, Refusal> {
    let head = Head { uri: &parts.uri, headers: &parts.headers, text_bytes: shared.text_bytes() };
    let method = parts.method.clone();
    if method != Method::GET {
        let refused = |why| Refusal { status: StatusCode::FORBIDDEN, why };
        rebind::check(head.headers, head.uri).map_err(refused)?;
    }
    let body = if method == Method::POST {
        // As Alertmanager: no web page can send this without asking first.
        if head.media_type() != "application/json" {
            return Err(Refusal::unknown_kind("unsupported media type, only [application/json] are allowed"));
        }
        let body = body::read(head.headers, body, kept, shared).await?;
        let _seat = shared.settings.flight.seat().await;
        let small = body.small()?.ok_or_else(Body::too_large_for_one)?;
        kept.with(small.len());
        kept.is_sent();
        small
    } else {
        Bytes::new()
    };
    Ok(desk.answer(Asked { page, method, query: head.uri.query().unwrap_or_default().to_owned(), body }).await)
}

/// Reads, sends on, and waits for the commit.
async fn take_in(
    format: Format,
    parts: Arc<Parts>,
    body: &mut Incoming,
    peer: &str,
    (kept, shared): (&Kept<'_>, &Shared),
) -> Result<Outcome, Refusal> {
    let body = body::read(&parts.headers, body, kept, shared).await?;
    let request = ToRead { format, parts, text_bytes: shared.text_bytes() };
    // One seat is what a body and what it is merged to may take.
    let seat = shared.settings.flight.seat().await;
    kept.is_at_work();
    if let Some(small) = body.small()? {
        let read = request.read(&small, Intake::new(peer, shared));
        let intake = read.map_err(|refused| refused.withdraw(shared))?;
        kept.is_sent();
        let taken = intake.send(shared).await?;
        drop((small, body, seat));
        kept.with(taken.bytes());
        return taken.committed().await;
    }
    kept.with(body.bytes());
    drop(seat);
    // What takes long to read keeps no seat from others, and no thread that they need.
    let turn = tokio::select! {
        biased;
        // Many may wait, and one at a time is read: a stop has no time for that.
        () = shared.stop.cancelled() => return Err(intake::stopping()),
        turn = shared.settings.flight.large() => turn,
    };
    kept.is_at_work();
    let intake = Intake::new(peer, shared);
    let reading = tokio::task::spawn_blocking(move || match body.inflate() {
        Ok(body) => (request.read(&body, intake), turn),
        Err(refusal) => (Err(Box::new(Refused { refusal, intake })), turn),
    });
    let (read, turn) = reading.await.map_err(|failed| match failed.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_cancelled) => intake::stopping(),
    })?;
    let intake = read.map_err(|refused| refused.withdraw(shared))?;
    kept.is_sent();
    let taken = intake.send(shared).await?;
    drop(turn);
    kept.with(taken.bytes());
    taken.committed().await
}

/// A request of which only the body is to be read.
struct ToRead {
    format: Format,
    parts: Arc<Parts>,
    text_bytes: usize,
}

impl ToRead {
    fn read(self, body: &[u8], mut intake: Intake) -> Result<Intake, Box<Refused>> {
        let head = Head { uri: &self.parts.uri, headers: &self.parts.headers, text_bytes: self.text_bytes };
        match self.format.read(&head, body, &mut intake).and_then(|()| intake.check()) {
            Ok(()) => Ok(intake),
            Err(refusal) => Err(Box::new(Refused { refusal, intake })),
        }
    }
}

/// A request that is refused, with what was taken of it.
struct Refused {
    refusal: Refusal,
    intake: Intake,
}

impl Refused {
    fn withdraw(self, shared: &Shared) -> Refusal {
        self.intake.withdraw(shared);
        self.refusal
    }
}

/// Requests that are answered with an error are counted like lines that are.
fn refused(reply: Reply, shared: &Shared) -> Reply {
    shared.counters.refused_lines.fetch_add(1, Ordering::Relaxed);
    reply
}

/// An answer that takes memory until its client has taken it.
struct Counted {
    body: Vec<u8>,
    _room: Pass,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// A large answer, if there is room for it beside those that nobody has taken yet.
fn counted(answer: Answer, shared: &Shared) -> Reply {
    if answer.body.len() <= limits::HTTP_FREE_ANSWER_BYTES {
        return reply_of(answer);
    }
    let Some(room) = shared.settings.flight.answer(answer.body.len()) else {
        let why = "there are too many answers that nobody has read yet: ask again later".to_owned();
        return reply_of(Answer::error(&Refusal { status: StatusCode::SERVICE_UNAVAILABLE, why }));
    };
    reply_in(room, answer)
}

fn reply_in(room: Pass, answer: Answer) -> Reply {
    let Answer { status, content_type, body, trailers } = answer;
    let bytes = Bytes::from_owner(Counted { body, _room: room });
    reply_with(bytes, Answer { status, content_type, body: Vec::new(), trailers })
}

fn reply_of(mut answer: Answer) -> Reply {
    let body = std::mem::take(&mut answer.body);
    reply_with(body.into(), answer)
}

fn reply_with(bytes: Bytes, answer: Answer) -> Reply {
    let full = Full::new(bytes);
    let body = match answer.trailers {
        Some(trailers) => full.with_trailers(async move { Some(Ok(trailers)) }).boxed(),
        None => full.boxed(),
    };
    let mut reply = Response::new(body);
    *reply.status_mut() = answer.status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    reply
}
