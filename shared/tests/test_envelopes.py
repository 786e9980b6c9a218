"""What stands around an event, read and judged (CloudEvents binary mode, protocol W3, R6), as native code and as Python."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.base import Envelope
from shared.native import envelopes
from shared.testing.interpreted import as_python

FORMS = (envelopes, as_python(envelopes))
BOTH = pytest.mark.parametrize("form", FORMS, ids=["as imported", "as Python"])
TOPIC = "records.child.v1"
SUBJECT = "0123456789abcdef0123456789abcdef"
ID = str(uuid5(UUID("5f0d2c52-64a3-5d5c-9f5b-6a1a6a1d7a10"), f"records.child\x1f{SUBJECT}\x1f7"))
GOOD: dict[str, Any] = {
    "ce_specversion": b"1.0",
    "ce_id": ID.encode(),
    "ce_type": b"jp.hagukumi.records.DoseRecorded.v1",
    "ce_source": b"/hagukumi/records",
    "ce_subject": SUBJECT.encode(),
    "ce_revision": b"7",
    "ce_time": b"2026-11-28T01:00:00Z",
    "ce_tenant": b"132021",
    "ce_correlationid": b"c1",
    "ce_causationid": b"e1",
    "traceparent": b"00-11111111111111111111111111111111-2222222222222222-01",
}

Headers = Sequence[tuple[str, Any]]


def _said(form: ModuleType, key: Any, value: Any, headers: Headers) -> Envelope | tuple[str, str, int]:
    try:
        found: Envelope = form.read_envelope(TOPIC, key, value, headers)
    except form.BadRecord as error:
        return error.code, error.subject, error.revision
    return found


@BOTH
def test_a_good_record_is_read_whole(form: ModuleType) -> None:
    assert _said(form, SUBJECT.encode(), b"{}", list(GOOD.items())) == Envelope(
        id=ID,
        type="jp.hagukumi.records.DoseRecorded.v1",
        stream="records.child",
        subject=SUBJECT,
        revision=7,
        time="2026-11-28T01:00:00Z",
        tenant="132021",
        correlation="c1",
        causation="e1",
        traceparent="00-11111111111111111111111111111111-2222222222222222-01",
        source="/hagukumi/records",
        data=b"{}",
    )


@BOTH
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"ce_id": None}, "headers-unreadable"),
        ({"ce_type": b"\xff"}, "headers-unreadable"),
        ({"ce_revision": b"seven"}, "headers-unreadable"),
        ({"ce_revision": b"9007199254740993"}, "headers-unreadable"),
        ({"ce_revision": b"9" * 5_000}, "headers-unreadable"),
        ({"ce_specversion": b"0.3"}, "headers-missing"),
        ({"ce_revision": b"0"}, "revision-impossible"),
        ({"ce_subject": b"a.b"}, "subject-impossible"),
        ({"ce_subject": b"a\0b"}, "subject-impossible"),
        ({"ce_subject": b"a" * 101}, "subject-impossible"),
        ({"ce_subject": b"another"}, "key-wrong"),
        ({"ce_partitionkey": b"another"}, "key-wrong"),
        ({"ce_revision": b"8"}, "id-wrong"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(form: ModuleType, changed: dict[str, Any], code: str) -> None:
    assert _said(form, SUBJECT.encode(), b"{}", list({**GOOD, **changed}.items()))[0] == code  # type: ignore[index]


@BOTH
@pytest.mark.parametrize("missing", ["ce_id", "ce_type", "ce_subject", "ce_revision", "ce_specversion"])
def test_what_must_be_there_is_missed(form: ModuleType, missing: str) -> None:
    left = [(name, raw) for name, raw in GOOD.items() if name != missing]
    assert _said(form, SUBJECT.encode(), b"{}", left)[0] == "headers-missing"  # type: ignore[index]


@BOTH
def test_a_key_and_a_value_are_needed(form: ModuleType) -> None:
    headers = list(GOOD.items())
    assert _said(form, None, b"{}", headers) == ("key-wrong", SUBJECT, 7)
    assert _said(form, SUBJECT.encode(), None, headers) == ("value-empty", SUBJECT, 7)
    assert _said(form, SUBJECT.encode(), b"", headers) == ("value-empty", SUBJECT, 7)


ANY_VALUE = st.none() | st.binary(max_size=6) | st.sampled_from([b"1.0", b"7", b"-1", b"1e3", "７".encode(), b" 7 "])
NAMES = st.sampled_from([*GOOD, "ce_partitionkey", "x"])


@given(
    changed=st.dictionaries(NAMES, ANY_VALUE, max_size=3),
    more=st.lists(st.tuples(NAMES, ANY_VALUE), max_size=2),
    key=st.none() | st.just(SUBJECT.encode()) | st.binary(max_size=3),
    value=st.none() | st.just(b"{}") | st.just(b""),
)
def test_whatever_comes_both_forms_say_the_same(changed: dict[str, Any], more: Headers, key: Any, value: Any) -> None:
    headers = [*{**GOOD, **changed}.items(), *more]
    imported, interpreted = (_said(form, key, value, headers) for form in FORMS)
    assert imported == interpreted
