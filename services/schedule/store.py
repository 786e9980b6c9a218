"""Documents and domain objects of schedule; the only file that names its collections.

Primary (never rebuilt): the parts `reminders`, `follow_ups` and `told` of `plans`, and `lots`.
Views (rebuilt from the owners' history): the rest of `plans`, `consents`, and the derived rows `due`, `reminder_times`, `families`, `residents`.
"""

import zlib
from datetime import UTC, date, datetime

from services.schedule.domain.coverage import FollowUpState, may_close_first
from services.schedule.domain.history import Allergy, CheckupDone, DoseGiven, History, Observation, Reaction
from services.schedule.domain.plan_items import OPEN, Plan, PlanItem
from services.schedule.domain.verdicts import Because, Cited, Sentence
from shared.clock import read_instant
from shared.documents import Document
from shared.ids import derived_id
from shared.outbox import PARKED_FROM
from shared.store import Doc, Store
from shared.views import Derived

PLANS = "plans"
LOTS = "lots"
CONSENTS = "consents"
DUE = "due"
REMINDER_TIMES = "reminder_times"
FAMILIES = "families"
RESIDENTS = "residents"
CHILD_CONSENTS = "child_consents"
DAYS = "days"
BUCKETS = 16
AS_TEXT = frozenset({"plan"})
"""The plan is only ever read and written whole: as one text it costs the store a third (ADR 76)."""
COUNTED = tuple(
    f"state.{part}"
    for part in (
        *("child", "doses", "conditions", "allergies", "reactions", "checkups", "silenced", "cut_off"),
        *("plan_digest", "reminders", "told"),
    )
)
"""What a recount reads of a document, and in place of the plan, nine tenths of it, the plan's digest."""
UNFINISHED = {"pending": {"$gte": 0, "$lt": PARKED_FROM}}
"""By the one index of documents; a parked document whose rows are not written is among them."""
NEVER = 253_402_300_799_000
"""The end of the year 9999: a row that waits for nothing stays out of every search."""


def day(text: str | None) -> date | None:
    """A civil day as stored, or None."""
    return date.fromisoformat(text) if text else None


def is_known(state: Doc) -> bool:
    """Whether there is a child: of a record that was merged away or retracted nothing but its town is left."""
    return "birth_date" in state.get("child", ())


def history_of(state: Doc, *, of_no_town: bool = False) -> History:
    """What the rules need to know of a child, from its plan document; `of_no_town`: as if it lived in none."""
    child = state["child"]
    return History(
        birth_date=day(child["birth_date"]),
        sex=child["sex"],
        doses=tuple(
            DoseGiven(
                id=dose_id,
                given_on=date.fromisoformat(dose["given_on"]),
                code=dose["code"],
                product=dose.get("product"),
                lot=dose.get("lot"),
                expires_on=day(dose.get("expires_on")),
                provenance=dose["provenance"],
            )
            for dose_id, dose in sorted(state.get("doses", {}).items(), key=lambda item: (item[1]["given_on"], item[0]))
            if not dose.get("superseded_by")
        ),
        observations=tuple(
            Observation(code=one["code"], on=day(one.get("since")))
            for _, one in sorted(state.get("conditions", {}).items())
        ),
        allergies=tuple(
            Allergy(one["substance"], one["grave"], one["sure"])
            for _, one in sorted(state.get("allergies", {}).items())
        ),
        reactions=tuple(
            Reaction(
                one["symptom"],
                state["doses"][one["dose"]]["code"],
                date.fromisoformat(state["doses"][one["dose"]]["given_on"]),
                date.fromisoformat(one["began_on"]),
                one["sure"],
            )
            for _, one in sorted(state.get("reactions", {}).items())
            # Of a dose that was withdrawn meanwhile nothing follows.
            if one["dose"] in state.get("doses", {})
        ),
        municipality=None if of_no_town else child["municipality"],
        gestation_days=child.get("gestation_days"),
        expected_delivery=day(child.get("expected_delivery")),
        # Stored before there was a day of its own: the expected day was overwritten by that of the birth.
        delivered_on=day(child.get("delivered_on") or (child.get("expected_delivery") if child.get("born") else None)),
        checkups=tuple(
            CheckupDone(kind=one["kind"], on=date.fromisoformat(one["done_on"]))
            for _, one in sorted(state.get("checkups", {}).items())
        ),
    )


def is_pregnancy(state: Doc) -> bool:
    """Whether the plan is a pregnant woman's: no child of the town yet, and nobody's sibling."""
    return bool(state.get("child", {}).get("expected_delivery"))


def follow_up_id(child: str, series: str, dose_number: int) -> str:
    """The id of a line of the not-yet list."""
    return derived_id("follow-up", child, series, str(dose_number))


def follow_up(doc: Document, series: str, dose_number: int) -> tuple[FollowUpState, str | None]:
    """How far the child's town is with a line, and whose it is; what another town did before a move is not its own."""
    known = doc.state.get("follow_ups", {}).get(follow_up_id(doc.id, series, dose_number))
    here = doc.state["child"]["municipality"]
    if known is None or known.get("municipality", here) != here:
        return "unseen", None
    return known["state"], known["responsible"]


def due_rows(doc: Document) -> dict[str, Doc]:
    """The lines of the not-yet list (未受診者) that this child stands on, with who follows each up.

    What is not due yet has a row where its window may begin to close first: that day comes without a new plan.
    """
    state = doc.state
    if state.get("silenced") or "plan" not in state or is_pregnancy(state):
        return {}
    rows: dict[str, Doc] = {}
    for item in state["plan"]["items"]:
        waits = item["status"] in {"due", "overdue"} or (
            item["status"] in OPEN and may_close_first(day(item.get("recommended")), day(item.get("free_until")))
        )
        if not waits or not item.get("earliest"):
            continue
        row_id = follow_up_id(doc.id, item["series"], item["dose_number"])
        follow_up_state, responsible = follow_up(doc, item["series"], item["dose_number"])
        rows[row_id] = {
            "child": doc.id,
            "municipality": state["child"]["municipality"],
            "kind": "checkup" if item["series"].startswith("checkup_") else "dose",
            "series": item["series"],
            "dose_number": item["dose_number"],
            "earliest": item["earliest"],
            "recommended": item.get("recommended"),
            "overdue_from": item.get("overdue_from"),
            "free_until": item.get("free_until"),
            "state": follow_up_state,
            "responsible": responsible,
        }
    return rows


def reminder_rows(doc: Document) -> dict[str, Doc]:
    """When this child's next reminder is due, in a bucket of which any worker can take care (protocol D4)."""
    armed = [one["fires_at"] for one in doc.state.get("reminders", {}).values() if one["state"] == "armed"]
    bucket = zlib.crc32(doc.id.encode()) % BUCKETS
    return {doc.id: {"child": doc.id, "bucket": bucket, "fires_at": _milliseconds(min(armed)) if armed else NEVER}}


def resident_rows(doc: Document) -> dict[str, Doc]:
    """The town that counts this child."""
    if "child" not in doc.state or doc.state.get("silenced") or is_pregnancy(doc.state):
        return {}
    return {doc.id: {"municipality": doc.state["child"]["municipality"]}}


def stored_plan(state: Doc) -> Plan:
    """The plan as it stands in the document, for counting; reasons stay behind."""
    plan = state["plan"]
    items = tuple(
        PlanItem(
            series=item["series"],
            dose_number=item["dose_number"],
            status=item["status"],
            earliest=day(item.get("earliest")),
            recommended=day(item.get("recommended")),
            overdue_from=day(item.get("overdue_from")),
            free_until=day(item.get("free_until")),
            latest=day(item.get("latest")),
            vaccines=tuple(item["vaccines"]),
            why=Because(Cited(item["why"]["rule"], "", ""), Sentence("", "")),
        )
        for item in plan["items"]
    )
    return Plan(plan["rule_set"], date.fromisoformat(plan["as_of"]), items, (), {})


def households(state: Doc) -> list[str]:
    """The guardians through whom a child has siblings; one from whom it is hidden leads nobody to it."""
    hidden = state.get("cut_off", ())
    return [guardian for guardian in state.get("guardians", ()) if guardian not in hidden]


def family_rows(doc: Document) -> dict[str, Doc]:
    """Which guardians this child has: how siblings find each other."""
    if is_pregnancy(doc.state):
        return {}
    return {f"{guardian}:{doc.id}": {"guardian": guardian, "child": doc.id} for guardian in households(doc.state)}


def consent_rows(doc: Document) -> dict[str, Doc]:
    """The decision on one vaccination, found by the child."""
    if not doc.state.get("child"):
        return {}
    return {
        doc.id: {"child": doc.state["child"], "vaccine": doc.state.get("vaccine"), "consent": doc.state.get("consent")}
    }


PLAN_DERIVED = (
    Derived(DUE, due_rows, (("municipality", "kind"),)),
    Derived(REMINDER_TIMES, reminder_rows, (("bucket", "fires_at"),)),
    Derived(FAMILIES, family_rows, (("guardian",),)),
    Derived(RESIDENTS, resident_rows, (("municipality",),)),
)
CONSENT_DERIVED = (Derived(CHILD_CONSENTS, consent_rows, (("child",),)),)


async def in_bucket(store: Store, bucket: int) -> list[str]:
    """The children of a bucket: every plan document has its row there as soon as its derived rows are written."""
    return [row["child"] for row in await store.find(REMINDER_TIMES, {"bucket": bucket}, fields=["child"])]


async def without_rows(store: Store) -> list[str]:
    """The documents whose writer died, or is at work, between their commit and their derived rows."""
    rows = await store.find(PLANS, UNFINISHED, fields=["derive_at"])
    return [row["_id"] for row in rows if row.get("derive_at")]


def _milliseconds(instant: str) -> int:
    return int(read_instant(instant).timestamp() * 1000)


def milliseconds(instant: datetime) -> int:
    """As reminder times are stored."""
    return int(instant.astimezone(UTC).timestamp() * 1000)


def stream_marks(doc: Document) -> dict[str, int]:
    """What the plan was built from: `stream:subject` -> revision."""
    return {name.replace("/", "."): revision for name, revision in sorted(doc.applied.items())}
