// Tests of sender.c on this machine, with a network that answers as told.

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mag.h"

// What was asked, and what is answered.
static char asked_url[256], asked_body[1024], asked_authorization[64];
static mag_answer answering;

bool mag_post(const mag_call *call, const char *url, const char *const *headers, const mag_buffer *body, mag_answer *answer,
              mag_failure *failure) {
  snprintf(asked_url, sizeof asked_url, "%s", url);
  snprintf(asked_body, sizeof asked_body, "%s", body->ptr);
  for (; headers[0]; headers += 2)
    if (strcmp(headers[0], "authorization") == 0) snprintf(asked_authorization, sizeof asked_authorization, "%s", headers[1]);
  *answer = answering;
  return true;
}

// What wit-bindgen generates and only a component has.
void plugin_http_string_set(plugin_http_string_t *ret, const char *s) {
  ret->ptr = (uint8_t *)s;
  ret->len = strlen(s);
}

void plugin_http_string_dup(plugin_http_string_t *ret, const char *s) {
  plugin_http_string_set(ret, strcpy(malloc(strlen(s) + 1), s));
}

static bool sending(uint16_t status, uint64_t retry_after_ms, mag_failure *failure) {
  mag_call call = {0};
  plugin_http_string_set(&call.config, "{\"url\":\"https://example.org/in\",\"secrets\":{\"token\":\"PLACEHOLDER\"}}");
  mag_group group = {.count = 30};
  plugin_http_string_set(&group.text, "disk \"full\"");
  mag_notification notification = {.groups = {&group, 1}};
  plugin_http_string_set(&notification.id, "id");
  answering = (mag_answer){.status = status, .retry_after_ms = retry_after_ms};
  return tell(&call, &notification, failure);
}

static void check_mistake(const char *json, const char *pointer) {
  plugin_http_string_t config;
  plugin_http_string_set(&config, json);
  exports_mag_sender_sender_list_egress_t wanted;
  exports_mag_sender_sender_list_config_error_t mistakes;
  bool is_good = exports_mag_sender_sender_validate(&config, &wanted, &mistakes);
  assert(is_good == (pointer == NULL));
  if (pointer) assert(mistakes.ptr[0].pointer.len == strlen(pointer) && memcmp(mistakes.ptr[0].pointer.ptr, pointer, strlen(pointer)) == 0);
}

int main(void) {
  mag_failure failure;
  assert(sending(200, 0, &failure));
  assert(strcmp(asked_url, "https://example.org/in") == 0);
  assert(strcmp(asked_authorization, "Bearer PLACEHOLDER") == 0);
  assert(strcmp(asked_body, "{\"text\":\"Message \\\"disk \\\"full\\\"\\\" was repeated 30 time(s).\"}") == 0);
  assert(!sending(404, 0, &failure) && failure.kind == MAG_SENDER_TYPES_FAILURE_KIND_MISCONFIGURED);
  assert(!sending(429, 7000, &failure) && failure.kind == MAG_SENDER_TYPES_FAILURE_KIND_RATE_LIMITED && failure.after_ms.val == 7000);
  check_mistake("{\"url\":\"https://example.org\"}", NULL);
  check_mistake("{\"url\":\"nowhere\"}", "/url");
  check_mistake("{\"urll\":\"https://example.org\"}", "/urll");
  check_mistake("{ \"url\" : \"https://example.org\", \"max_chars\": \"many\" }", "/max_chars");
  puts("ok");
  return 0;
}
