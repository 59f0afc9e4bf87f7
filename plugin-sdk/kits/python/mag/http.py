"""The way out: one blocking request over wasi:http, one answer. It follows no redirect and never tries twice: mag does."""

import json as json_
from urllib.parse import urlsplit

from componentize_py_types import Err, Ok
from mag.sdk import Answer, Failure
from wit_world.imports import outgoing_handler, streams
from wit_world.imports import wasi_http_types as http

WRITE_BYTES = 4096
READ_BYTES = 65536
METHODS = {
    "GET": http.Method_Get,
    "HEAD": http.Method_Head,
    "POST": http.Method_Post,
    "PUT": http.Method_Put,
    "DELETE": http.Method_Delete,
    "PATCH": http.Method_Patch,
}
# Nothing was sent: it may work later.
NOT_SENT = (
    http.ErrorCode_DnsTimeout,
    http.ErrorCode_DnsError,
    http.ErrorCode_DestinationNotFound,
    http.ErrorCode_DestinationUnavailable,
    http.ErrorCode_DestinationIpUnroutable,
    http.ErrorCode_ConnectionRefused,
    http.ErrorCode_ConnectionTimeout,
    http.ErrorCode_ConnectionLimitReached,
    http.ErrorCode_TlsProtocolError,
    http.ErrorCode_TlsCertificateError,
    http.ErrorCode_TlsAlertReceived,
)
# It can never be sent as it is.
REFUSED = (
    http.ErrorCode_HttpRequestDenied,
    http.ErrorCode_DestinationIpProhibited,
    http.ErrorCode_HttpRequestMethodInvalid,
    http.ErrorCode_HttpRequestUriInvalid,
    http.ErrorCode_HttpRequestUriTooLong,
    http.ErrorCode_HttpRequestHeaderSectionSize,
    http.ErrorCode_HttpRequestHeaderSize,
    http.ErrorCode_ConfigurationError,
)


def request(method, url, headers={}, json=None, body=b"", answer_bytes=65536, timeout_ms=None):
    """Sends a request and returns its `Answer`; where there is none it raises the `Failure` that fits."""
    fields = [(name.lower(), value.encode()) for name, value in headers.items()]
    if json is not None:
        body = json_.dumps(json, ensure_ascii=False).encode("utf-8", "replace")
        if not any(name == "content-type" for name, _ in fields):
            fields.append(("content-type", b"application/json"))
    if method != "GET":
        fields.append(("content-length", str(len(body)).encode()))
    outgoing = outgoing_request(method, url, fields)
    out = outgoing.body()
    try:
        coming = outgoing_handler.handle(outgoing, options(timeout_ms))
    except Err as error:
        raise sorted_failure(error.value)
    write(out, body)
    with coming.subscribe() as pollable:
        pollable.block()
    outcome = coming.get().value
    if isinstance(outcome, Err):
        raise sorted_failure(outcome.value)
    return answer(outcome.value if isinstance(outcome, Ok) else outcome, answer_bytes)


def outgoing_request(method, url, fields):
    parts = urlsplit(url)
    try:
        outgoing = http.OutgoingRequest(http.Fields.from_list(fields))
        outgoing.set_method(METHODS[method]() if method in METHODS else http.Method_Other(method))
        outgoing.set_scheme(http.Scheme_Https() if parts.scheme == "https" else http.Scheme_Http())
        outgoing.set_authority(parts.netloc)
        outgoing.set_path_with_query((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    except Err:
        raise Failure("misconfigured", "refused", "the URL or a header is not valid")
    return outgoing


def options(timeout_ms):
    if not timeout_ms:
        return None
    options = http.RequestOptions()
    for set_timeout in (options.set_connect_timeout, options.set_first_byte_timeout, options.set_between_bytes_timeout):
        set_timeout(timeout_ms * 1_000_000)
    return options


def write(out, body):
    """Writes as much as the destination takes; whether that was enough the answer says."""
    try:
        if body:
            with out.write() as stream:
                for at in range(0, len(body), WRITE_BYTES):
                    stream.blocking_write_and_flush(body[at : at + WRITE_BYTES])
        http.OutgoingBody.finish(out, None)
    except Err:
        pass  # A server may answer, and close, before it has read everything.


def answer(response, limit):
    # What came from a resource must be gone before the resource itself goes: hence each `with`.
    with response.headers() as fields:
        headers = {name.lower(): value.decode("utf-8", "replace") for name, value in fields.entries()}
    with response.consume() as incoming, incoming.stream() as stream:
        body, truncated = read(stream, limit)
    return Answer(response.status(), headers, body[:limit].decode("utf-8", "replace"), truncated)


def read(stream, limit):
    """The body, and whether it is not whole: the status has been said by then, what breaks off does not undo it."""
    body = b""
    while len(body) <= limit:
        try:
            body += stream.blocking_read(READ_BYTES)
        except Err as error:
            return body, not isinstance(error.value, streams.StreamError_Closed)
    return body, True


def sorted_failure(code):
    word = type(code).__name__.removeprefix("ErrorCode_")
    if isinstance(code, http.ErrorCode_HttpRequestBodySize):
        return Failure("permanent", "too-large", "the request's body is larger than 1 MiB")
    if isinstance(code, REFUSED):
        return Failure("misconfigured", "refused", f"mag does not send this request: {word}")
    if isinstance(code, NOT_SENT):
        return Failure("retry", "no-connection", f"no connection: {word}")
    return Failure("retry", "broken-off", f"no whole answer: {word}", maybe_delivered=True)
