"""What of a document changed: the copy that is worked on, and the difference that is written (protocol W1, security S11)."""

from typing import Any, Final

Doc = dict[Any, Any]
"""Keys are looked at, not believed: one that is no text is refused as any other that may not be stored."""

_ABSENT: Final = object()
_NOTHING: Final[Doc] = {}


def copied(value: Any) -> Any:
    """A copy of what the store gives: dicts, lists and values that nobody changes. copy.deepcopy takes thirty times as long."""
    if isinstance(value, dict):
        found = value.copy()
        for key, one in value.items():
            if isinstance(one, (dict, list)):
                found[key] = copied(one)
        return found
    if isinstance(value, list):
        return [copied(one) if isinstance(one, (dict, list)) else one for one in value]
    return value


def diff(old: Doc, new: Doc, path: str, sets: Doc, unsets: Doc, depth: int) -> None:
    """Add what has to be set and unset below `path` so that old becomes new; what is deeper than `depth` is set as a whole.

    Raises ValueError for a key that may not be stored.
    """
    for key, value in new.items():
        before = old.get(key, _ABSENT)
        if before is value or before == value:
            continue
        if depth > 1 and isinstance(value, dict) and isinstance(before, dict) and before and value:
            diff(before, value, f"{path}.{key}", sets, unsets, depth - 1)
            continue
        _refuse_operator(key)
        if isinstance(value, (dict, list, tuple)):
            refuse_operators(value)
        sets[f"{path}.{key}"] = value
    if old.keys() <= new.keys():
        return
    for key in old:
        if key not in new:
            unsets[f"{path}.{key}"] = ""


def diff_flat(old: Doc, new: Doc, sets: Doc, unsets: Doc) -> None:
    """The same for each of these parts, whose own values are set as a whole; a part that `old` has not is empty there."""
    for name, now in new.items():
        was = old.get(name, _NOTHING)
        if now != was:
            diff(was, now, name, sets, unsets, 1)


def refuse_operators(value: Any) -> None:
    """Raise ValueError for any key that the store could take for an operator or a path (S11)."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_operator(key)
            if isinstance(inner, (dict, list, tuple)):
                refuse_operators(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            if isinstance(inner, (dict, list, tuple)):
                refuse_operators(inner)


def _refuse_operator(key: Any) -> None:
    if not isinstance(key, str) or not key or key[0] == "$" or "." in key:
        raise ValueError(f"a stored key may not be empty, begin with $ or have a dot: {key!r}")
