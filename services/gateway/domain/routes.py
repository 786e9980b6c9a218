"""Every route of the public API in one table: what it does, to what, and who owns it. No row, no way in.

The door (api/door.py) looks every request up here before anything else happens; the app does not start when a route
has no row, or a row has no route, or an action of a row is unknown to the policy.

    action   what the policy (policy/*.cedar) is asked about; `open` asks nobody
    thing    child     the child at `at`: `path:child`, `body:child` or `query:patient`
             town      the municipality at `path:code`
             owned     something whose owner knows whose it is (response, announcement): the owner decides, after the role
             own       the caller's own things (inbox, list of children)
             registry  nothing in particular (open a record, publish a notice)
    owner    the service that answers; the gateway itself when there is none
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

Thing = Literal["child", "town", "owned", "own", "registry", "open"]
SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}"
"""What an id in a path looks like. A path with anything else is not there."""


PHOTOS = ("image/jpeg", "image/png", "image/webp", "image/heic", "image/heif")
TABLES = ("text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")


@dataclass(frozen=True)
class Route:
    """One row: method and path, and what the door has to do."""

    method: str
    path: str
    action: str
    thing: Thing
    at: str = ""
    owner: str | None = None
    creates: bool = False
    """Needs an Idempotency-Key."""
    relates: bool = False
    """Changes who is related to a child: answered when the gateway's own view knows it."""
    revokes: bool = False
    """Takes a permission away: never acknowledged before it is in force here (G12)."""
    guarded: bool = False
    """Failed attempts are counted against guessing."""
    development: bool = False
    accepts: tuple[str, ...] = ("application/json",)
    """What its body may be."""
    max_body: int = 0
    """Bytes of a body, where it is larger than the setting allows for others."""
    beside: bool = False
    """`?beside=` names further children, each of whom the caller must be allowed to do the same with."""
    within_s: float = 10.0
    """In which time the body has to be here, and then the owner's answer."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches its paths, names what varies."""
        parts = re.split(r"\{([a-z_]+)\}", self.path)
        return re.compile(
            "".join(f"(?P<{part}>{SEGMENT})" if place % 2 else re.escape(part) for place, part in enumerate(parts))
        )


def _child(method: str, path: str, action: str, owner: str | None = None, **options: Any) -> Route:
    return Route(method, f"/v1/children/{{child}}{path}", action, "child", "path:child", owner, **options)


def _pregnancy(method: str, path: str, action: str, owner: str = "records", **options: Any) -> Route:
    return Route(method, f"/v1/pregnancies/{{pregnancy}}{path}", action, "owned", owner=owner, **options)


ROUTES: tuple[Route, ...] = (
    # Children and what is recorded of them
    Route("POST", "/v1/children", "registerChild", "registry", owner="records", creates=True, relates=True),
    Route("GET", "/v1/children", "listChildren", "own"),
    _child("GET", "", "readChild"),
    _child("PUT", "", "correctChild", "records"),
    _child("POST", "/doses", "recordDose", "records", creates=True),
    _child("PUT", "/doses/{dose}", "changeDose", "records"),
    _child("POST", "/doses/{dose}/retraction", "changeDose", "records", creates=True),
    _child("POST", "/checkups", "recordCheckup", "records", creates=True),
    _child("PUT", "/checkups/{checkup}", "changeCheckup", "records"),
    _child("POST", "/checkups/{checkup}/retraction", "changeCheckup", "records", creates=True),
    _child("POST", "/growth", "measureGrowth", "records", creates=True),
    _child("PUT", "/growth/{measurement}", "measureGrowth", "records"),
    _child("POST", "/growth/{measurement}/retraction", "measureGrowth", "records", creates=True),
    _child("GET", "/growth", "readGrowth", "records"),
    _child("GET", "/growth.svg", "readGrowth", "records", beside=True),
    _child("POST", "/conditions", "recordCondition", "records", creates=True),
    _child("POST", "/conditions/{condition}/retraction", "changeCondition", "records", creates=True),
    _child("POST", "/reactions", "recordCondition", "records", creates=True),
    _child("PUT", "/reactions/{reaction}", "changeCondition", "records"),
    _child("POST", "/reactions/{reaction}/retraction", "changeCondition", "records", creates=True),
    _child("POST", "/allergies", "recordCondition", "records", creates=True),
    _child("POST", "/allergies/{allergy}/retraction", "changeCondition", "records", creates=True),
    _child("POST", "/milestones", "measureGrowth", "records", creates=True),
    _child("POST", "/milestones/{milestone}/retraction", "measureGrowth", "records", creates=True),
    _child("POST", "/death", "tellDeath", "records", creates=True),
    _child("POST", "/death/retraction", "tellDeath", "records", creates=True),
    _child("GET", "/history", "readHistory", "records"),
    _child("GET", "/accesses", "readAccesses"),
    _child("GET", "/kept", "readKept"),
    # Family, consent, residence
    _child("POST", "/guardian-codes", "issueGuardianCodes", "records", creates=True),
    Route(
        "POST",
        "/v1/guardian-links",
        "linkGuardian",
        "registry",
        owner="records",
        creates=True,
        relates=True,
        guarded=True,
    ),
    _child("GET", "/family", "readFamily"),
    _child("POST", "/invitations", "inviteFamily", "records", creates=True),
    _child("DELETE", "/grants/{grant}", "revokeAccess", "records", relates=True, revokes=True),
    _child(
        "POST",
        "/guardians/{guardian}/removal",
        "changeGuardians",
        "records",
        creates=True,
        relates=True,
        revokes=True,
    ),
    _child("PUT", "/cut-offs/{guardian}", "cutOffGuardian", "records", relates=True, revokes=True),
    _child("DELETE", "/cut-offs/{guardian}", "cutOffGuardian", "records", relates=True),
    _child("PUT", "/consents/{organisation}", "giveConsent", "records", relates=True),
    _child("DELETE", "/consents/{organisation}", "withdrawConsent", "records", relates=True, revokes=True),
    _child("POST", "/move", "moveChild", "records", creates=True, relates=True),
    _child("POST", "/move/confirmation", "confirmMove", "records", creates=True, relates=True),
    _child("POST", "/move/cancellation", "cancelMove", "records", creates=True, relates=True),
    Route("GET", "/v1/municipalities/{code}/arrivals", "readArrivals", "town", "path:code"),
    _child("POST", "/stays", "stayElsewhere", "records", creates=True, relates=True),
    _child("POST", "/stays/{stay}/end", "stayElsewhere", "records", creates=True, relates=True, revokes=True),
    # The diary
    _child("POST", "/diary", "writeDiary", "records", creates=True),
    _child("GET", "/diary", "readDiary", "records"),
    _child("GET", "/diary/{entry}", "readDiary", "records"),
    _child("PUT", "/diary/{entry}", "writeDiary", "records"),
    _child("DELETE", "/diary/{entry}", "writeDiary", "records"),
    _child(
        "POST",
        "/diary/{entry}/photos",
        "writeDiary",
        "records",
        creates=True,
        accepts=PHOTOS,
        max_body=15_000_000,
        within_s=60.0,
    ),
    _child("GET", "/diary/{entry}/photos/{photo}", "readDiary", "records"),
    _child("DELETE", "/diary/{entry}/photos/{photo}", "writeDiary", "records"),
    # Records that may be of one child
    Route("GET", "/v1/municipalities/{code}/duplicates", "mergeResidents", "town", "path:code", "records"),
    Route(
        "POST",
        "/v1/municipalities/{code}/duplicates/{pair}/dismissal",
        "mergeResidents",
        "town",
        "path:code",
        "records",
        creates=True,
    ),
    _child("POST", "/merges", "mergeChildren", "records", creates=True, relates=True),
    _child("POST", "/merges/{other}/undo", "mergeChildren", "records", creates=True, relates=True),
    _child("GET", "/handbook", "exportHandbook", "records", within_s=30.0),
    Route("GET", "/v1/handbook-keys", "readDirectory", "registry", owner="records"),
    # Pregnancies: the owner knows whose
    Route("POST", "/v1/pregnancies", "notifyPregnancy", "registry", owner="records", creates=True),
    Route("GET", "/v1/pregnancies", "listPregnancies", "own", owner="records"),
    _pregnancy("GET", "", "treatPregnancy"),
    _pregnancy("POST", "/confirmation", "confirmPregnancy", creates=True),
    _pregnancy("POST", "/move", "followPregnancy", creates=True),
    _pregnancy("POST", "/move/cancellation", "followPregnancy", creates=True),
    _pregnancy("PUT", "/consents/{organisation}", "lendPregnancy"),
    _pregnancy("DELETE", "/consents/{organisation}", "lendPregnancy"),
    _pregnancy("POST", "/expected-delivery", "followPregnancy", creates=True),
    _pregnancy("POST", "/checkups", "treatPregnancy", creates=True),
    _pregnancy("POST", "/doses", "treatPregnancy", creates=True),
    _pregnancy("POST", "/outcome", "followPregnancy", creates=True),
    _pregnancy("POST", "/checkups/{checkup}/correction", "treatPregnancy", creates=True),
    _pregnancy("POST", "/checkups/{checkup}/retraction", "treatPregnancy", creates=True),
    _pregnancy("POST", "/doses/{dose}/correction", "treatPregnancy", creates=True),
    _pregnancy("POST", "/doses/{dose}/retraction", "treatPregnancy", creates=True),
    _pregnancy("POST", "/outcome/retraction", "followPregnancy", creates=True),
    _pregnancy("GET", "/plan", "followPregnancy", owner="schedule"),
    # The plan
    _child("GET", "/plan", "readPlan"),
    _child("GET", "/catch-up", "readPlan", "schedule"),
    _child("GET", "/reminders", "readReminders"),
    Route("POST", "/v1/pre-checks", "preCheck", "child", "body:child", "schedule", creates=True),
    Route("GET", "/v1/municipalities/{code}/not-yet", "readNotYet", "town", "path:code", "schedule"),
    Route("GET", "/v1/municipalities/{code}/coverage", "readNotYet", "town", "path:code", "schedule"),
    Route("PUT", "/v1/municipalities/{code}/follow-ups/{follow_up}", "changeFollowUp", "town", "path:code", "schedule"),
    Route(
        "POST",
        "/v1/municipalities/{code}/imports",
        "importRecords",
        "town",
        "path:code",
        "records",
        creates=True,
        accepts=TABLES,
        max_body=20_000_000,
        within_s=60.0,
    ),
    Route("GET", "/v1/municipalities/{code}/imports", "importRecords", "town", "path:code", "records"),
    Route("GET", "/v1/municipalities/{code}/imports/{batch}", "importRecords", "town", "path:code", "records"),
    Route("GET", "/v1/municipalities/{code}/imports/{batch}/rows", "importRecords", "town", "path:code", "records"),
    Route(
        "POST",
        "/v1/municipalities/{code}/imports/{batch}/undo",
        "importRecords",
        "town",
        "path:code",
        "records",
        creates=True,
    ),
    Route("POST", "/v1/lot-recalls", "recallLot", "registry", owner="schedule", creates=True),
    # Questionnaires
    Route("GET", "/v1/forms", "readForms", "registry", owner="questionnaire"),
    Route("GET", "/v1/forms/{form}", "readForms", "registry", owner="questionnaire"),
    Route("POST", "/v1/responses", "beginResponse", "child", "body:child", "questionnaire", creates=True),
    Route("GET", "/v1/responses/{response}", "readResponse", "owned", owner="questionnaire"),
    Route("PUT", "/v1/responses/{response}", "writeResponse", "owned", owner="questionnaire"),
    Route("POST", "/v1/responses/{response}/submission", "submitResponse", "owned", owner="questionnaire"),
    Route("POST", "/v1/responses/{response}/withdrawal", "withdrawResponse", "owned", owner="questionnaire"),
    Route("POST", "/v1/responses/{response}/decision", "decideResponse", "owned", owner="questionnaire"),
    _child("GET", "/responses", "readResponses", "questionnaire"),
    # Messages
    Route("POST", "/v1/announcements/preview", "announce", "registry", owner="notify"),
    Route("POST", "/v1/announcements", "announce", "registry", owner="notify", creates=True),
    Route("GET", "/v1/announcements", "listAnnouncements", "registry", owner="notify"),
    Route("POST", "/v1/attachments", "announce", "registry", owner="notify", creates=True),
    Route("GET", "/v1/announcements/{announcement}", "readAnnouncement", "owned", owner="notify"),
    Route("POST", "/v1/announcements/{announcement}/approval", "approveAnnouncement", "owned", owner="notify"),
    Route("POST", "/v1/announcements/{announcement}/break-glass", "breakGlass", "owned", owner="notify"),
    Route(
        "GET",
        "/v1/announcements/{announcement}/attachments/{attachment}",
        "readAttachment",
        "owned",
        owner="notify",
    ),
    Route("PUT", "/v1/announcements/{announcement}", "changeAnnouncement", "owned", owner="notify"),
    Route("POST", "/v1/announcements/{announcement}/recall", "changeAnnouncement", "owned", owner="notify"),
    Route("GET", "/v1/announcements/{announcement}/deliveries", "readDeliveries", "owned", owner="notify"),
    Route("GET", "/v1/inbox", "readInbox", "own", owner="notify"),
    Route("POST", "/v1/inbox/{item}/read", "readInbox", "own", owner="notify"),
    Route("GET", "/v1/push-key", "subscribeToPush", "own", owner="notify"),
    Route("PUT", "/v1/push-subscriptions/{subscription}", "subscribeToPush", "own", owner="notify"),
    Route("DELETE", "/v1/push-subscriptions/{subscription}", "subscribeToPush", "own", owner="notify"),
    # Disasters
    Route("POST", "/v1/inbox/{item}/safety", "reportSafety", "own", owner="notify"),
    Route("POST", "/v1/announcements/{announcement}/safety", "reportFound", "owned", owner="notify"),
    Route("GET", "/v1/announcements/{announcement}/safety", "readSafety", "owned", owner="notify"),
    Route("PUT", "/v1/municipalities/{code}/shelters/{shelter}", "changeShelters", "town", "path:code", "notify"),
    Route("GET", "/v1/municipalities/{code}/shelters", "readShelters", "registry", owner="notify"),
    # Duty
    Route("PUT", "/v1/municipalities/{code}/duty-roster", "changeDutyRoster", "town", "path:code", "notify"),
    Route("GET", "/v1/municipalities/{code}/duty-roster", "readDutyRoster", "town", "path:code", "notify"),
    Route("POST", "/v1/alarms", "raiseAlarm", "registry", owner="notify", creates=True),
    Route("GET", "/v1/alarms", "readAlarms", "registry", owner="notify"),
    Route("POST", "/v1/alarms/{alarm}/acknowledgement", "takeAlarm", "owned", owner="notify"),
    Route("GET", "/v1/library", "readLibrary", "registry", owner="notify"),
    Route("GET", "/v1/library/{article}", "readLibrary", "registry", owner="notify"),
    Route("POST", "/v1/calendar-feed", "ownCalendar", "own", owner="notify", creates=True),
    Route("DELETE", "/v1/calendar-feed", "ownCalendar", "own", owner="notify"),
    # Calendar programs cannot sign in: whoever knows the secret address reads.
    Route("GET", "/v1/calendars/{feed}", "open", "open", owner="notify"),
    Route("GET", "/v1/announcements/{announcement}/board", "readDeliveries", "owned", owner="notify"),
    Route("GET", "/v1/announcements/{announcement}/call-list", "readDeliveries", "owned", owner="notify"),
    Route("PUT", "/v1/announcements/{announcement}/calls/{recipient}", "noteCall", "owned", owner="notify"),
    Route(
        "POST",
        "/v1/announcements/{announcement}/deliveries/repeat",
        "repeatDeliveries",
        "owned",
        owner="notify",
        creates=True,
    ),
    Route("GET", "/v1/contacts", "chooseChannels", "own", owner="notify"),
    Route("PUT", "/v1/contacts/{contact}", "chooseChannels", "own", owner="notify"),
    Route("POST", "/v1/contacts/{contact}/proof", "chooseChannels", "own", owner="notify", guarded=True),
    Route("DELETE", "/v1/contacts/{contact}", "chooseChannels", "own", owner="notify"),
    Route("GET", "/v1/preferences", "chooseChannels", "own", owner="notify"),
    Route("PUT", "/v1/preferences", "chooseChannels", "own", owner="notify"),
    # A mail program's one click (RFC 8058): whoever has the mail may stop the mails.
    Route("GET", "/v1/unsubscriptions/{token}", "open", "open", owner="notify"),
    Route("POST", "/v1/unsubscriptions/{token}", "open", "open", owner="notify"),
    Route("PUT", "/v1/devices/{device}", "subscribeToPush", "own", owner="notify"),
    Route("DELETE", "/v1/devices/{device}", "subscribeToPush", "own", owner="notify"),
    Route("GET", "/v1/events", "followEvents", "own"),
    # Organisations
    Route("POST", "/v1/municipalities", "openOrganisation", "registry", creates=True),
    Route("POST", "/v1/clinics", "openOrganisation", "registry", creates=True),
    Route("POST", "/v1/staff", "openOrganisation", "registry", creates=True),
    Route("POST", "/v1/municipalities/{code}/credentials", "openOrganisation", "registry", creates=True),
    Route("POST", "/v1/clinics/{clinic}/credentials", "openOrganisation", "registry", creates=True),
    Route("GET", "/v1/municipalities", "readDirectory", "registry"),
    Route("GET", "/v1/clinics", "readDirectory", "registry"),
    Route("GET", "/v1/municipalities/{code}/places", "readDirectory", "registry"),
    Route("PUT", "/v1/municipalities/{code}/places/{place}", "changePlaces", "town", "path:code"),
    Route("DELETE", "/v1/municipalities/{code}/places/{place}", "changePlaces", "town", "path:code"),
    # Training of staff
    Route("GET", "/v1/training", "learn", "own", owner="notify"),
    Route("POST", "/v1/training/{course}/completions", "learn", "own", owner="notify"),
    Route("GET", "/v1/municipalities/{code}/training", "readTraining", "town", "path:code", "notify"),
    # FHIR R4
    Route("GET", "/fhir/R4/metadata", "open", "open"),
    Route("GET", "/fhir/R4/Patient/{child}", "readFhir", "child", "path:child"),
    Route("GET", "/fhir/R4/Patient", "searchFhir", "own"),
    Route("GET", "/fhir/R4/Immunization/{immunization}", "searchFhir", "own"),
    Route("GET", "/fhir/R4/Immunization", "readFhir", "child", "query:patient"),
    Route("GET", "/fhir/R4/ImmunizationRecommendation", "readFhir", "child", "query:patient"),
    Route("GET", "/fhir/R4/Observation", "readFhir", "child", "query:patient"),
    # The door itself
    Route("GET", "/openapi.json", "open", "open"),
    Route("GET", "/docs", "open", "open"),
    Route("GET", "/docs/{file}", "open", "open"),
    Route("GET", "/.well-known/jwks.json", "open", "open"),
    Route("GET", "/internal/events", "open", "open"),
    Route("GET", "/internal/heads", "open", "open"),
    Route("POST", "/dev/token", "open", "open", development=True),
    Route("PUT", "/dev/clock", "open", "open", development=True),
)


class RoutesAndPolicyDiffer(Exception):
    """A route without a row, a row without a route, or an action that no policy knows: the app does not start."""


class Table:
    """The rows of this deployment, found by method and path."""

    def __init__(self, *, development: bool, rows: Iterable[Route] = ROUTES) -> None:
        self.rows = tuple(row for row in rows if development or not row.development)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | set[str]:
        """(row, what varies in the path), or the methods that this path has: none when it is not there."""
        allowed: set[str] = set()
        for row in self.rows:
            found = row.pattern.fullmatch(path)
            if found is None:
                continue
            if row.method == method:
                return row, found.groupdict()
            allowed.add(row.method)
        return allowed

    def larger_body(self, method: str, path: str) -> int:
        """How many bytes this request may have when that is more than the setting; 0 when it is not."""
        found = self.find(method, path)
        return found[0].max_body if isinstance(found, tuple) else 0

    def check(self, routes: Iterable[tuple[str, str]], actions: Iterable[str]) -> None:
        """Raise RoutesAndPolicyDiffer unless rows and routes are the same and the policy knows every action."""
        rows = {(row.method, _nameless(row.path)) for row in self.rows}
        given = {(method, _nameless(path)) for method, path in routes}
        unknown = {row.action for row in self.rows} - {*actions, "open"}
        problems = [f"{method} {path} has no row" for method, path in sorted(given - rows)]
        problems += [f"{method} {path} has no route" for method, path in sorted(rows - given)]
        problems += [f"no policy knows the action {action}" for action in sorted(unknown)]
        problems += [
            f"{row.method} {row.path} is about a {row.thing} and does not say which"
            for row in self.rows
            if (row.thing in {"child", "town"}) != bool(row.at)
        ]
        if problems:
            raise RoutesAndPolicyDiffer("; ".join(problems))


def _nameless(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)
