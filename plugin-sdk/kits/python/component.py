"""What the component exports: your sender, joined to the contract and to the real network."""

import json
import time

import sender
from componentize_py_types import Err
from mag.http import request
from mag.sdk import Call, ConfigError, Failure, Prepared, read_config, schema
from wit_world import exports
from wit_world.imports import mag_sender_types as types


def call(config, state=b"", timeout_ms=None):
    config, secrets = read_config(sender, config)

    def http(*args, **kwargs):
        return request(*args, timeout_ms=timeout_ms, **kwargs)

    return Call(config, secrets, state, http, int(time.time() * 1000))


def failed(failure):
    kind = types.FailureKind[failure.kind.upper().replace("-", "_")]
    told = types.Failure(kind, failure.code, failure.message, failure.after_ms, failure.maybe_delivered, failure.progress, "")
    return Err(told)


def misconfigured(error):
    each = "; ".join(f"config {pointer}: {message}" for pointer, message in error.mistakes)
    return failed(Failure("misconfigured", "config", each))


class Sender(exports.Sender):
    def describe(self):
        about = sender.ABOUT
        secrets = [types.Secret(**secret) for secret in about.get("secrets", [])]
        return types.Manifest(
            name=about["name"],
            version=about["version"],
            description=about["description"],
            config_schema=json.dumps(schema(sender)),
            secrets=secrets,
            markup=types.Markup[about.get("markup", "none").upper()],
            updates_in_place=about.get("updates_in_place", False),
            replies=about.get("replies", False),
            max_groups=about.get("max_groups"),
            overflow=types.Overflow[about.get("overflow", "summarize").upper()],
            extra="",
        )

    def validate(self, config):
        try:
            config, secrets = read_config(sender, config)
        except ConfigError as error:
            raise Err([types.ConfigError(pointer, message) for pointer, message in error.mistakes])
        wanted = sender.origins(config, secrets) if hasattr(sender, "origins") else []
        return [types.Egress(origin, methods, why) for origin, methods, why in wanted]

    def prepare(self, config):
        prepare = getattr(sender, "prepare", None)
        try:
            prepared = prepare(call(config)) if prepare else Prepared()
        except ConfigError as error:
            raise misconfigured(error)
        except Failure as failure:
            raise failed(failure)
        return types.Prepared(prepared.state, prepared.valid_for_ms)

    def send(self, config, state, n):
        try:
            # A little less than the call has, so that the sender can still say what happened.
            told = sender.send(call(config, state, n.timeout_ms * 9 // 10), n)
        except ConfigError as error:
            raise misconfigured(error)
        except Failure as failure:
            raise failed(failure)
        return types.Delivered(told.receipt, told.updated_in_place, "")
