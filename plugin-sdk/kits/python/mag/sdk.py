"""What every sender needs and no network does: its config, what an answer means, and text that cannot act.

Plain Python, so that it is tested without a component.
"""

import json
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime


@dataclass
class Failure(Exception):
    """Not told; `raise` it. Kinds: retry, rate-limited, permanent, misconfigured."""

    kind: str
    code: str
    message: str
    after_ms: int | None = None
    maybe_delivered: bool = False
    progress: bytes | None = None


@dataclass
class ConfigError(Exception):
    """Mistakes in the config, each a JSON pointer and a message."""

    mistakes: list


@dataclass
class Delivered:
    """Told. A receipt is what is needed to change the message later."""

    receipt: bytes | None = None
    updated_in_place: bool = False


@dataclass
class Prepared:
    """What `prepare` found out, for every `send`."""

    state: bytes = b""
    valid_for_ms: int | None = None


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict
    body: str
    truncated: bool

    def json(self):
        """The body as JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Failure("retry", "bad-answer", f"an answer that is no JSON: {error}", maybe_delivered=True)


@dataclass
class Call:
    """What every call gets beside the notification."""

    config: dict
    secrets: dict
    state: bytes
    http: object
    now_ms: int


def check(answer, now_ms):
    """Raises the failure that fits an answer's status; 2xx is delivered."""
    status = answer.status
    after_ms = retry_after_ms(answer.headers.get("retry-after"), now_ms)
    if 200 <= status < 300:
        return
    if status == 429:
        raise Failure("rate-limited", str(status), f"{status} too many requests", after_ms)
    if status in (408, 425) or status >= 500:
        raise Failure("retry", str(status), f"{status} the destination cannot take it now", after_ms)
    if 300 <= status < 400:
        raise Failure("misconfigured", str(status), f"{status} the destination has moved: redirects are not followed")
    if status in (401, 403):
        raise Failure("misconfigured", str(status), f"{status} the destination does not accept the credentials")
    if status in (404, 410):
        raise Failure("misconfigured", str(status), f"{status} the destination is not there")
    raise Failure("permanent", str(status), f"{status} the destination refuses this notification")


def retry_after_ms(value, now_ms):
    """`Retry-After` in milliseconds, seconds or a date, between 1 s and 1 h; None for what is neither."""
    if not value:
        return None
    try:
        ms = float(value) * 1000
    except ValueError:
        try:
            ms = parsedate_to_datetime(value).timestamp() * 1000 - now_ms
        except ValueError:
            return None
    return int(min(max(ms, 1000), 3_600_000)) if ms == ms else None


def plain_line(text):
    """One line of plain text: what could act in it is replaced. Escape it further for your destination's markup."""
    return "".join(c if c == " " or c.isprintable() else " " if c in "\n\t" else "\ufffd" for c in text)


def plain_text(notification, most):
    """The whole notification as plain text of at most `most` characters; what does not fit is counted."""
    if notification.body is not None:
        return cut(notification.body, most)
    groups = sorted(notification.groups, key=lambda group: (-group.count, group.first_seen, group.id))
    lines = [cut(escalated(notification), most // 2)] if notification.reason == "escalated" else []
    room = most - 100 - sum(map(len, lines))
    left, messages = notification.omitted_groups, notification.omitted_messages
    for group in groups:
        line = sentence(group, room - 1 if len(groups) == 1 else min(500, most // 2))
        room -= len(line) + 1
        if room < 0:
            left, messages = left + 1, messages + group.count
        else:
            lines.append(line)
    if left:
        lines.append(f"and {left:,} more group{'s' * (left != 1)}, {messages:,} message{'s' * (messages != 1)}")
    return "\n".join(lines)


def sentence(group, most=500):
    """One line about a group: `Message "disk full" was repeated 30 time(s).`"""
    text = cut(plain_line(group.text), max(most - 100, 1))
    seconds = max(1, round((group.closed - group.opened) / 1000))
    period = f" for last {seconds} second{'s' * (seconds != 1)}" if group.reason == "time" else ""
    if group.state == "overflow":
        return f"{group.count} {text}{period}."
    if group.resolved:
        return f'Resolved: "{text}".'
    if group.kind == "monitor":
        return text
    return f'Message "{text}" was repeated {group.count} time(s){period}.'


def escalated(notification):
    told = json.loads(notification.extra or "{}").get("escalated_from", {})
    return plain_line(f"Escalated: sender {told.get('sender', '')}: {told.get('error', '')}")


def cut(text, most):
    return text if len(text) <= most else text[: max(most - 1, 0)] + "…"


def schema(sender):
    """The JSON Schema of a sender's config."""
    return {"type": "object", "additionalProperties": False, **sender.ABOUT["config"]}


TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}


def schema_mistakes(schema, config):
    """What does not fit a schema of the kind that `ABOUT["config"]` is: unknown keys, missing keys, wrong types."""
    properties = schema.get("properties", {})
    known = ", ".join(properties)
    mistakes = [(pointer(key), f"unknown key, expected one of {known}") for key in config if key not in properties]
    mistakes += [(pointer(key), "is missing") for key in schema.get("required", []) if key not in config]
    for key, property in properties.items():
        type_ = property.get("type")
        if key in config and type_ and not is_a(config[key], type_):
            mistakes.append((pointer(key), f"expected: {type_}"))
    return mistakes


def is_a(value, type_):
    return isinstance(value, TYPES[type_]) and (type_ == "boolean" or not isinstance(value, bool))


def pointer(key):
    return "/" + key.replace("~", "~0").replace("/", "~1")


def read_config(sender, text):
    """The operator's config and the placeholders of the secrets; raises `ConfigError`."""
    config = json.loads(text)
    secrets = config.pop("secrets", {})
    mistakes = schema_mistakes(schema(sender), config)
    if not mistakes and hasattr(sender, "mistakes"):
        mistakes = sender.mistakes(config, secrets)
    if mistakes:
        raise ConfigError(mistakes)
    return config, secrets


@dataclass
class Group:
    """A group for tests; the real one has the same fields."""

    text: str
    count: int
    id: str = "5eed000000000000"
    route: str = "root"
    kind: str = "default"
    source: str | None = None
    severity: object = None
    labels: list = field(default_factory=list)
    annotations: list = field(default_factory=list)
    total: int = 0
    first_seen: int = 0
    last_seen: int = 0
    opened: int = 0
    closed: int = 0
    samples: list = field(default_factory=list)
    reason: str = "count"
    state: str = "firing"
    resolved: bool = False
    links: list = field(default_factory=list)
    extra: str = ""


def group(text, count, **more):
    """A group for tests."""
    return Group(text, count, **more)


@dataclass
class Notification:
    """A notification for tests; the real one has the same fields."""

    groups: list
    id: str = "01890a5d-ac96-774b-bcce-b302099a8057"
    attempt: int = 1
    sender: str = "test"
    kind: str = "default"
    reason: str = "count"
    period_ms: int = 0
    title: str = ""
    body: str | None = None
    omitted_groups: int = 0
    omitted_messages: int = 0
    sent_at: int = 0
    timeout_ms: int = 10_000
    previous: bytes | None = None
    progress: bytes | None = None
    links: list = field(default_factory=list)
    extra: str = ""
