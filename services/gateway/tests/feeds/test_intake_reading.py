"""What a municipality sends, read strictly: both CloudEvents modes, every broken field with its place."""

import base64
import json
from typing import Any

import pytest

from services.gateway.domain import intake
from services.gateway.domain.intake import Received
from shared.events.municipal import BirthNotified, ClosureReported, MessageAccepted, PastDosesReported

TOPIC = "municipal.139912.v1"
TYPE = "jp.hagukumi.municipal.BirthNotified.v1"
BIRTH = {
    "birth_date": "2026-09-22",
    "sex": "F",
    "name": {"family": "若葉", "given": "ひかり", "family_kana": "ワカバ", "given_kana": "ヒカリ"},
    "municipality": "139912",
    "gestation_days": 275,
    "guardian_codes": 2,
}
HEADERS = {
    "ce_specversion": "1.0",
    "ce_id": "m-1",
    "ce_source": "/municipality/139912/juki",
    "ce_type": TYPE,
    "content-type": "application/json",
}


def record(
    data: Any = None, *, headers: dict[str, str | None] | None = None, value: bytes | None = None, offset: int = 0
) -> Received:
    """A record in binary mode; a header that is None is left out."""
    wanted = {**HEADERS, **(headers or {})}
    body = value if value is not None else json.dumps(BIRTH if data is None else data, ensure_ascii=False).encode()
    return Received(TOPIC, 0, offset, b"m-1", body, [(k, v.encode()) for k, v in wanted.items() if v is not None])


def structured(data: Any, **attributes: Any) -> Received:
    """The same in structured mode."""
    envelope = {
        "specversion": "1.0",
        "id": "m-1",
        "source": HEADERS["ce_source"],
        "type": TYPE,
        "data": data,
        **attributes,
    }
    content_type = ("content-type", b"application/cloudevents+json; charset=UTF-8")
    return Received(TOPIC, 0, 0, b"m-1", json.dumps(envelope).encode(), [content_type])


def read(received: Received) -> intake.Message:
    """Read within 262,144 bytes."""
    return intake.read(received, max_bytes=262_144)


def refused(received: Received) -> set[tuple[str, str]]:
    """(pointer, code) of everything that is wrong."""
    message = read(received)
    assert message.body is None
    assert all(one.detail for one in message.errors)
    return {(one.pointer, one.code) for one in message.errors}


def test_binary_and_structured_mode_say_the_same() -> None:
    binary, whole = read(record()), read(structured(BIRTH, time="2026-11-23T03:00:00Z"))
    assert isinstance(binary.body, BirthNotified)
    assert binary.body == whole.body
    assert (binary.document, binary.digest, binary.message_id) == (whole.document, whole.digest, "m-1")


def test_the_body_of_a_birth_is_the_body_of_post_children() -> None:
    body = read(record()).body
    assert isinstance(body, BirthNotified)
    assert intake.birth(body) == {name: value for name, value in BIRTH.items() if name != "guardian_codes"}


def test_base64_data_in_structured_mode_is_read() -> None:
    coded = base64.b64encode(json.dumps(BIRTH).encode()).decode()
    assert read(structured(None, data_base64=coded)).body is not None


def test_every_broken_field_is_named_at_once() -> None:
    broken = {**BIRTH, "birth_date": "2026-13-01", "sex": 1, "favourite_colour": "green", "municipality": "139921"}
    assert refused(record(broken)) == {
        ("/birth_date", "date-parsing"),
        ("/sex", "literal-error"),
        ("/favourite_colour", "extra-forbidden"),
        ("/municipality", "municipality-foreign"),
    }


def test_a_foreign_municipality_alone_is_refused() -> None:
    assert refused(record({**BIRTH, "municipality": "139921"})) == {("/municipality", "municipality-foreign")}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("guardian_codes", True),
        ("guardian_codes", "2"),
        ("guardian_codes", 5),
        ("birth_date", 20260922),
        ("birth_date", "2026-09-22T00:00:00"),
        ("birth_date", "R8.9.22"),
        ("gestation_days", 275.5),
        ("name", "若葉ひかり"),
        ("municipality", None),
    ],
)
def test_no_value_of_another_type_is_taken_for_the_right_one(field: str, value: object) -> None:
    assert {pointer for pointer, _ in refused(record({**BIRTH, field: value}))} == {f"/{field}"}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"{", "not-json"),
        (b'{"birth_date": NaN}', "not-json"),
        (b"\xff\xfe", "not-utf-8"),
        (b'{"sex": "F", "sex": "M"}', "duplicate-key"),
        (b'{"sex": "\\ud800"}', "not-json"),
        (b"[" * 60 + b"]" * 60, "too-deep"),
        (b"[]", "not-an-object"),
        (b"", "value-empty"),
        (b'"' + b"x" * 262_144 + b'"', "too-large"),
    ],
)
def test_what_is_no_strict_json_is_refused_under_its_id(value: bytes, code: str) -> None:
    received = record(value=value)
    assert refused(received) == {("", code)}
    assert read(received).message_id == "m-1"


def test_an_unknown_type_and_an_unknown_major_version_are_refused() -> None:
    for kind in ("jp.hagukumi.municipal.BirthNotified.v2", "jp.hagukumi.municipal.Weather.v1"):
        assert refused(record(headers={"ce_type": kind})) == {("/ce_type", "type-unknown")}


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type", "ce_specversion"])
def test_a_missing_attribute_is_named(name: str) -> None:
    assert (f"/{name}", "missing") in refused(record(headers={name: None}))


def test_a_message_without_a_readable_id_is_called_by_its_place() -> None:
    message = read(record(headers={"ce_id": None}, offset=41))
    assert message.message_id == "municipal.139912.v1/0/41"
    assert message.document != read(record(headers={"ce_id": None}, offset=42)).document


def test_another_specversion_content_type_time_or_repeated_header_is_refused() -> None:
    assert ("/ce_specversion", "attribute-unusable") in refused(record(headers={"ce_specversion": "0.3"}))
    assert ("/content-type", "content-type-unknown") in refused(record(headers={"content-type": "text/xml"}))
    assert ("/ce_time", "not-rfc-3339") in refused(record(headers={"ce_time": "yesterday"}))
    twice = Received(TOPIC, 0, 0, None, record().value, [*record().headers, ("ce_id", b"m-2")])
    assert ("/ce_id", "header-repeated") in refused(twice)


def test_the_same_id_from_another_source_or_town_is_another_message() -> None:
    elsewhere = Received("municipal.139921.v1", 0, 0, b"m-1", record().value, record().headers)
    assert read(record()).document != read(elsewhere).document
    assert read(record()).document != read(record(headers={"ce_source": "/other"})).document
    assert read(record()).digest != read(record({**BIRTH, "sex": "M"})).digest


def test_past_doses_are_looked_at_all_together() -> None:
    data = {
        "child": "c1",
        "doses": [
            {"given_on": "2026-11-24", "cvx": "170"},
            {"given_on": "2026-09-01", "cvx": "170"},
            {"given_on": "2026-11-01", "cvx": "999"},
            {"given_on": "2026-11-01"},
            {"given_on": "2026-11-01", "vaccine": {"system": "urn:x", "code": "1"}},
            {"given_on": "2026-11-01", "cvx": "170"},
        ],
    }
    body = read(record(data, headers={"ce_type": "jp.hagukumi.municipal.PastDosesReported.v1"})).body
    assert isinstance(body, PastDosesReported)
    from datetime import date

    found = intake.broken_doses(body, birth_date=date(2026, 9, 22), today=date(2026, 11, 23))
    assert [(one.pointer, one.code) for one in found] == [
        ("/doses/0/given_on", "in-the-future"),
        ("/doses/1/given_on", "before-birth"),
        ("/doses/2/cvx", "vaccine-unknown"),
        ("/doses/3", "vaccine-missing"),
        ("/doses/4/vaccine/system", "system-unknown"),
    ]


def test_a_child_id_cannot_be_a_path() -> None:
    data = {"child": "../operators", "to_municipality": "139921", "effective_on": "2026-11-01"}
    moved = record(data, headers={"ce_type": "jp.hagukumi.municipal.MoveNotified.v1"})
    assert {pointer for pointer, _ in refused(moved)} == {"/child"}


def test_a_closure_becomes_a_notice_in_two_languages() -> None:
    body = ClosureReported.model_validate_json(
        json.dumps(
            {
                "place": "k-1",
                "place_name": "わかば幼稚園",
                "closed_from": "2026-11-24",
                "closed_to": "2026-11-25",
                "reason": "大雨のため",
            }
        )
    )
    notice = intake.closure(body)
    assert notice["title"]["ja"] == "わかば幼稚園：11月24日から11月25日までお休みします"
    assert notice["audience"] == {"age_years": {"under": 6}}


def test_an_owners_refusal_keeps_its_places() -> None:
    problem = {
        "type": "https://hagukumi.example/problems/invalid",
        "errors": [{"pointer": "/given_on", "code": "in-the-future", "detail": "未来の日付です。"}],
    }
    assert intake.below("/doses/0", intake.refusal_of(problem))[0].pointer == "/doses/0/given_on"
    unknown = {"type": "https://hagukumi.example/problems/not-found", "title": "見つかりません。"}
    found = intake.below("/doses/0", intake.refusal_of(unknown, at="/child"))
    assert [(one.pointer, one.code) for one in found] == [("/child", "not-found")]


def test_replies_have_their_own_types() -> None:
    reply = MessageAccepted(message_id="m-1", subject="c1")
    assert intake.reply_type(reply) == "jp.hagukumi.gateway.MessageAccepted.v1"
