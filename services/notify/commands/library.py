"""The content library delivered on its day: an article for each family whose day it is, once, and nothing after a loss or a death."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import jsonschema
import yaml

from services.notify import store as kept
from services.notify.commands.announcements import Notices
from services.notify.commands.pushing import PushTarget
from services.notify.commands.words import WORDS
from services.notify.domain.audience import Family
from services.notify.domain.furigana import without_readings
from services.notify.domain.library import Article, articles_of, due_on, in_force
from shared.clock import tokyo_time
from shared.documents import Document, Documents
from shared.events.notify import MessageDelivered
from shared.problems import NotFound
from shared.store import Doc

FOLDER = Path(__file__).parents[1] / "content"
HOUR = 9
MOST_DAYS_BEHIND = 7
"""What was missed longer than this is no longer of its day and is not sent."""
REMEMBERED = 99


@dataclass(frozen=True, slots=True)
class Library:
    """What delivering needs: inboxes, the families as they are now, and the articles."""

    notices: Notices
    families: Documents
    pregnancies: Documents
    articles: tuple[Article, ...]


def load_articles(folder: Path = FOLDER) -> tuple[Article, ...]:
    """Every article in the folder. Raises for a file that does not fit its schema: the service does not start with it."""
    schema = jsonschema.Draft202012Validator(json.loads((folder / "content.schema.json").read_text(encoding="utf-8")))
    files = []
    for path in sorted(folder.glob("*.yaml")):
        file = yaml.safe_load(path.read_text(encoding="utf-8"))
        file["effective_from"] = str(file["effective_from"])
        schema.validate(file)
        files.append(file)
    return articles_of(files)


async def deliver_content(library: Library) -> int:
    """Deliver what is due up to today, from nine in the morning on; how many items it was. Any replica, any number of times."""
    notices = library.notices
    day = notices.today if notices.now >= tokyo_time(notices.today, HOUR) else notices.today - timedelta(days=1)
    last = await notices.store.get(kept.DAYS, "content")
    if last is not None and last["day"] >= day.isoformat():
        return 0
    first = day
    if last is not None:
        first = max(date.fromisoformat(last["day"]) + timedelta(days=1), day - timedelta(days=MOST_DAYS_BEHIND - 1))
    days = [first + timedelta(days=number) for number in range((day - first).days + 1)]
    current = {one: in_force(library.articles, one) for one in days}
    sent = 0
    async for pack in notices.store.each(kept.AUDIENCE, {}, batch=16):
        found = [
            (family, article)
            for family in kept.families_in(pack)
            for one in days
            for article in due_on(current[one], family, one)
        ]
        sent += await _deliver(library, found)
    # Only now: whoever dies before it begins anew, and finds what is there already.
    await notices.store.update(kept.DAYS, {"_id": "content"}, {"$max": {"day": day.isoformat()}}, upsert=True)
    return sent


async def _deliver(library: Library, found: Sequence[tuple[Family, Article]]) -> int:
    """Into the inboxes of those who are guardians now; a line may be older than the loss that emptied it."""
    if not found:
        return 0
    notices = library.notices
    ids = [family.child for family, _ in found]
    now = await library.families.load_many(ids) | await library.pregnancies.load_many(ids)
    items = [
        kept.inbox_item(
            f"{article.id}:{family.child}",
            guardian,
            notices.now,
            article=article.id,
            version=article.version,
            child=family.child,
            municipality=(doc.state.get("child") or doc.state["pregnancy"])["municipality"],
            title=article.texts["title"],
            body=article.texts["body"],
            links=article.texts["links"],
            cited=article.texts["source"],
        )
        for family, article in found
        if (doc := now.get(family.child)) is not None and not doc.state.get("silenced")
        for guardian in sorted(doc.state.get("guardians", {}))
    ]
    known = await notices.store.insert_many(kept.INBOX, items)
    for item in items:
        # Also those that were there: a process may have died between the item and the word of it.
        await _tell(notices, item)
    await _push(library, items)
    return len(items) - len(known)


async def _push(library: Library, items: Sequence[Doc]) -> None:
    """To the devices of those who want the library there; what comes by night lies in the inbox, which is soon enough."""
    notices = library.notices
    if notices.night.quiet_until(notices.now) is not None:
        return
    child_of = {item["_id"]: item["child"] for item in items}

    async def still_wanted(target: PushTarget) -> bool:
        child = child_of[target.item]
        doc = await library.families.load(child) or await library.pregnancies.load(child)
        return doc is not None and not doc.state.get("silenced") and target.recipient in doc.state.get("guardians", {})

    targets = [
        PushTarget(
            item=item["_id"],
            recipient=item["recipient"],
            urgency="info",
            titles=WORDS["article"],  # an article's own title would tell of a pregnancy or an age
            topic="library",
            municipality=item["municipality"],
        )
        for item in items
    ]
    await notices.pusher.push(targets, still_wanted)


async def _tell(notices: Notices, item: Doc) -> None:
    def decide(doc: Document) -> Doc:
        told: list[str] = doc.state.get("told", [])
        if item["_id"] not in told:
            doc.state["told"] = [*told[-REMEMBERED:], item["_id"]]
            event = MessageDelivered(
                item=item["_id"],
                article=item["article"],
                child=item["child"],
                municipality=item["municipality"],
                channel="inbox",
                urgency="info",
                title=without_readings(item["title"]),
                body=without_readings(item["body"]),
                delivered_at=notices.now,
            )
            doc.emit(event, notices.now, tenant=item["municipality"])
        return {}

    await notices.mailboxes.upsert(item["recipient"], decide)


def listed(library: Library) -> list[Doc]:
    """The articles in force, in the order of their days."""
    order = ("pregnancy_week", "week", "month")
    found = in_force(library.articles, library.notices.today)
    return [
        {
            "id": one.id,
            "library": one.library,
            "version": one.version,
            one.at[0]: one.at[1],
            "title": one.texts["title"],
        }
        for one in sorted(found, key=lambda one: (order.index(one.at[0]), one.at[1]))
    ]


def the_article(library: Library, article: str) -> Doc:
    """One article in force with its source; NotFound for any other."""
    for one in in_force(library.articles, library.notices.today):
        if one.id == article:
            return {"id": one.id, "library": one.library, "version": one.version, one.at[0]: one.at[1], **one.texts}
    raise NotFound
