"""The diary (育児日記) and its firsts (できたよ記念日): the family's own words, which no clinic and no town reads.

Who wrote an entry decides who sees it, and alone changes it. When the author is no longer a guardian, the others take
the entry over: nobody's words stay in a child's diary without somebody who can take them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal, get_args

from services.records.domain.access import Caller, check
from services.records.domain.findings import Findings
from services.records.domain.photos import Picture
from services.records.domain.record import Record
from shared.clock import wire_instant
from shared.problems import Forbidden, NotFound, invalid

SharedWith = Literal["author", "guardians", "family"]
First = Literal[
    "smile",
    "laugh",
    "head_up",
    "roll_over",
    "sit",
    "crawl",
    "stand_holding",
    "cruise",
    "walk",
    "tooth",
    "solid_food",
    "word",
    "name",
    "wave",
    "sleep_through",
    "haircut",
    "shoes",
    "nursery",
    "toilet",
    "weaned",
    "other",
]
FIRSTS: frozenset[str] = frozenset(get_args(First))
MOST_PHOTOS = 10
_SHOWN = ("on", "text", "first", "shared_with", "written_at", "changed_at")
BEFORE_BIRTH = timedelta(days=300)
"""A diary may begin with the pregnancy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryWish:
    """An entry as its author wishes it: a day, words, a first (photos follow), and who of the family may read it."""

    on: date
    text: str | None = None
    first: First | None = None
    shared_with: SharedWith = "family"


def write(
    record: Record, wish: EntryWish, caller: Caller, *, child: str, entry: str, now: datetime, today: date
) -> dict[str, Any]:
    """The state of a new entry. Raises Forbidden, NotFound, Invalid with every broken rule."""
    check(record, caller, "write_diary", today)
    _check_wish(record, wish, today)
    at = wire_instant(now)
    return {
        "child": child,
        "author": caller.subject,
        "photos": [],
        "written_at": at,
        "changed_at": at,
        **_said(wish, entry),
    }


def rewrite(
    record: Record, state: Mapping[str, Any], wish: EntryWish, caller: Caller, *, entry: str, now: datetime, today: date
) -> dict[str, Any]:
    """The entry's state with these words. Raises Forbidden, NotFound, Invalid."""
    check_own(record, state, caller, today)
    _check_wish(record, wish, today)
    kept = {name: value for name, value in state.items() if name not in {"text", "first"}}
    return {**kept, **_said(wish, entry), "changed_at": wire_instant(now)}


def with_photo(
    record: Record, state: Mapping[str, Any], photo: Mapping[str, Any], caller: Caller, *, today: date
) -> dict[str, Any]:
    """The entry's state with one photo more. Raises Forbidden, NotFound, Invalid."""
    check_room(record, state, caller, today)
    return {**state, "photos": [*state["photos"], dict(photo)]}


def check_room(record: Record, state: Mapping[str, Any], caller: Caller, today: date) -> None:
    """Raise unless the caller may add a photo to this entry and it has room for one."""
    check_own(record, state, caller, today)
    if len(state["photos"]) >= MOST_PHOTOS:
        raise invalid(
            "", "too-many", f"写真は1つの日記に{MOST_PHOTOS}枚までです。", f"An entry has at most {MOST_PHOTOS} photos."
        )


def photo_of(state: Mapping[str, Any], photo: str) -> Mapping[str, Any]:
    """The photo's description; raises NotFound."""
    for one in state["photos"]:
        if one["id"] == photo:
            found: Mapping[str, Any] = one
            return found
    raise NotFound


def without_photo(
    record: Record, state: Mapping[str, Any], photo: str, caller: Caller, *, today: date
) -> dict[str, Any]:
    """The entry's state without this photo. Raises Forbidden, NotFound."""
    check_own(record, state, caller, today)
    photo_of(state, photo)
    return {**state, "photos": [one for one in state["photos"] if one["id"] != photo]}


def described(photo: str, file: str, picture: Picture) -> dict[str, Any]:
    """What an entry keeps of a photo; `file` is the key under which its bytes lie."""
    return {
        "id": photo,
        "file": file,
        "width": picture.width,
        "height": picture.height,
        "bytes": len(picture.full),
    }


def is_visible(state: Mapping[str, Any], record: Record, caller: Caller) -> bool:
    """Whether this reader of the diary sees this entry; a deleted one is seen by nobody."""
    if "author" not in state:
        return False
    if state["author"] == caller.subject:
        return True
    if caller.subject in record.guardians:
        return state["shared_with"] != "author" or state["author"] not in record.guardians
    return bool(state["shared_with"] == "family")


def check_visible(record: Record, state: Mapping[str, Any], caller: Caller, today: date) -> None:
    """Raise Forbidden for the role, NotFound for what this caller does not see."""
    check(record, caller, "read_diary", today)
    if not is_visible(state, record, caller):
        raise NotFound


def check_own(record: Record, state: Mapping[str, Any], caller: Caller, today: date) -> None:
    """Raise NotFound for what the caller does not see, Forbidden for what somebody else wrote."""
    check(record, caller, "write_diary", today)
    check_visible(record, state, caller, today)
    if state["author"] != caller.subject and state["author"] in record.guardians:
        raise Forbidden


def shown(entry: str, state: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """The entry as a reader sees it: whether it is their own words, never whose else."""
    return {
        "id": entry,
        **{name: state[name] for name in _SHOWN if name in state},
        "yours": state["author"] == caller.subject,
        "photos": [{name: one[name] for name in ("id", "width", "height", "bytes")} for one in state["photos"]],
    }


def _said(wish: EntryWish, entry: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        "on": wish.on.isoformat(),
        "shared_with": wish.shared_with,
        # By day, then by entry: the order of the list, and what its cursors hold.
        "place": f"{wish.on.isoformat()}:{entry}",
    }
    if wish.text is not None:
        said["text"] = wish.text
    if wish.first is not None:
        said["first"] = wish.first
    return said


def _check_wish(record: Record, wish: EntryWish, today: date) -> None:
    findings = Findings()
    if wish.on > today:
        findings.add("/on", "in-the-future", "未来の日付です。", "This day is in the future.")
    if wish.on < record.facts.birth_date - BEFORE_BIRTH:
        findings.add("/on", "too-long-ago", "妊娠より前の日付です。", "This day is before the pregnancy.")
    if wish.first == "other" and wish.text is None:
        findings.add("/text", "missing", "記念日の内容を入力してください。", "Say what happened for the first time.")
    findings.refuse()
