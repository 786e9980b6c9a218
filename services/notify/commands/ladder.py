"""Climbing the ladder of an emergency, its live board, and the list of those whom a person must call."""

import csv
import io
from collections.abc import Mapping, Sequence

import phonenumbers

from services.notify import store as kept
from services.notify.commands.announcements import Notices, the_notice
from services.notify.commands.pushing import PushTarget, StillWanted, claim_of
from services.notify.domain.ladder import CALL_OUTCOMES, STANDINGS, WAIT, is_open, next_rung, standing
from shared.auth import Principal
from shared.clock import wire_instant
from shared.documents import Document
from shared.ids import derived_id
from shared.problems import NotFound, invalid
from shared.store import IDS_PER_QUERY, Doc

COLUMNS = ("recipient", "phone", "language", "children", "tried", "calls")
LEASE = 2 * WAIT
"""How long one worker has a page to itself, renewed rung by rung; a page whose worker died goes on after it."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def target_of(notice: Document, recipient: str) -> PushTarget:
    """What a recipient is told of a notice."""
    state = notice.state
    return PushTarget(
        item=derived_id(notice.id, recipient, "inbox"),
        recipient=recipient,
        urgency=state["urgency"],
        titles=state["title"],
        bodies=state["body"],
        announcement=notice.id,
        municipality=state["municipality"],
    )


async def begin(notices: Notices, notice: Document, page: int, still_wanted: StillWanted) -> None:
    """Take the first step for a page of an emergency's recipients; a repeat leaves it to whoever climbs already."""
    row = {"_id": f"{notice.id}:{page}", "announcement": notice.id, "page": page, "step": 0, "top": []}
    if await notices.store.insert(kept.LADDERS, {**row, "next_at": (notices.now + LEASE).timestamp()}):
        await climb(notices, notice, row, still_wanted)


async def climb(notices: Notices, notice: Document, row: Doc, still_wanted: StillWanted) -> None:
    """One step for everybody on this page who gave no sign yet: the next rung that takes the message, as far up as it needs.

    The page is done when a whole wait has passed after the last message: who has still given no sign is called.
    """
    left = await kept.frozen_page(notices.store, notice.state["frozen"], row["page"])
    first = row["step"] == 0 and "next_at" not in row  # this worker's own new row: nothing was sent or read before it
    if not first:
        left = await _without_evidence(notices, notice.id, left)
    addresses = await kept.addresses_of(notices.store, left)
    tried = await _tried(notices, notice.id, left, {} if first else addresses)
    channels = {who: {kept.channel_of(one) for one in addresses.get(who, ())} for who in left}
    climbing, sent = list(left), False
    while climbing:
        by_rung: dict[tuple[str, ...], list[str]] = {}
        for who in climbing:
            rung = next_rung(channels[who], tried[who])
            if rung is not None:
                by_rung.setdefault(rung, []).append(who)
        again: list[str] = []
        for rung, people in by_rung.items():
            sent = True
            lease = {"next_at": (notices.now + LEASE).timestamp()}
            await notices.store.update(kept.LADDERS, {"_id": row["_id"], "step": row["step"]}, {"$set": lease})
            targets = {target.item: target for target in (target_of(notice, who) for who in people)}
            ended = await notices.pusher.push(list(targets.values()), still_wanted, only=rung, addresses=addresses)
            for item, target in targets.items():
                # Tried, also where nothing was there to send to any more.
                tried[target.recipient] |= dict.fromkeys(rung, ended.get(item, []))
                if not is_open({rung[0]: ended.get(item, [])}):
                    again.append(target.recipient)
        climbing = again
    top = [who for who in left if not is_open(tried[who]) and next_rung(channels[who], tried[who]) is None]
    change: Doc = {"$set": {"top": top}, "$inc": {"step": 1}}
    if sent:
        change["$set"]["next_at"] = (notices.now + WAIT).timestamp()
    else:
        change["$unset"] = {"next_at": ""}
    await notices.store.update(kept.LADDERS, {"_id": row["_id"], "step": row["step"]}, change)


async def climb_due(notices: Notices, still_wanted: StillWanted) -> int:
    """Take the next step on every page whose wait is over; how many pages it was."""
    rows = await notices.store.find(kept.LADDERS, {"next_at": {"$gte": 0, "$lte": notices.now.timestamp()}}, limit=200)
    for row in rows:
        notice = await notices.announcements.load(row["announcement"])
        if notice is not None and await still_wanted(target_of(notice, "")):
            mine = {"$set": {"next_at": (notices.now + LEASE).timestamp()}}
            if await notices.store.update(kept.LADDERS, {"_id": row["_id"], "next_at": row["next_at"]}, mine):
                await climb(notices, notice, row, still_wanted)
        else:
            await notices.store.update(kept.LADDERS, {"_id": row["_id"]}, {"$unset": {"next_at": ""}})
    return len(rows)


async def _without_evidence(notices: Notices, announcement: str, recipients: Sequence[str]) -> list[str]:
    items = {derived_id(announcement, who, "inbox"): who for who in recipients}
    calls = {derived_id(announcement, who, "call"): who for who in recipients}
    read = await notices.store.get_many(kept.INBOX, items, ["read_at"])
    spoken = await notices.store.get_many(kept.CALLS, calls, ["outcome"])
    known = {items[key] for key, row in read.items() if row.get("read_at") is not None}
    known |= {calls[key] for key, row in spoken.items() if row["outcome"] == "reached"}
    return [who for who in recipients if who not in known]


async def _tried(
    notices: Notices, announcement: str, people: Sequence[str], addresses: Mapping[str, Sequence[Doc]]
) -> dict[str, dict[str, list[str]]]:
    """By person and channel, the states of what was sent to the addresses that they have now."""
    claims: dict[str, tuple[str, str]] = {}
    for who in people:
        item = derived_id(announcement, who, "inbox")
        for row in addresses.get(who, ()):
            channel = kept.channel_of(row)
            claims[claim_of(item, row["_id"], channel)] = (who, channel)
    found: dict[str, dict[str, list[str]]] = {who: {} for who in people}
    for claim, sent in (await notices.store.get_many(kept.PUSHES, claims, ["state"])).items():
        who, channel = claims[claim]
        found[who].setdefault(channel, []).append(sent["state"])
    return found


# The board --------------------------------------------------------------------------------------------------------


async def _standings(notices: Notices, notice: Document) -> dict[str, str]:
    """Every recipient of a notice, each with one standing: their number is the audience's, whatever became of the sending."""
    read = {
        row["recipient"]
        for row in await notices.store.find(kept.INBOX, {"announcement": notice.id}, fields=["recipient", "read_at"])
        if row["read_at"] is not None
    }
    calls = {row["recipient"]: row["outcome"] for row in await kept.calls_of(notices.store, notice.id)}
    ladders = {row["page"]: row for row in await notices.store.find(kept.LADDERS, {"announcement": notice.id})}
    found: dict[str, str] = {}
    for page in range(notice.state.get("pages") or 0):
        row = ladders.get(page)
        # Nobody is called because of a notice that was recalled.
        wanted = row if notice.state["state"] != "recalled" else None
        done, top = (False, set()) if wanted is None else ("next_at" not in wanted, set(wanted["top"]))
        for who in await kept.frozen_page(notices.store, notice.state["frozen"], page):
            found[who] = standing(read=who in read, call=calls.get(who), at_the_top=done or who in top)
    return found


async def board(notices: Notices, principal: Principal, announcement: str) -> Doc:
    """How many are reached, waiting, to be called: their sum is the audience."""
    notice = await _the_emergency(notices, principal, announcement)
    standings = list((await _standings(notices, notice)).values())
    return {
        "id": notice.id,
        "state": notice.state["state"],
        "recipients": notice.state.get("recipients") or 0,
        **{name: standings.count(name) for name in STANDINGS},
        "as_of": wire_instant(notices.now),
    }


async def _the_emergency(notices: Notices, principal: Principal, announcement: str) -> Document:
    notice = await the_notice(notices, principal, announcement)
    if "frozen" not in notice.state:
        raise NotFound
    return notice


async def call_list(notices: Notices, principal: Principal, announcement: str) -> str:
    """Those whom a person must call, as CSV that no spreadsheet takes for formulas."""
    notice = await _the_emergency(notices, principal, announcement)
    people = [who for who, how in (await _standings(notices, notice)).items() if how == "to_call"]
    addresses = await kept.addresses_of(notices.store, people)
    preferences = await kept.preferences_of(notices.store, people)
    calls = {row["recipient"]: row for row in await kept.calls_of(notices.store, announcement)}
    sent: dict[str, list[str]] = {}
    for row in await kept.pushes_of(notices.store, announcement):
        if row.get("change"):
            continue
        sent.setdefault(row["recipient"], []).append(f"{kept.channel_of(row)}:{row['state']}")
    children = await _children(notices, people, notice.state["municipality"])
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for who in people:
        numbers = [row["address"] for row in addresses.get(who, ()) if kept.channel_of(row) == "sms"]
        told = [one["outcome"] for one in calls.get(who, {}).get("tries", ())]
        cells = (
            who,
            " ".join(_as_dialled(number) for number in numbers),
            preferences.get(who, {}).get("language", "ja"),
            " ".join(children.get(who, ())),
            " ".join(sorted(sent.get(who, ()))) or "none",
            " ".join(told),
        )
        writer.writerow([_cell(str(cell)) for cell in cells])
    return "\ufeff" + out.getvalue()


async def _children(notices: Notices, people: Sequence[str], town: str) -> dict[str, list[str]]:
    """The children and pregnancies in this town of each guardian, for the console to name."""
    found: dict[str, list[str]] = {}
    for start in range(0, len(people), IDS_PER_QUERY):
        for row in await kept.bonds_from(notices.store, people[start : start + IDS_PER_QUERY]):
            if row["municipality"] == town:
                found.setdefault(row["guardian"], []).append(row["of"])
    return found


def _as_dialled(number: str) -> str:
    parsed = phonenumbers.parse(number)
    kind = phonenumbers.PhoneNumberFormat.NATIONAL if parsed.country_code == 81 else phonenumbers.PhoneNumberFormat.E164
    return phonenumbers.format_number(parsed, kind)


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


async def note_call(notices: Notices, principal: Principal, announcement: str, recipient: str, outcome: str) -> Doc:
    """Somebody called: who was spoken to is reached."""
    notice = await _the_emergency(notices, principal, announcement)
    if outcome not in CALL_OUTCOMES:
        raise invalid("/outcome", "unknown", "選択肢にない値です。", "This outcome is not known.")
    if recipient not in await _standings(notices, notice):
        raise NotFound
    tried = {"at": wire_instant(notices.now), "by": principal.subject, "outcome": outcome}
    row_id = derived_id(announcement, recipient, "call")
    change: Doc = {
        "$set": {"announcement": announcement, "recipient": recipient, "outcome": outcome},
        "$push": {"tries": {"$each": [tried], "$slice": -20}},
    }
    while not await notices.store.update(kept.CALLS, {"_id": row_id}, change, upsert=True):
        pass  # its twin was inserted at the same moment: now it is there
    return {"recipient": recipient, "outcome": outcome}
