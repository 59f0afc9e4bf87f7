// The way out: one blocking request over wasi:http, one answer. It follows no redirect and never tries twice: mag does.

import { handle } from 'wasi:http/outgoing-handler@0.2.12';
import { Fields, OutgoingBody, OutgoingRequest, RequestOptions } from 'wasi:http/types@0.2.12';

import { failure } from './sdk.js';

const WRITE_BYTES = 4096;
const READ_BYTES = 65536n;
const METHODS = ['get', 'head', 'post', 'put', 'delete', 'patch'];
// Nothing was sent: it may work later.
const NOT_SENT = ['dns-timeout', 'dns-error', 'destination-not-found', 'destination-unavailable',
  'destination-IP-unroutable', 'connection-refused', 'connection-timeout', 'connection-limit-reached',
  'TLS-protocol-error', 'TLS-certificate-error', 'TLS-alert-received'];
// It can never be sent as it is.
const REFUSED = ['HTTP-request-denied', 'destination-IP-prohibited', 'HTTP-request-method-invalid',
  'HTTP-request-URI-invalid', 'HTTP-request-URI-too-long', 'HTTP-request-header-section-size',
  'HTTP-request-header-size', 'configuration-error'];

const utf8 = new TextEncoder();

/**
 * Sends `{ method, url, headers, json | body, answerBytes, timeoutMs }` and returns `{ status, headers, body, truncated }`.
 * Where there is no answer it throws the failure that fits.
 */
export function request({ method = 'GET', url, headers = {}, json, body, answerBytes = 65536, timeoutMs }) {
  const bytes = json !== undefined ? utf8.encode(JSON.stringify(json)) : typeof body === 'string' ? utf8.encode(body) : body;
  const fields = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), utf8.encode(value)]);
  if (json !== undefined && !fields.some(([name]) => name === 'content-type')) {
    fields.push(['content-type', utf8.encode('application/json')]);
  }
  if (method !== 'GET') fields.push(['content-length', utf8.encode(String(bytes?.length ?? 0))]);
  const outgoing = outgoingRequest(method, url, fields);
  const out = outgoing.body();
  let coming;
  try {
    coming = handle(outgoing, options(timeoutMs));
  } catch (error) {
    throw sorted(error?.payload ?? error);
  }
  write(out, bytes);
  coming.subscribe().block();
  const outcome = coming.get().val;
  if (outcome.tag === 'err') throw sorted(outcome.val);
  return answer(outcome.val, answerBytes);
}

function outgoingRequest(method, url, fields) {
  try {
    const { protocol, host, pathname, search } = new URL(url);
    const outgoing = new OutgoingRequest(Fields.fromList(fields));
    const known = METHODS.includes(method.toLowerCase());
    outgoing.setMethod(known ? { tag: method.toLowerCase() } : { tag: 'other', val: method });
    outgoing.setScheme({ tag: protocol === 'https:' ? 'HTTPS' : 'HTTP' });
    outgoing.setAuthority(host);
    outgoing.setPathWithQuery(pathname + search);
    return outgoing;
  } catch (error) {
    throw failure('misconfigured', 'refused', `the URL or a header is not valid: ${error?.message ?? error?.payload?.tag}`);
  }
}

function options(timeoutMs) {
  if (!timeoutMs) return undefined;
  const nanos = BigInt(timeoutMs) * 1_000_000n;
  const options = new RequestOptions();
  options.setConnectTimeout(nanos);
  options.setFirstByteTimeout(nanos);
  options.setBetweenBytesTimeout(nanos);
  return options;
}

// Writes as much as the destination takes; whether that was enough the answer says.
function write(out, bytes) {
  try {
    if (bytes?.length) {
      const stream = out.write();
      for (let at = 0; at < bytes.length; at += WRITE_BYTES) stream.blockingWriteAndFlush(bytes.subarray(at, at + WRITE_BYTES));
      stream[Symbol.dispose]();
    }
    OutgoingBody.finish(out, undefined);
  } catch {
    // A server may answer, and close, before it has read everything.
  }
}

function answer(response, limit) {
  const text = new TextDecoder();
  const headers = {};
  for (const [name, value] of response.headers().entries()) headers[name.toLowerCase()] = text.decode(value);
  const stream = response.consume().stream();
  let body = '';
  let truncated = false;
  for (let read = 0; ;) {
    let chunk;
    try {
      chunk = stream.blockingRead(READ_BYTES);
    } catch (error) {
      // The status has been said by then: a body that breaks off does not undo it.
      truncated = (error?.payload ?? error)?.tag !== 'closed';
      break;
    }
    read += chunk.length;
    body += text.decode(chunk, { stream: true });
    if (read > limit) {
      truncated = true;
      break;
    }
  }
  return { status: response.status(), headers, body, truncated };
}

function sorted(code) {
  const word = code?.tag ?? String(code);
  if (word === 'HTTP-request-body-size') return failure('permanent', 'too-large', "the request's body is larger than 1 MiB");
  if (REFUSED.includes(word)) return failure('misconfigured', 'refused', `mag does not send this request: ${word}`);
  if (NOT_SENT.includes(word)) return failure('retry', 'no-connection', `no connection: ${word}`);
  return failure('retry', 'broken-off', `no whole answer: ${word}`, { maybeDelivered: true });
}
