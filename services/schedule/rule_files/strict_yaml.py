"""YAML as rule files need it: plain values only, days as text, and no key twice."""

from pathlib import Path
from typing import Any

import yaml

from services.schedule.domain.rule_set import RuleError


class _Loader(yaml.SafeLoader):
    """Safe, keeps days as text, refuses a key that is there twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"the key {key!r} is there twice", problem_mark=key_node.start_mark)
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(path: Path) -> Any:
    """What a file says; RuleError naming line and column where it is not YAML."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader, see above
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        raise RuleError(path.name, "-", where, error.problem or "not YAML") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RuleError(path.name, "-", "file", f"cannot be read: {type(error).__name__}") from None
