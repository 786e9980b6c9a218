"""JSON as we accept it from outside: no NaN, no duplicate keys, no lone surrogates, bounded depth (S21)."""

import json
from typing import Any

import orjson

MAX_DEPTH = 32


class BadJson(ValueError):
    """The bytes are not JSON as we accept it; the message is a stable code and quotes nothing."""


def loads(data: bytes) -> Any:
    """The value; raises BadJson with a code: not-utf-8, not-json, duplicate-key, too-deep."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadJson("not-utf-8") from None
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise BadJson("not-json") from None
    _check_depth(value, MAX_DEPTH)
    json.loads(data, object_pairs_hook=_no_duplicates)
    return value


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise BadJson("too-deep")
    if isinstance(value, dict):
        for inner in value.values():
            _check_depth(inner, left - 1)
    elif isinstance(value, list):
        for inner in value:
            _check_depth(inner, left - 1)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise BadJson("duplicate-key")
