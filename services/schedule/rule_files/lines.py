"""Builds the lines of a rule set (counts of doses with their law) from what the files say."""

from typing import Any

from services.schedule.domain.rule_set import (
    AfterLine,
    Apart,
    AtMost,
    Course,
    DoseRule,
    Excluded,
    Free,
    Line,
    Offer,
    OneMaker,
    Season,
    Shorter,
    StandardInterval,
    Takes,
)
from services.schedule.rule_files.reading import (
    Doc,
    Place,
    between,
    cited,
    effective,
    maybe_between,
    maybe_point,
    ordinal,
    point,
    sentence,
)

GRACE = 4
"""Days by which an age or interval may fall short and the dose still counts (immunologically; CDC, ACIP General Best
Practice Guidelines). It is not given for intervals below four weeks; the law knows no such grace."""

_FOUR_WEEKS = 27


def line_of(place: Place, doc: Doc) -> Line:
    """A line with its courses and free windows."""
    still_free = {code for one in doc["free"] if one["effective_to"] is None for code in one["vaccines"]}
    courses = tuple(course_of(place.of(one), one, still_free) for one in doc["courses"])
    return Line(
        code=doc["line"],
        names=sentence(doc["name"]),
        voluntary=doc["category"] == "voluntary",
        mother=doc.get("person") == "mother",
        sex=doc.get("sex"),
        first=maybe_point(place, "from", doc),
        free=tuple(free_of(place.of(one), one) for one in doc["free"]),
        counts_from=point(place, "counts_from", doc["counts_from"]),
        counting_grace=0 if doc.get("counts_from_is_exact") or " + " in doc["counts_from"] else GRACE,
        medical_end=bool(doc.get("last_day_is_medical")),
        courses=courses,
        takes={
            code: Takes(maybe_point(place, "from", one), maybe_point(place, "until", one))
            for code, one in doc.get("takes", {}).items()
        },
        more_go_to=doc.get("more_go_to"),
        too_young_is_voluntary=bool(doc.get("counts_from_is_exact")),
        more_only_at_its_ages=bool(doc.get("more_only_at_its_ages")),
        offers=tuple(
            Offer(
                cited(place.of(one), one),
                tuple(one["vaccines"]),
                frozenset(one["started"]) if "started" in one else None,
                maybe_point(place, "from", one),
                maybe_point(place, "until", one),
                ordinal(place, "effective_from", one["effective_from"]) if "effective_from" in one else 0,
            )
            for one in doc.get("offers", ())
        ),
        immune_if=frozenset(doc["immune_if"]["all_of"]) if "immune_if" in doc else frozenset(),
        excluded=tuple(Excluded(cited(place.of(one), one), one["observation"]) for one in doc.get("excluded", ())),
        **_single_rules(place, doc),
    )


def _single_rules(place: Place, doc: Doc) -> dict[str, Any]:
    """The rules of which a line has at most one."""
    rules: dict[str, Any] = {}
    if one := doc.get("at_most"):
        rules["at_most"] = AtMost(cited(place.of(one), one), one["doses"])
    if one := doc.get("one_maker"):
        rules["one_maker"] = OneMaker(cited(place.of(one), one), one["vaccine"])
    if one := doc.get("first_dose_by"):
        rules["first_dose_by"] = (cited(place.of(one), one), point(place.of(one), "day", one["day"]))
    if one := doc.get("same_product"):
        rules["same_product"] = cited(place.of(one), one)
    if one := doc.get("shorter_interval"):
        here = place.of(one)
        rules["shorter"] = Shorter(
            cited(here, one),
            one["observation"],
            between(here, "instead_of", one["instead_of"]),
            between(here, "at_least", one["at_least"]),
        )
    if one := doc.get("season"):
        first, last, turns = (_month_day(one[name]) for name in ("from", "to", "turns"))
        rules["season"] = Season(cited(place.of(one), one), first, last, turns)
    if one := doc.get("after_line"):
        here = place.of(one)
        rules["after_line"] = AfterLine(
            cited(here, one),
            one["line"],
            one["doses"],
            maybe_between(here, "at_least", one),
            bool(one.get("person_decides")),
        )
    return rules


def _month_day(text: str) -> tuple[int, int]:
    month, _, day = text.partition("-")
    return int(month), int(day)


def free_of(place: Place, doc: Doc, by_municipality: bool = False) -> Free:
    """One free window."""
    first, last = effective(place, doc)
    begun = doc.get("begun")
    return Free(
        rule=cited(place, doc),
        vaccines=frozenset(doc["vaccines"]),
        first=point(place, "from", doc["from"]),
        last=point(place, "to", doc["to"]),
        effective_from=first,
        effective_to=last,
        born_from=ordinal(place, "born_from", doc["born_from"]) if doc.get("born_from") else None,
        born_to=ordinal(place, "born_to", doc["born_to"]) if doc.get("born_to") else None,
        sex=doc.get("sex"),
        deemed=bool(doc.get("deemed")),
        by_municipality=by_municipality,
        observation=doc.get("observation"),
        begun=(ordinal(place, "begun.from", begun["from"]), ordinal(place, "begun.to", begun["to"])) if begun else None,
    )


def course_of(place: Place, doc: Doc, still_free: set[str]) -> Course:
    """One course with its doses; `still_free` are the vaccines of the line whose windows have no end."""
    first, last = effective(place, doc)
    only_if = doc.get("only_if")
    return Course(
        rule=cited(place, doc),
        series=doc["series"],
        vaccines=frozenset(doc["vaccines"]) if "vaccines" in doc else None,
        start_from=maybe_point(place, "start_from", doc),
        start_until=maybe_point(place, "start_until", doc),
        only_if=(only_if["dose"], between(place, "only_if", only_if["at_least"])) if only_if else None,
        doses=tuple(_dose_of(place, number, one, doc, still_free) for number, one in enumerate(doc["doses"], 1)),
        effective_from=first,
        effective_to=last,
        born_from=ordinal(place, "born_from", doc["born_from"]) if doc.get("born_from") else None,
        born_to=ordinal(place, "born_to", doc["born_to"]) if doc.get("born_to") else None,
    )


def _dose_of(place: Place, number: int, doc: Doc, course: Doc, still_free: set[str]) -> DoseRule:
    field = f"doses[{number}]"
    standard = doc.get("standard", {})
    usual = doc.get("standard_interval")
    not_if = doc.get("not_if")
    if not_if and not_if["dose"] >= number:
        raise place.error(f"{field}.not_if", "depends on a dose that does not come before it: a cycle")
    return DoseRule(
        number=number,
        kind=doc["kind"],
        first=maybe_point(place, "from", doc),
        standard_first=maybe_point(place, "from", standard),
        standard_last=maybe_point(place, "to", standard),
        standard_interval=(
            StandardInterval(
                usual.get("after", 0), maybe_between(place, "from", usual), maybe_between(place, "to", usual)
            )
            if usual
            else None
        ),
        apart=tuple(_apart_of(place, number, one, course, still_free) for one in doc.get("intervals", ())),
        not_after=maybe_point(place, "not_after", doc),
        not_if=(not_if["dose"], point(place, "not_if.after", not_if["after"])) if not_if else None,
    )


def _apart_of(place: Place, number: int, doc: Doc, course: Doc, still_free: set[str]) -> Apart:
    after = 0 if doc["after"] == "previous" else int(doc["after"])
    if after >= number or (number == 1 and not after):
        raise place.error(f"doses[{number}].intervals", "counts from a dose that does not come before it: a cycle")
    law = between(place, f"doses[{number}].intervals", doc["at_least"])
    grace = GRACE if law.months or law.half or law.days >= _FOUR_WEEKS else 0
    counting = maybe_between(
        place, f"doses[{number}].intervals", {f"doses[{number}].intervals": doc.get("counts_at_least")}
    )
    if counting is not None:
        if counting.months or law.months or counting.days > law.days:
            raise place.error(f"doses[{number}].intervals", "counts_at_least is in days, and not above at_least")
        grace = law.days - counting.days
    own = {**course, **doc} if "source" in doc else course
    return Apart(
        after=after,
        between=law,
        rule=cited(place, own, doc.get("id") or f"{course['id']}.dose_{number}"),
        counts=doc.get("immunological", True),
        grace=grace,
        vaccines=frozenset(doc["vaccines"]) if "vaccines" in doc else None,
        planned="vaccines" not in doc or not still_free.isdisjoint(doc["vaccines"]),
    )
