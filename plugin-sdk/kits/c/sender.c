// my-sender: tells notifications by a POST of JSON. Change it into yours.

#include <stdlib.h>
#include <string.h>

#include "mag.h"

// What may stand under `config` in mag.toml: mag shows each mistake at its line.
static const mag_key keys[] = {
    {"url", MAG_STRING, true, "Where notifications are posted."},
    {"max_chars", MAG_INTEGER, false, "The longest text that is posted; 4000 unless set."},
};

const mag_about about = {
    .name = "my-sender",
    .version = "0.1.0",
    .description = "Posts notifications as JSON.",
    .token = "sent as a bearer token",
    .keys = keys,
    .key_count = sizeof keys / sizeof *keys,
};

const char *mistake(const mag_call *call, const char **pointer) {
  const char *url = mag_string(call, "url");
  if (strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0) return NULL;
  *pointer = "/url";
  return "a URL like https://example.org/in is needed";
}

const char *wanted_url(const mag_call *call) {
  return mag_string(call, "url");
}

bool tell(const mag_call *call, const mag_notification *notification, mag_failure *failure) {
  mag_buffer text = mag_plain_text(notification, (size_t)mag_integer(call, "max_chars", 4000));
  mag_buffer body = {0}, id = {0}, token = {0};
  mag_add(&body, "{\"text\":");
  mag_add_json(&body, text.ptr, text.len);
  mag_add(&body, "}");
  mag_add_text(&id, notification->id);
  // A placeholder: mag puts the value in when the request leaves.
  const char *secret = mag_secret(call, "token");
  mag_add(&token, "Bearer ");
  mag_add(&token, secret ? secret : "");
  const char *headers[] = {"content-type", "application/json", "idempotency-key", id.ptr,
                           secret ? "authorization" : NULL, token.ptr, NULL};
  mag_answer answer;
  return mag_post(call, mag_string(call, "url"), headers, &body, &answer, failure) && mag_check(&answer, failure);
}
