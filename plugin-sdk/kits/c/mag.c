// See mag.h; nothing here needs a network. The contract's four functions stand at the end.

#include "mag.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One group of many shows at most this much; room kept for the line about those that do not fit.
enum { LINE_CHARS = 500, REST_CHARS = 100 };

// ---- texts

void mag_add_bytes(mag_buffer *buffer, const char *ptr, size_t len) {
  if (buffer->len + len + 1 > buffer->room) {
    buffer->room = (buffer->len + len + 1) * 2;
    buffer->ptr = realloc(buffer->ptr, buffer->room);
    if (!buffer->ptr) abort();
  }
  if (len) memcpy(buffer->ptr + buffer->len, ptr, len);
  buffer->len += len;
  buffer->ptr[buffer->len] = 0;
}

void mag_add(mag_buffer *buffer, const char *text) { mag_add_bytes(buffer, text, strlen(text)); }
void mag_add_text(mag_buffer *buffer, mag_text text) { mag_add_bytes(buffer, (const char *)text.ptr, text.len); }

void mag_add_number(mag_buffer *buffer, uint64_t number) {
  char digits[24];
  snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
  mag_add(buffer, digits);
}

void mag_add_json(mag_buffer *buffer, const char *ptr, size_t len) {
  mag_add(buffer, "\"");
  for (size_t at = 0; at < len; at++) {
    unsigned char c = (unsigned char)ptr[at];
    char escaped[8];
    if (c == '"' || c == '\\') snprintf(escaped, sizeof escaped, "\\%c", c);
    else if (c < 0x20) snprintf(escaped, sizeof escaped, "\\u%04x", c);
    else snprintf(escaped, sizeof escaped, "%c", c);
    mag_add(buffer, escaped);
  }
  mag_add(buffer, "\"");
}

static bool is(mag_text text, const char *word) {
  return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

// One character of valid UTF-8, which the contract promises; moves `*at` behind it.
static uint32_t character(mag_text text, size_t *at) {
  unsigned char c = text.ptr[(*at)++];
  int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
  uint32_t point = more == 0 ? c : c & (0x3f >> more);
  while (more-- > 0 && *at < text.len) point = point << 6 | (text.ptr[(*at)++] & 0x3f);
  return point;
}

// Control characters, what turns text round, what nobody sees, and line ends that are not called so.
static bool acts(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
         (c >= 0xe0000 && c <= 0xe007f);
}

// At most `most` characters, those that could act replaced. Returns how many there are now.
static size_t add_line(mag_buffer *buffer, mag_text text, size_t most) {
  size_t chars = 0;
  for (size_t at = 0; at < text.len; chars++) {
    if (chars + 1 >= most && most > 0) {
      mag_add(buffer, "…");
      return chars + 1;
    }
    size_t from = at;
    uint32_t c = character(text, &at);
    if (c == '\n' || c == '\t') mag_add(buffer, " ");
    else if (acts(c)) mag_add(buffer, "\xef\xbf\xbd");
    else mag_add_bytes(buffer, (const char *)text.ptr + from, at - from);
  }
  return chars;
}

static size_t chars_of(const mag_buffer *buffer) {
  size_t chars = 0;
  for (size_t at = 0; at < buffer->len; at++) chars += ((unsigned char)buffer->ptr[at] & 0xc0) != 0x80;
  return chars;
}

static mag_buffer sentence(const mag_group *group, size_t most) {
  mag_buffer line = {0};
  size_t text = most > REST_CHARS + 1 ? most - REST_CHARS : 1;
  uint64_t seconds = (group->closed - group->opened + 500) / 1000;
  bool overflow = is(group->state, "overflow"), by_time = is(group->reason, "time");
  if (is(group->kind, "monitor")) {
    add_line(&line, group->text, text);
    return line;
  }
  if (group->resolved) mag_add(&line, "Resolved: \"");
  else if (overflow) mag_add_number(&line, group->count), mag_add(&line, " ");
  else mag_add(&line, "Message \"");
  add_line(&line, group->text, text);
  if (group->resolved) {
    mag_add(&line, "\".");
    return line;
  }
  if (!overflow) mag_add(&line, "\" was repeated "), mag_add_number(&line, group->count), mag_add(&line, " time(s)");
  if (by_time) {
    mag_add(&line, " for last ");
    mag_add_number(&line, seconds > 0 ? seconds : 1);
    mag_add(&line, seconds > 1 ? " seconds" : " second");
  }
  mag_add(&line, ".");
  return line;
}

static int by_count(const void *a, const void *b) {
  const mag_group *one = *(const mag_group *const *)a, *other = *(const mag_group *const *)b;
  return one->count != other->count ? (one->count < other->count ? 1 : -1) : (one->first_seen > other->first_seen) - (one->first_seen < other->first_seen);
}

mag_buffer mag_plain_text(const mag_notification *notification, size_t most) {
  mag_buffer all = {0};
  mag_add(&all, "");
  if (notification->body.is_some) {
    add_line(&all, notification->body.val, most);
    return all;
  }
  size_t count = notification->groups.len, room = most > REST_CHARS ? most - REST_CHARS : 0;
  const mag_group **groups = calloc(count + 1, sizeof *groups);
  if (!groups) abort();
  for (size_t at = 0; at < count; at++) groups[at] = &notification->groups.ptr[at];
  qsort(groups, count, sizeof *groups, by_count);
  uint64_t left = notification->omitted_groups, messages = notification->omitted_messages;
  if (is(notification->reason, "escalated")) mag_add(&all, "Escalated from another sender.\n"), room -= room < 32 ? room : 32;
  for (size_t at = 0; at < count; at++) {
    mag_buffer line = sentence(groups[at], count == 1 ? room : LINE_CHARS);
    size_t chars = chars_of(&line) + 1;
    if (chars > room) {
      left += 1, messages += groups[at]->count, room = 0;
      continue;
    }
    room -= chars;
    if (at > 0) mag_add(&all, "\n");
    mag_add_bytes(&all, line.ptr, line.len);
  }
  if (left > 0) {
    mag_add(&all, "\nand "), mag_add_number(&all, left), mag_add(&all, left == 1 ? " more group, " : " more groups, ");
    mag_add_number(&all, messages), mag_add(&all, messages == 1 ? " message" : " messages");
  }
  return all;
}

// ---- JSON: the config is one object, written by mag and so well formed

static const char *skip_space(const char *at) {
  while (*at && isspace((unsigned char)*at)) at++;
  return at;
}

static const char *skip_string(const char *at) {
  for (at++; *at && *at != '"'; at++)
    if (*at == '\\' && at[1]) at++;
  return *at ? at + 1 : at;
}

static const char *skip_value(const char *at) {
  int depth = 0;
  do {
    if (*at == '"') {
      at = skip_string(at);
    } else {
      depth += *at == '{' || *at == '[';
      depth -= *at == '}' || *at == ']';
      at++;
    }
  } while (*at && (depth > 0 || !strchr(",}]", *at)));
  return at;
}

// The next key of an object and where its value begins; false at the end. `*at` is at `{` or behind a value.
static bool next_key(const char **at, mag_text *key, const char **value) {
  const char *from = skip_space(*at);
  if (*from != '{' && *from != ',') return false;
  from = skip_space(from + 1);
  if (*from != '"') return false;
  const char *behind = skip_string(from);
  *key = (mag_text){(uint8_t *)from + 1, (size_t)(behind - from) - 2};
  *value = skip_space(skip_space(behind) + 1);
  *at = skip_value(*value);
  return true;
}

static const char *find(const char *object, const char *name) {
  mag_text key;
  const char *value;
  while (next_key(&object, &key, &value))
    if (is(key, name)) return value;
  return NULL;
}

static void add_point(mag_buffer *buffer, uint32_t c) {
  char bytes[5] = {0};
  if (c < 0x80) bytes[0] = (char)c;
  else if (c < 0x800) bytes[0] = (char)(0xc0 | c >> 6), bytes[1] = (char)(0x80 | (c & 0x3f));
  else if (c < 0x10000) bytes[0] = (char)(0xe0 | c >> 12), bytes[1] = (char)(0x80 | (c >> 6 & 0x3f)), bytes[2] = (char)(0x80 | (c & 0x3f));
  else bytes[0] = (char)(0xf0 | c >> 18), bytes[1] = (char)(0x80 | (c >> 12 & 0x3f)), bytes[2] = (char)(0x80 | (c >> 6 & 0x3f)), bytes[3] = (char)(0x80 | (c & 0x3f));
  mag_add(buffer, bytes);
}

static uint32_t hex(const char *at) {
  char digits[5] = {0};
  strncpy(digits, at, 4);
  return (uint32_t)strtoul(digits, NULL, 16);
}

static const char *unescaped(const char *value) {
  if (!value || *value != '"') return NULL;
  mag_buffer text = {0};
  mag_add(&text, "");
  for (const char *at = value + 1; *at && *at != '"'; at++) {
    if (*at != '\\') {
      mag_add_bytes(&text, at, 1);
      continue;
    }
    at++;
    const char *plain = strchr("b\bf\fn\nr\rt\t", *at);
    if (*at == 'u') {
      uint32_t c = hex(at + 1);
      at += 4;
      if (c >= 0xd800 && c < 0xdc00 && at[1] == '\\' && at[2] == 'u') c = 0x10000 + ((c & 0x3ff) << 10) + (hex(at + 3) & 0x3ff), at += 6;
      add_point(&text, c);
    } else {
      mag_add_bytes(&text, plain ? plain + 1 : at, 1);
    }
  }
  return text.ptr;
}

static const char *config_of(const mag_call *call) {
  mag_buffer text = {0};
  mag_add_text(&text, call->config);
  return text.ptr;
}

const char *mag_string(const mag_call *call, const char *key) { return unescaped(find(config_of(call), key)); }

long mag_integer(const mag_call *call, const char *key, long otherwise) {
  const char *value = find(config_of(call), key);
  return value ? strtol(value, NULL, 10) : otherwise;
}

const char *mag_secret(const mag_call *call, const char *name) {
  const char *secrets = find(config_of(call), "secrets");
  return secrets ? unescaped(find(secrets, name)) : NULL;
}

// ---- failures

bool mag_fail(mag_failure *failure, mag_sender_types_failure_kind_t kind, const char *code, const char *message) {
  memset(failure, 0, sizeof *failure);
  failure->kind = kind;
  plugin_http_string_dup(&failure->code, code);
  plugin_http_string_dup(&failure->message, message);
  return false;
}

bool mag_check(const mag_answer *answer, mag_failure *failure) {
  uint16_t status = answer->status;
  char code[8];
  snprintf(code, sizeof code, "%u", status);
  if (status >= 200 && status < 300) return true;
  if (status == 429) mag_fail(failure, MAG_SENDER_TYPES_FAILURE_KIND_RATE_LIMITED, code, "too many requests");
  else if (status == 408 || status == 425 || status >= 500) mag_fail(failure, MAG_SENDER_TYPES_FAILURE_KIND_RETRY, code, "the destination cannot take it now");
  else if (status < 400) mag_fail(failure, MAG_SENDER_TYPES_FAILURE_KIND_MISCONFIGURED, code, "the destination has moved: redirects are not followed");
  else if (status == 401 || status == 403) mag_fail(failure, MAG_SENDER_TYPES_FAILURE_KIND_MISCONFIGURED, code, "the destination does not accept the credentials");
  else if (status == 404 || status == 410) mag_fail(failure, MAG_SENDER_TYPES_FAILURE_KIND_MISCONFIGURED, code, "the destination is not there");
  else mag_fail(failure, MAG_SENDER_TYPES_FAILURE_KIND_PERMANENT, code, "the destination refuses this notification");
  failure->after_ms.is_some = answer->retry_after_ms > 0;
  failure->after_ms.val = answer->retry_after_ms;
  return false;
}

// ---- the contract

static const char *type_name(mag_type type) {
  return type == MAG_STRING ? "string" : type == MAG_INTEGER ? "integer" : "boolean";
}

static void one_string(plugin_http_list_string_t *list, const char *text) {
  list->ptr = malloc(sizeof *list->ptr);
  list->len = 1;
  plugin_http_string_dup(list->ptr, text);
}

void exports_mag_sender_sender_describe(exports_mag_sender_sender_manifest_t *ret) {
  memset(ret, 0, sizeof *ret);
  mag_buffer schema = {0};
  mag_add(&schema, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
  for (size_t at = 0; at < about.key_count; at++) {
    if (at > 0) mag_add(&schema, ",");
    mag_add_json(&schema, about.keys[at].name, strlen(about.keys[at].name));
    mag_add(&schema, ":{\"type\":\""), mag_add(&schema, type_name(about.keys[at].type)), mag_add(&schema, "\",\"description\":");
    mag_add_json(&schema, about.keys[at].description, strlen(about.keys[at].description));
    mag_add(&schema, "}");
  }
  mag_add(&schema, "},\"required\":[");
  for (size_t at = 0, listed = 0; at < about.key_count; at++) {
    if (!about.keys[at].required) continue;
    if (listed++ > 0) mag_add(&schema, ",");
    mag_add_json(&schema, about.keys[at].name, strlen(about.keys[at].name));
  }
  mag_add(&schema, "]}");
  plugin_http_string_dup(&ret->name, about.name);
  plugin_http_string_dup(&ret->version, about.version);
  plugin_http_string_dup(&ret->description, about.description);
  plugin_http_string_dup(&ret->config_schema, schema.ptr);
  if (about.token) {
    mag_sender_types_secret_t *secret = calloc(1, sizeof *secret);
    plugin_http_string_dup(&secret->name, "token");
    plugin_http_string_dup(&secret->description, about.token);
    one_string(&secret->uses, "header");
    ret->secrets.ptr = secret;
    ret->secrets.len = 1;
  }
}

static void add_mistake(exports_mag_sender_sender_list_config_error_t *list, const char *pointer, const char *message) {
  list->ptr = realloc(list->ptr, (list->len + 1) * sizeof *list->ptr);
  plugin_http_string_dup(&list->ptr[list->len].pointer, pointer);
  plugin_http_string_dup(&list->ptr[list->len++].message, message);
}

static bool is_a(const char *value, mag_type type) {
  if (type == MAG_STRING) return *value == '"';
  if (type == MAG_BOOLEAN) return *value == 't' || *value == 'f';
  return (isdigit((unsigned char)*value) || *value == '-') && !memchr(value, '.', (size_t)(skip_value(value) - value));
}

// Unknown keys, missing keys, wrong types; then what sender.c finds.
static void mistakes_of(const mag_call *call, exports_mag_sender_sender_list_config_error_t *list) {
  const char *config = config_of(call), *at = config, *value;
  mag_text key;
  while (next_key(&at, &key, &value)) {
    const mag_key *known = NULL;
    for (size_t each = 0; each < about.key_count; each++)
      if (is(key, about.keys[each].name)) known = &about.keys[each];
    mag_buffer pointer = {0}, message = {0};
    mag_add(&pointer, "/"), mag_add_text(&pointer, key);
    mag_add(&message, "expected: "), mag_add(&message, known ? type_name(known->type) : "");
    if (!known && !is(key, "secrets")) add_mistake(list, pointer.ptr, "unknown key");
    else if (known && !is_a(value, known->type)) add_mistake(list, pointer.ptr, message.ptr);
  }
  for (size_t each = 0; each < about.key_count; each++) {
    mag_buffer pointer = {0};
    mag_add(&pointer, "/"), mag_add(&pointer, about.keys[each].name);
    if (about.keys[each].required && !find(config, about.keys[each].name)) add_mistake(list, pointer.ptr, "is missing");
  }
  const char *pointer = "", *found = list->len == 0 ? mistake(call, &pointer) : NULL;
  if (found) add_mistake(list, pointer, found);
}

bool exports_mag_sender_sender_validate(plugin_http_string_t *config, exports_mag_sender_sender_list_egress_t *ret,
                                        exports_mag_sender_sender_list_config_error_t *err) {
  mag_call call = {*config, 0};
  memset(ret, 0, sizeof *ret);
  memset(err, 0, sizeof *err);
  mistakes_of(&call, err);
  if (err->len > 0) return false;
  const char *url = wanted_url(&call);
  if (!url) return true;
  mag_buffer origin = {0};
  const char *host = strstr(url, "://");
  size_t length = host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : strlen(url);
  mag_add_bytes(&origin, url, length);
  ret->ptr = calloc(1, sizeof *ret->ptr);
  ret->len = 1;
  plugin_http_string_dup(&ret->ptr->origin, origin.ptr);
  plugin_http_string_dup(&ret->ptr->why, "the config names it");
  one_string(&ret->ptr->methods, "POST");
  return true;
}

bool exports_mag_sender_sender_prepare(plugin_http_string_t *config, exports_mag_sender_sender_prepared_t *ret,
                                       exports_mag_sender_sender_failure_t *err) {
  (void)config, (void)err;
  memset(ret, 0, sizeof *ret);
  return true;
}

bool exports_mag_sender_sender_send(plugin_http_string_t *config, plugin_http_list_u8_t *state,
                                    exports_mag_sender_sender_notification_t *n, exports_mag_sender_sender_delivered_t *ret,
                                    exports_mag_sender_sender_failure_t *err) {
  (void)state;
  // A little less than the call has, so that the sender can still say what happened.
  mag_call call = {*config, (uint64_t)n->timeout_ms * 9 / 10};
  memset(ret, 0, sizeof *ret);
  return tell(&call, n, err);
}
