// What every sender in C needs: the contract's four functions made from a description, one HTTP request, what its answer
// means, and text that cannot act. Yours to change. Nothing is freed: an instance lives for one call.

#ifndef MAG_H
#define MAG_H

#include "gen/plugin_http.h"

typedef plugin_http_string_t mag_text;
typedef mag_sender_types_group_t mag_group;
typedef mag_sender_types_notification_t mag_notification;
typedef mag_sender_types_failure_t mag_failure;

// A text that grows.
typedef struct {
  char *ptr;
  size_t len, room;
} mag_buffer;

// A key of `config` in mag.toml.
typedef enum { MAG_STRING, MAG_INTEGER, MAG_BOOLEAN } mag_type;
typedef struct {
  const char *name;
  mag_type type;
  bool required;
  const char *description;
} mag_key;

// What a sender is; `token` is the description of its one secret, or NULL.
typedef struct {
  const char *name, *version, *description, *token;
  const mag_key *keys;
  size_t key_count;
} mag_about;

// What a call gets: the config as JSON with placeholders for secrets, and how long a request may take.
typedef struct {
  mag_text config;
  uint64_t timeout_ms;
} mag_call;

typedef struct {
  uint16_t status;
  uint64_t retry_after_ms;  // 0: the answer did not say
  mag_buffer body;
} mag_answer;

// Defined by sender.c.
extern const mag_about about;
// A mistake at `*pointer` that types cannot express, or NULL. Offline.
const char *mistake(const mag_call *call, const char **pointer);
// The one URL that the config makes the sender want, or NULL.
const char *wanted_url(const mag_call *call);
// Tells a notification; false with `failure` filled in when it could not.
bool tell(const mag_call *call, const mag_notification *notification, mag_failure *failure);

// The value of a key of the config, or NULL; of a secret, its placeholder.
const char *mag_string(const mag_call *call, const char *key);
long mag_integer(const mag_call *call, const char *key, long otherwise);
const char *mag_secret(const mag_call *call, const char *name);

void mag_add(mag_buffer *buffer, const char *text);
void mag_add_bytes(mag_buffer *buffer, const char *ptr, size_t len);
void mag_add_text(mag_buffer *buffer, mag_text text);
void mag_add_number(mag_buffer *buffer, uint64_t number);
// In quotes, as JSON.
void mag_add_json(mag_buffer *buffer, const char *ptr, size_t len);

// The whole notification as plain text of at most `most` characters; what does not fit is counted.
mag_buffer mag_plain_text(const mag_notification *notification, size_t most);

// POSTs; `headers` are pairs of name and value, ended by NULL. False with `failure` filled in when there is no answer.
bool mag_post(const mag_call *call, const char *url, const char *const *headers, const mag_buffer *body,
              mag_answer *answer, mag_failure *failure);
// Whether a status is 2xx; else `failure` is the one that fits.
bool mag_check(const mag_answer *answer, mag_failure *failure);
// Fills a failure in and returns false.
bool mag_fail(mag_failure *failure, mag_sender_types_failure_kind_t kind, const char *code, const char *message);

#endif
