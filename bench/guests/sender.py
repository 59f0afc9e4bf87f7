"""What `bench sender` measures: nothing, or one POST."""

from urllib.parse import urlsplit

from mag.sdk import Delivered, check, plain_text

ABOUT = {
    "name": "bench",
    "version": "0.1.0",
    "description": "Does nothing, or posts.",
    "config": {"properties": {"url": {"type": "string"}}},
}


def origins(config, secrets):
    if "url" not in config:
        return []
    url = urlsplit(config["url"])
    return [(f"{url.scheme}://{url.netloc}", ["POST"], "to measure it")]


def send(call, notification):
    if "url" in call.config:
        body = {"text": plain_text(notification, 4000)}
        check(call.http("POST", call.config["url"], json=body), call.now_ms)
    return Delivered()
