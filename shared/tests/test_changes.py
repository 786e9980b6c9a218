"""What of a document changed (protocol W1, security S11), as native code and as Python: same files, same answers."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shared.native
from deploy.engine import complaint
from shared.native import changes
from shared.testing.interpreted import as_python

WITHOUT = complaint()
Doc = dict[str, Any]


FORMS = (changes, as_python(changes))
BOTH = pytest.mark.parametrize("form", FORMS, ids=["as imported", "as Python"])

keys = st.sampled_from(["a", "b", "c", "日本", "0"])
scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x", "$x", "a.b"]) | st.floats(0, 1)
values = st.recursive(
    scalars,
    lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=12,
)
documents = st.dictionaries(keys, values, max_size=4)


def _stored(doc: Doc, sets: Doc, unsets: Doc) -> Doc:
    """What a store does with `$set` and `$unset` of dotted paths."""
    found = {"state": changes.copied(doc)}
    for path, value in sets.items():
        *way, last = path.split(".")
        at = found
        for step in way:
            at = at.setdefault(step, {})
        at[last] = value
    for path in unsets:
        *way, last = path.split(".")
        at = found
        for step in way:
            at = at[step]
        del at[last]
    done: Doc = found["state"]
    return done


def _containers(value: Any) -> list[int]:
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [id(value), *(one for each in inner for one in _containers(each))]


@pytest.mark.skipif(WITHOUT is not None, reason=f"nothing can be compiled here: {WITHOUT}")
def test_it_runs_as_native_code_here() -> None:
    assert shared.native.COMPILED
    assert Path(str(changes.__file__)).suffix == ".so"


@BOTH
@given(old=documents, new=documents, depth=st.integers(1, 4))
def test_a_difference_makes_the_old_the_new(form: ModuleType, old: Doc, new: Doc, depth: int) -> None:
    sets: Doc = {}
    unsets: Doc = {}
    form.diff(old, new, "state", sets, unsets, depth)
    assert _stored(old, sets, unsets) == new
    assert all(path.count(".") <= depth for path in [*sets, *unsets])


@BOTH
@given(old=documents)
def test_what_is_the_same_is_not_written(form: ModuleType, old: Doc) -> None:
    sets: Doc = {}
    unsets: Doc = {}
    form.diff(old, form.copied(old), "state", sets, unsets, 3)
    assert (sets, unsets) == ({}, {})


@BOTH
@given(value=values)
def test_a_copy_shares_nothing_that_can_change(form: ModuleType, value: Any) -> None:
    copy = form.copied(value)
    assert copy == value
    assert not set(_containers(copy)) & set(_containers(value))


@BOTH
def test_only_what_differs_is_written(form: ModuleType) -> None:
    old = {"doses": {"1": {"code": "penta"}, "2": {"code": "bcg"}}, "name": "花", "gone": 1}
    new = form.copied(old)
    new["doses"]["3"] = {"code": "mr"}
    del new["doses"]["1"], new["gone"]
    sets: Doc = {}
    unsets: Doc = {}
    form.diff(old, new, "state", sets, unsets, 3)
    assert sets == {"state.doses.3": {"code": "mr"}}
    assert unsets == {"state.gone": "", "state.doses.1": ""}


@BOTH
def test_parts_are_written_by_their_own_names(form: ModuleType) -> None:
    sets: Doc = {}
    unsets: Doc = {}
    old = {"applied": {"records/child:1": 4}, "wanted": {"records/child:1": 6}}
    new = {"applied": {"records/child:1": 5}, "wanted": {}, "parked": {"reason": "schema-broken"}, "passed": {}}
    form.diff_flat(old, new, sets, unsets)
    assert sets == {"applied.records/child:1": 5, "parked.reason": "schema-broken"}
    assert unsets == {"wanted.records/child:1": ""}


REFUSED = ["$where", "a.b", "", 7, None]


@BOTH
@pytest.mark.parametrize("key", REFUSED)
@pytest.mark.parametrize(
    "around",
    [
        lambda key: {key: 1},
        lambda key: {"a": {key: 1}},
        lambda key: {"a": [1, {key: 1}]},
        lambda key: {"a": ({"b": [[{key: 1}]]},)},
    ],
)
def test_a_key_that_a_store_could_take_for_its_own_is_refused(
    form: ModuleType, key: Any, around: Callable[[Any], Doc]
) -> None:
    with pytest.raises(ValueError, match="a stored key"):
        form.refuse_operators(around(key))
    with pytest.raises(ValueError, match="a stored key"):
        form.diff({}, around(key), "state", {}, {}, 3)


@given(old=documents, new=documents)
def test_both_forms_say_the_same(old: Doc, new: Doc) -> None:
    said = []
    for form in FORMS:
        sets: Doc = {}
        unsets: Doc = {}
        form.diff(old, new, "state", sets, unsets, 3)
        parts = {name: part for name, part in new.items() if isinstance(part, dict)}
        form.diff_flat({name: old[name] for name in parts if isinstance(old.get(name), dict)}, parts, sets, unsets)
        said.append((list(sets.items()), list(unsets)))
    assert said[0] == said[1]
