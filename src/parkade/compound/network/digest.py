"""A digest of a bound network: equal digests ask equal calls and choose alike.

Functions and verifiers count by their name, and by their version or else their source (`sources`).
"""

from hashlib import blake2b
from typing import Any

import msgspec

from parkade.compound.models.protocol import options_of
from parkade.compound.network.binding import Bound, Node
from parkade.compound.network.sources import source_of
from parkade.compound.values import KEY_BYTES


def network_digest(bound: Bound) -> str:
    """Of the network with what its names stand for."""
    content: dict[str, Any] = {
        "network": bound.network,
        "models": {name: model.identity for name, model in sorted(bound.models.items())},
        "nodes": [(code_name(node.checker), code_name(node.function)) for node in bound.nodes],
    }
    if options := {
        name: options_of(model) for name, model in sorted(bound.models.items()) if options_of(model)
    }:
        content["options"] = options
    body = msgspec.json.encode(content, enc_hook=code_name, order="sorted")
    return blake2b(body, digest_size=KEY_BYTES).hexdigest()


def name_of(value: Any) -> str:
    """What stands for a function or verifier in a drawing."""
    if value is None:
        return ""
    if isinstance(value, Node):
        return f"node {value.index}"
    if isinstance(value, str):
        return value
    version = getattr(value, "version", "")
    if callable(version):
        version = version()
    name = getattr(value, "name", None) or getattr(value, "__qualname__", type(value).__name__)
    return f"{name}@{version}" if version else str(name)


def function_name(function: Any) -> str:
    """As its author calls a function; for what is said of it."""
    return str(getattr(function, "__qualname__", None) or name_of(function))


def code_name(value: Any) -> str:
    """What stands for a function or verifier in a digest and in the journal."""
    source = source_of(value)
    return f"{name_of(value)}@{source}" if source else name_of(value)
