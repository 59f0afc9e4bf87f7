"""my-sender: tells notifications by a POST of JSON. Change it into yours."""

from urllib.parse import urlsplit

from mag.sdk import Delivered, check, plain_text

ABOUT = {
    "name": "my-sender",
    "version": "0.1.0",
    "description": "Posts notifications as JSON.",
    # What may stand under `config` in mag.toml, as JSON Schema: mag shows each mistake at its line.
    "config": {
        "properties": {
            "url": {"type": "string", "description": "Where notifications are posted."},
            "max_chars": {"type": "integer", "description": "The longest text that is posted; 4000 unless set."},
        },
        "required": ["url"],
    },
    "secrets": [{"name": "token", "required": False, "uses": ["header"], "description": "sent as a bearer token"}],
}


def mistakes(config, secrets):
    """Mistakes that a schema cannot express, each a JSON pointer and a message. Offline."""
    url = urlsplit(config["url"])
    if url.scheme not in ("http", "https") or not url.hostname:
        return [("/url", "a URL like https://example.org/in is needed")]
    return []


def origins(config, secrets):
    """The origins that the config makes this sender want."""
    url = urlsplit(config["url"])
    return [(f"{url.scheme}://{url.netloc}", ["POST"], "the url of the config")]


def send(call, notification):
    """Tells one notification. `call.secrets["token"]` is a placeholder: mag puts the value in when the request leaves."""
    headers = {"idempotency-key": notification.id}
    if "token" in call.secrets:
        headers["authorization"] = f"Bearer {call.secrets['token']}"
    body = {"text": plain_text(notification, call.config.get("max_chars", 4000))}
    check(call.http("POST", call.config["url"], headers, json=body), call.now_ms)
    return Delivered()
