// The way out: one blocking POST over wasi:http, one answer. It follows no redirect and never tries twice: mag does.

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mag.h"

enum { WRITE_BYTES = 4096, READ_BYTES = 65536, ANSWER_BYTES = 65536, HEADERS = 32 };

static bool fail_by(mag_failure *failure, const wasi_http_types_error_code_t *code) {
  switch (code->tag) {
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_BODY_SIZE:
      return mag_fail(failure, MAG_SENDER_TYPES_FAILURE_KIND_PERMANENT, "too-large", "the request's body is larger than 1 MiB");
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_DENIED:
    case WASI_HTTP_TYPES_ERROR_CODE_DESTINATION_IP_PROHIBITED:
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_METHOD_INVALID:
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_URI_INVALID:
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_URI_TOO_LONG:
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_HEADER_SECTION_SIZE:
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_HEADER_SIZE:
    case WASI_HTTP_TYPES_ERROR_CODE_CONFIGURATION_ERROR:
      return mag_fail(failure, MAG_SENDER_TYPES_FAILURE_KIND_MISCONFIGURED, "refused", "mag does not send this request");
    case WASI_HTTP_TYPES_ERROR_CODE_DNS_TIMEOUT:
    case WASI_HTTP_TYPES_ERROR_CODE_DNS_ERROR:
    case WASI_HTTP_TYPES_ERROR_CODE_DESTINATION_NOT_FOUND:
    case WASI_HTTP_TYPES_ERROR_CODE_DESTINATION_UNAVAILABLE:
    case WASI_HTTP_TYPES_ERROR_CODE_DESTINATION_IP_UNROUTABLE:
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_REFUSED:
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_TIMEOUT:
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_LIMIT_REACHED:
    case WASI_HTTP_TYPES_ERROR_CODE_TLS_PROTOCOL_ERROR:
    case WASI_HTTP_TYPES_ERROR_CODE_TLS_CERTIFICATE_ERROR:
    case WASI_HTTP_TYPES_ERROR_CODE_TLS_ALERT_RECEIVED:
      return mag_fail(failure, MAG_SENDER_TYPES_FAILURE_KIND_RETRY, "no-connection", "no connection");
    default:
      mag_fail(failure, MAG_SENDER_TYPES_FAILURE_KIND_RETRY, "broken-off", "no whole answer");
      failure->maybe_delivered = true;
      return false;
  }
}

static wasi_http_types_own_outgoing_request_t outgoing(const char *url, const char *const *headers, size_t length) {
  char digits[24];
  snprintf(digits, sizeof digits, "%zu", length);
  wasi_http_types_tuple2_field_name_field_value_t fields[HEADERS + 1];
  size_t count = 0;
  for (; headers[0] && count < HEADERS; headers += 2, count++) {
    plugin_http_string_set((mag_text *)&fields[count].f0, headers[0]);
    fields[count].f1 = (wasi_http_types_field_value_t){(uint8_t *)headers[1], strlen(headers[1])};
  }
  plugin_http_string_set((mag_text *)&fields[count].f0, "content-length");
  fields[count++].f1 = (wasi_http_types_field_value_t){(uint8_t *)digits, strlen(digits)};
  wasi_http_types_list_tuple2_field_name_field_value_t list = {fields, count};
  wasi_http_types_own_fields_t own;
  wasi_http_types_header_error_t error;
  if (!wasi_http_types_static_fields_from_list(&list, &own, &error)) own = wasi_http_types_constructor_fields();
  wasi_http_types_own_outgoing_request_t request = wasi_http_types_constructor_outgoing_request(own);
  wasi_http_types_borrow_outgoing_request_t borrowed = wasi_http_types_borrow_outgoing_request(request);
  bool https = strncmp(url, "https://", 8) == 0;
  const char *host = url + (https ? 8 : 7);
  size_t authority = strcspn(host, "/?#"), path = strcspn(host + authority, "#");
  mag_text where = {(uint8_t *)host, authority}, what = {(uint8_t *)host + authority, path}, root;
  plugin_http_string_set(&root, "/");
  wasi_http_types_method_t method = {.tag = WASI_HTTP_TYPES_METHOD_POST};
  wasi_http_types_scheme_t scheme = {.tag = https ? WASI_HTTP_TYPES_SCHEME_HTTPS : WASI_HTTP_TYPES_SCHEME_HTTP};
  wasi_http_types_method_outgoing_request_set_method(borrowed, &method);
  wasi_http_types_method_outgoing_request_set_scheme(borrowed, &scheme);
  wasi_http_types_method_outgoing_request_set_authority(borrowed, &where);
  wasi_http_types_method_outgoing_request_set_path_with_query(borrowed, path ? &what : &root);
  return request;
}

// Writes as much as the destination takes; whether that was enough the answer says.
static void write_body(wasi_http_types_own_outgoing_body_t body, const mag_buffer *bytes) {
  wasi_http_types_own_output_stream_t stream;
  wasi_http_types_error_code_t error;
  wasi_io_streams_stream_error_t broken;
  if (wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream)) {
    for (size_t at = 0; at < bytes->len; at += WRITE_BYTES) {
      size_t left = bytes->len - at;
      plugin_http_list_u8_t chunk = {(uint8_t *)bytes->ptr + at, left < WRITE_BYTES ? left : WRITE_BYTES};
      if (!wasi_io_streams_method_output_stream_blocking_write_and_flush(wasi_io_streams_borrow_output_stream(stream), &chunk, &broken)) return;
    }
    wasi_io_streams_output_stream_drop_own(stream);
  }
  wasi_http_types_static_outgoing_body_finish(body, NULL, &error);
}

static void read_answer(wasi_http_types_own_incoming_response_t response, mag_answer *answer) {
  wasi_http_types_borrow_incoming_response_t borrowed = wasi_http_types_borrow_incoming_response(response);
  answer->status = wasi_http_types_method_incoming_response_status(borrowed);
  wasi_http_types_list_tuple2_field_name_field_value_t fields;
  wasi_http_types_own_headers_t headers = wasi_http_types_method_incoming_response_headers(borrowed);
  wasi_http_types_method_fields_entries(wasi_http_types_borrow_fields(headers), &fields);
  for (size_t at = 0; at < fields.len; at++) {
    mag_text name = *(mag_text *)&fields.ptr[at].f0;
    if (name.len != 11 || memcmp(name.ptr, "retry-after", 11) != 0) continue;
    mag_buffer value = {0};
    mag_add_bytes(&value, (const char *)fields.ptr[at].f1.ptr, fields.ptr[at].f1.len);
    long seconds = strtol(value.ptr, NULL, 10);
    if (isdigit((unsigned char)*value.ptr)) answer->retry_after_ms = (uint64_t)(seconds < 1 ? 1 : seconds > 3600 ? 3600 : seconds) * 1000;
  }
  wasi_http_types_fields_drop_own(headers);
  wasi_http_types_own_incoming_body_t body;
  wasi_http_types_own_input_stream_t stream;
  if (!wasi_http_types_method_incoming_response_consume(borrowed, &body)) return;
  if (!wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body), &stream)) return;
  plugin_http_list_u8_t chunk;
  wasi_io_streams_stream_error_t end;
  // The status has been said by then: a body that breaks off does not undo it.
  while (answer->body.len < ANSWER_BYTES && wasi_io_streams_method_input_stream_blocking_read(wasi_io_streams_borrow_input_stream(stream), READ_BYTES, &chunk, &end))
    mag_add_bytes(&answer->body, (const char *)chunk.ptr, chunk.len);
}

bool mag_post(const mag_call *call, const char *url, const char *const *headers, const mag_buffer *body, mag_answer *answer,
              mag_failure *failure) {
  memset(answer, 0, sizeof *answer);
  wasi_http_types_own_outgoing_request_t request = outgoing(url, headers, body->len);
  wasi_http_types_own_outgoing_body_t out;
  wasi_http_types_method_outgoing_request_body(wasi_http_types_borrow_outgoing_request(request), &out);
  wasi_http_types_own_request_options_t options = wasi_http_types_constructor_request_options();
  wasi_http_types_duration_t nanos = call->timeout_ms * 1000000;
  wasi_http_types_method_request_options_set_connect_timeout(wasi_http_types_borrow_request_options(options), &nanos);
  wasi_http_types_method_request_options_set_first_byte_timeout(wasi_http_types_borrow_request_options(options), &nanos);
  wasi_http_types_own_future_incoming_response_t coming;
  wasi_http_types_error_code_t error;
  if (!wasi_http_outgoing_handler_handle(request, &options, &coming, &error)) return fail_by(failure, &error);
  write_body(out, body);
  wasi_http_types_borrow_future_incoming_response_t borrowed = wasi_http_types_borrow_future_incoming_response(coming);
  wasi_http_types_own_pollable_t pollable = wasi_http_types_method_future_incoming_response_subscribe(borrowed);
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(pollable));
  wasi_http_types_result_result_own_incoming_response_error_code_void_t got;
  wasi_http_types_method_future_incoming_response_get(borrowed, &got);
  if (got.is_err || got.val.ok.is_err) return fail_by(failure, &got.val.ok.val.err);
  read_answer(got.val.ok.val.ok, answer);
  return true;
}
