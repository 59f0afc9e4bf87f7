import json
import unittest

import sender
from mag.sdk import Answer, Call, ConfigError, Failure, Notification, group, read_config

CONFIG = {"url": "https://example.org/in", "secrets": {"token": "PLACEHOLDER"}}


def sending(status, headers={}):
    """What was asked, and the failure if there was one."""
    asked = []

    def http(method, url, headers_, json=None, body=None):
        asked.append((method, url, headers_, json))
        return Answer(status, headers, "", False)

    config, secrets = read_config(sender, json.dumps(CONFIG))
    try:
        sender.send(Call(config, secrets, b"", http, 0), Notification(groups=[group("disk full", 30)]))
    except Failure as failure:
        return asked, failure
    return asked, None


class Sending(unittest.TestCase):
    def test_a_notification_is_posted(self):
        [(method, url, headers, body)], failure = sending(200)
        self.assertIsNone(failure)
        self.assertEqual((method, url), ("POST", "https://example.org/in"))
        self.assertEqual(headers["authorization"], "Bearer PLACEHOLDER")
        self.assertEqual(body, {"text": 'Message "disk full" was repeated 30 time(s).'})

    def test_an_answer_decides_what_mag_does_next(self):
        self.assertEqual(sending(404)[1].kind, "misconfigured")
        limited = sending(429, {"retry-after": "7"})[1]
        self.assertEqual((limited.kind, limited.after_ms), ("rate-limited", 7000))

    def test_a_mistake_in_the_config_is_found_where_it_is(self):
        def pointers(config):
            with self.assertRaises(ConfigError) as raised:
                read_config(sender, json.dumps(config))
            return [pointer for pointer, _ in raised.exception.mistakes]

        self.assertEqual(pointers({"url": "nowhere"}), ["/url"])
        self.assertEqual(pointers({"urll": "https://example.org"}), ["/urll", "/url"])
        self.assertEqual(pointers({"url": 7, "max_chars": "many"}), ["/url", "/max_chars"])


if __name__ == "__main__":
    unittest.main()
