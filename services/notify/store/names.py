"""The names of notify's collections, and the indexes that its own queries ask for."""

from datetime import UTC, datetime

from shared.clock import wire_instant
from shared.store import Store

ANNOUNCEMENTS = "announcements"
RECIPIENTS = "recipients"
INBOX = "inbox"
MAILBOXES = "mailboxes"
PAGES = "pages"
SCHEDULED = "scheduled"
FAMILIES = "families"
PREGNANCIES = "pregnancies"
AUDIENCE = "audience"
BONDS = "bonds"
CONTACTS = "contacts"
SUBSCRIPTIONS = "subscriptions"
PUSHES = "pushes"
WAITING = "waiting"
ATTACHMENTS = "attachments"
TOWNS = "towns"
CALENDARS = "calendars"
PREFERENCES = "preferences"
DAYS = "days"
SAFETY = "safety"
COMPLETIONS = "completions"
ROSTERS = "rosters"
ALARMS = "alarms"
SHELTERS = "shelters"
PROOFS = "proofs"
LADDERS = "ladders"
CALLS = "calls"
LATER = "later"
DIGESTS = "digests"


async def ensure_indexes(store: Store) -> None:
    """The indexes that notify's own queries ask for."""
    await store.ensure_index(INBOX, ["recipient"])
    await store.ensure_index(INBOX, ["announcement"])
    await store.ensure_index(SCHEDULED, ["at"])
    await store.ensure_index(WAITING, ["at"])
    await store.ensure_index(SUBSCRIPTIONS, ["recipient"])
    await store.ensure_index(SUBSCRIPTIONS, ["device"])
    await store.ensure_index(PROOFS, ["recipient"])
    await store.ensure_index(LADDERS, ["announcement"])
    await store.ensure_index(LADDERS, ["next_at"], where={"next_at": {"$gte": 0}})
    await store.ensure_index(CALLS, ["announcement"])
    await store.ensure_index(LATER, ["at"])
    await store.ensure_index(DIGESTS, ["at"])
    await store.ensure_index(PROOFS, ["device"])
    await store.ensure_index(PUSHES, ["announcement", "recipient"])
    await store.ensure_index(CALENDARS, ["guardian"])
    await store.ensure_index(ALARMS, ["state.climbs_at"])
    await store.ensure_index(ALARMS, ["state.municipality"])
    await store.ensure_index(COMPLETIONS, ["staff"])
    await store.ensure_index(COMPLETIONS, ["municipality"])
    await store.ensure_index(SAFETY, ["announcement"])
    await store.ensure_index(SHELTERS, ["municipality"])
    await store.ensure_index(PUSHES, ["tell"], where={"tell": {"$gte": 0}})
    await store.ensure_index(ANNOUNCEMENTS, ["state.municipality"])
    await store.ensure_index(ANNOUNCEMENTS, ["state.as_of"])


def instant(seconds: float) -> str:
    """An instant as answers carry it."""
    return wire_instant(datetime.fromtimestamp(seconds, UTC))
