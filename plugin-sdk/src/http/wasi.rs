//! The real client, on `wasi:http`. Only on the wasm target; it never tries twice and never follows a redirect.

use std::time::Duration;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use wasip2::io::streams::{OutputStream, StreamError};

use super::{Http, HttpError, Request, Response, Url};

/// One write of a body: what `blocking-write-and-flush` takes at most.
const WRITE_BYTES: usize = 4096;
/// One read of an answer.
const READ_BYTES: u64 = 64 * 1024;

/// A blocking client; one request a call, in the order of the calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WasiHttp {
    timeout: Option<Duration>,
}

impl WasiHttp {
    /// A client that waits this long for a connection and for the first byte of an answer.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout: Some(timeout) }
    }

    fn options(self) -> Option<RequestOptions> {
        let nanos = u64::try_from(self.timeout?.as_nanos()).ok()?;
        let options = RequestOptions::new();
        // A host that does not know one of them still has its own deadline.
        options.set_connect_timeout(Some(nanos)).ok();
        options.set_first_byte_timeout(Some(nanos)).ok();
        options.set_between_bytes_timeout(Some(nanos)).ok();
        Some(options)
    }
}

impl Http for WasiHttp {
    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let outgoing = outgoing(request)?;
        let body = outgoing.body().map_err(|()| refused("the request has no body to write"))?;
        let rest = write_at_once(body, &request.body);
        let answer = outgoing_handler::handle(outgoing, self.options()).map_err(sort)?;
        if let Some((body, stream)) = rest {
            write(body, stream, &request.body);
        }
        let response = wait(&answer)?.map_err(sort)?;
        Ok(read(&response, request.answer_bytes))
    }
}

fn refused(why: &str) -> HttpError {
    HttpError::Refused(why.to_owned())
}

fn outgoing(request: &Request) -> Result<OutgoingRequest, HttpError> {
    let url = Url::parse(&request.url).map_err(refused)?;
    let mut headers: Vec<(String, Vec<u8>)> =
        request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone().into_bytes())).collect();
    if !request.body.is_empty() || request.method != "GET" {
        // Without it the body goes out chunked, which some providers refuse.
        headers.push(("content-length".to_owned(), request.body.len().to_string().into_bytes()));
    }
    let fields =
        Fields::from_list(&headers).map_err(|error| HttpError::Refused(format!("a header is not valid: {error:?}")))?;
    let outgoing = OutgoingRequest::new(fields);
    let scheme = if url.https { Scheme::Https } else { Scheme::Http };
    outgoing
        .set_method(&method(&request.method))
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(&url.authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(&url.path_and_query)))
        .map_err(|()| refused("the method or the URL is not valid"))?;
    Ok(outgoing)
}

fn method(word: &str) -> Method {
    match word {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// Hands a body over before the request goes out, where the host takes it whole: neither has to wait for the other then.
/// What is too long for that is given back.
fn write_at_once(body: OutgoingBody, bytes: &[u8]) -> Option<(OutgoingBody, OutputStream)> {
    if !bytes.is_empty() {
        let Ok(stream) = body.write() else { return None };
        let takes = stream.check_write().unwrap_or(0);
        if usize::try_from(takes).is_ok_and(|takes| takes < bytes.len()) {
            return Some((body, stream));
        }
        if stream.write(bytes).is_err() {
            return None;
        }
    }
    // A length that does not fit cannot be: it was counted from these bytes.
    OutgoingBody::finish(body, None).ok();
    None
}

/// Writes as much as the destination takes. Whether that was enough the answer says: a server may answer, and close,
/// before it has read everything.
fn write(body: OutgoingBody, stream: OutputStream, bytes: &[u8]) {
    for chunk in bytes.chunks(WRITE_BYTES) {
        if stream.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
    drop(stream);
    OutgoingBody::finish(body, None).ok();
}

fn wait(answer: &FutureIncomingResponse) -> Result<Result<IncomingResponse, ErrorCode>, HttpError> {
    loop {
        match answer.get() {
            Some(Ok(outcome)) => return Ok(outcome),
            Some(Err(())) => return Err(HttpError::Broken("the answer was taken twice".to_owned())),
            None => answer.subscribe().block(),
        }
    }
}

fn read(response: &IncomingResponse, limit: usize) -> Response {
    let headers = response
        .headers()
        .entries()
        .into_iter()
        .filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?)))
        .collect();
    let status = response.status();
    let (body, truncated) = match response.consume() {
        Ok(incoming) => read_body(&incoming, limit),
        Err(()) => (Vec::new(), true),
    };
    Response { status, headers, body, truncated }
}

/// The body, and whether it is not whole. The status has been said by then: a body that breaks off does not undo it.
fn read_body(incoming: &IncomingBody, limit: usize) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    let Ok(stream) = incoming.stream() else { return (body, true) };
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(bytes) => body.extend_from_slice(&bytes),
            Err(StreamError::Closed) => return (body, false),
            Err(StreamError::LastOperationFailed(_)) => return (body, true),
        }
        if body.len() > limit {
            body.truncate(limit);
            return (body, true);
        }
    }
}

/// Tells apart what never left from what may have arrived, in words for people.
fn sort(code: ErrorCode) -> HttpError {
    if matches!(code, ErrorCode::HttpRequestBodySize(_)) {
        return HttpError::TooLarge;
    }
    if let Some(why) = refusal(&code) {
        return HttpError::Refused(why.to_owned());
    }
    if let Some(why) = no_connection(&code) {
        return HttpError::NotSent(why.to_owned());
    }
    HttpError::Broken(match code {
        ErrorCode::ConnectionTerminated => "the connection was closed before an answer".to_owned(),
        ErrorCode::HttpResponseTimeout | ErrorCode::ConnectionReadTimeout => "no answer in time".to_owned(),
        ErrorCode::ConnectionWriteTimeout => "the request was not taken in time".to_owned(),
        ErrorCode::InternalError(Some(why)) => why,
        other => format!("no whole answer: {other:?}"),
    })
}

fn refusal(code: &ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::HttpRequestDenied => "mag does not let this sender go there",
        ErrorCode::DestinationIpProhibited => "mag does not let this sender reach that address",
        ErrorCode::HttpRequestMethodInvalid => "the method is not valid",
        ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpRequestUriTooLong => "the URL is not valid",
        ErrorCode::HttpRequestHeaderSectionSize(_) | ErrorCode::HttpRequestHeaderSize(_) => "the headers are too large",
        ErrorCode::ConfigurationError => "mag cannot send this request as it is configured",
        _ => return None,
    })
}

fn no_connection(code: &ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::DnsTimeout => "the name could not be looked up in time",
        ErrorCode::DnsError(_) => "the name could not be looked up",
        ErrorCode::DestinationNotFound => "there is no such destination",
        ErrorCode::DestinationUnavailable | ErrorCode::DestinationIpUnroutable => "the destination cannot be reached",
        ErrorCode::ConnectionRefused => "connection refused",
        ErrorCode::ConnectionTimeout => "no connection in time",
        ErrorCode::ConnectionLimitReached => "too many connections",
        ErrorCode::TlsCertificateError => "the destination's certificate is not valid",
        ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived(_) => "no TLS with the destination",
        _ => return None,
    })
}
