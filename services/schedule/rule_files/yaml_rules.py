"""Loads a rule set from a folder of YAML files: read, validate, build, check. Nothing half-read is ever returned."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from services.schedule.domain.rule_set import (
    Allergen,
    BloodProduct,
    Checkup,
    Combination,
    Contraindication,
    Extension,
    Free,
    Line,
    LiveConflict,
    MotherCheckup,
    PregnancyCheckups,
    Product,
    RuleError,
    RuleSet,
    SeenBefore,
    Vaccine,
)
from services.schedule.domain.verdicts import Sentence
from services.schedule.rule_files.checking import check_rule_set, code_map
from services.schedule.rule_files.engine_rules import engine_rules, with_series
from services.schedule.rule_files.lines import free_of, line_of
from services.schedule.rule_files.reading import (
    Doc,
    Place,
    between,
    cited,
    effective,
    maybe_point,
    ordinal,
    point,
    sentence,
)
from services.schedule.rule_files.strict_yaml import read_yaml
from shared.value_sets import value_set

RULES = Path(__file__).resolve().parent.parent / "rules"
PACKAGED = RULES / "jp"
SENTENCES = RULES / "sentences.yaml"
_ONCE = ("set", "vaccines", "between", "checkups")
Files = dict[str, list[tuple[str, Doc]]]


def load_rule_set(folder: Path | None = None, overlays: Path | None = None) -> RuleSet:
    """The rule set of a folder (the packaged Japanese one by default), with municipal overlays.

    Overlays are the folder's own `overlays/*.yaml` and those of `overlays`. Raises RuleError(file, rule, field, why).
    """
    home = folder or PACKAGED
    files, digest = _read(home, overlays)
    set_file, head = files["set"][0]
    place = Place(set_file, head["id"], head["sources"])
    rules = replace(_build(place, head, files), digest=digest)
    names = {kind: found[0][0] for kind, found in files.items()} | {doc["line"]: name for name, doc in files["line"]}
    check_rule_set(rules, names)
    return replace(rules, municipal=_municipal(place, rules, names, files.get("overlay", [])))


def _read(home: Path, overlays: Path | None) -> tuple[Files, str]:
    """The files by kind, and a digest of all their bytes."""
    paths = [*sorted(home.glob("*.yaml")), *sorted((home / "overlays").glob("*.yaml")), SENTENCES]
    if overlays is not None:
        found = sorted(overlays.glob("*.yaml"))
        if not found:
            raise RuleError(overlays.name, "-", "folder", "holds no overlays (*.yaml)")
        paths += found
    if not any(path.parent == home for path in paths):
        raise RuleError(home.name, "-", "folder", "holds no rule files (*.yaml)")
    files: Files = {}
    digest = hashlib.sha256()
    for path in paths:
        doc = read_yaml(path)
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        _validate(path.name, doc)
        files.setdefault(doc["kind"], []).append((path.name, doc))
    for kind in _ONCE:
        given = files.get(kind, [])
        if len(given) != 1:
            where = given[1][0] if given else home.name
            raise RuleError(where, kind, "kind", f"a rule set has one file of kind {kind}, not {len(given)}")
    if not files.get("line"):
        raise RuleError(home.name, "line", "kind", "a rule set has at least one file of kind line")
    return files, digest.hexdigest()


@cache
def _validator() -> Draft202012Validator:
    schema: dict[str, Any] = json.loads((RULES / "rule-set.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _validate(file: str, doc: Any) -> None:
    if not isinstance(doc, Mapping):
        raise RuleError(file, "-", "file", "is not a mapping")
    errors: list[ValidationError] = sorted(_validator().iter_errors(doc), key=lambda error: -len(error.absolute_path))
    if not errors:
        return
    error = errors[0]
    rule: Any = doc.get("id") or doc.get("line") or doc["kind"] if "kind" in doc else "-"
    part: Any = doc
    for step in error.absolute_path:
        part = part[step]
        if isinstance(part, Mapping):
            rule = part.get("id") or part.get("code") or rule
    field = ".".join(str(step) for step in error.absolute_path) or "file"
    raise RuleError(file, str(rule), field, error.message[:300])


def _chosen(place: Place, field: str, name: str, code: str) -> Sentence:
    """The words for a code of a value set that entries of records choose from."""
    if code not in value_set(name):
        raise place.error(field, f"{code!r} is not in the value set {name}")
    return Sentence(value_set(name)[code].ja, value_set(name)[code].en)


def _build(place: Place, head: Doc, files: Files) -> RuleSet:
    vaccines = _judged(_vaccines(files["vaccines"][0]), [doc for _, doc in files.get("combination", ())])
    between_file, between_doc = files["between"][0]
    across = Place(between_file, "between", place.sources)
    checkups_file, checkups = files["checkups"][0]
    guides = Place(checkups_file, "checkups", place.sources)
    lines = {doc["line"]: line_of(Place(name, doc["line"], place.sources), doc) for name, doc in files["line"]}
    for vaccine in vaccines.values():
        for counted in vaccine.counts_in:
            if counted not in lines:
                raise RuleError(files["vaccines"][0][0], vaccine.code, "counts_in", f"{counted!r} is not a line")
    if len(lines) != len(files["line"]):
        raise place.error("line", "two files describe the same line")
    extensions: list[Extension] = []
    for name, doc in files.get("special", []):
        special = Place(name, "special", place.sources)
        extensions += [_extension(special.of(one), one) for one in doc["measures"]]
        for one in doc["cohorts"]:
            _add_cohort(special.of(one), one, lines)
    givers = {code: tuple(other.code for other in lines.values() if other.more_go_to == code) for code in lines}
    lines = {code: with_series(replace(line, takes_over_from=givers[code]), vaccines) for code, line in lines.items()}
    conflicts = tuple(_live_conflict(across.of(one), one) for one in between_doc["live_conflicts"])
    against = tuple(
        Contraindication(cited(across.of(one), one), one["observation"], frozenset(one["vaccines"]))
        for one in between_doc["contraindications"]
    )
    for one in against:
        unknown = one.vaccines - set(vaccines)
        if unknown:
            raise RuleError(between_file, one.rule.id, "vaccines", f"unknown codes: {', '.join(sorted(unknown))}")
    return RuleSet(
        id=head["id"],
        names=sentence(head["name"]),
        first_day=ordinal(place, "first_day", head["first_day"]),
        reaches_back_to=ordinal(place, "reaches_back_to", head["reaches_back_to"]),
        series=tuple(head["series"]),
        vaccines=vaccines,
        lines=lines,
        combinations=tuple(
            _combination(Place(name, doc["id"], place.sources), doc) for name, doc in files.get("combination", [])
        ),
        live_conflicts=conflicts,
        blood_products=tuple(
            BloodProduct(
                cited(across.of(one), one),
                one["observation"],
                one["against"],
                between(across.of(one), "interval", one["interval"]),
                frozenset(one.get("not_for", ())),
            )
            for one in between_doc["blood_products"]
        ),
        contraindications=against,
        allergens=tuple(
            Allergen(
                cited(across.of(one), one),
                one["substance"],
                _chosen(across.of(one), "substance", "allergen", one["substance"]),
                frozenset(one["vaccines"]),
            )
            for one in between_doc.get("allergies", ())
        ),
        seen_before=tuple(
            SeenBefore(
                cited(across.of(one), one),
                one["symptom"],
                _chosen(across.of(one), "symptom", "reaction", one["symptom"]),
                one["stops"],
                one.get("within_days"),
            )
            for one in between_doc.get("reactions", ())
        ),
        observations={one["code"]: sentence(one["name"]) for one in between_doc["observations"]},
        extensions=tuple(extensions),
        checkups=tuple(_checkup(guides.of(one), one) for one in checkups["child"]),
        pregnancy_checkups=_pregnancy_checkups(guides, checkups.get("pregnancy")),
        mother_checkups=tuple(
            MotherCheckup(
                cited(guides.of(one), one),
                one["series"],
                sentence(one["name"]),
                one["days_after_birth"],
                one["usual_days"],
            )
            for one in checkups["mother"]
        ),
        sentences=_sentences(files["sentences"]),
        engine=engine_rules(lines, vaccines, conflicts, against),
        codes=code_map(files["vaccines"][0][0], vaccines),
    )


def _sentences(files: Iterable[tuple[str, Doc]]) -> dict[str, Sentence]:
    return {key: sentence(text) for _, doc in files for key, text in doc["sentences"].items()}


def _vaccines(file: tuple[str, Doc]) -> dict[str, Vaccine]:
    name, doc = file
    vaccines: dict[str, Vaccine] = {}
    for one in doc["vaccines"]:
        if one["code"] in vaccines:
            raise RuleError(name, one["code"], "code", "is there twice")
        vaccines[one["code"]] = Vaccine(
            code=one["code"],
            names=sentence(one["name"]),
            cvx=tuple(one["cvx"]),
            live=one.get("live", "none"),
            leads=one.get("leads"),
            counts_in=tuple(one.get("counts_in", ())),
            series=one.get("series"),
            aliases=tuple(one.get("aliases", ())),
            products=tuple(one.get("products", ())),
        )
    return vaccines


def _judged(vaccines: dict[str, Vaccine], combinations: Iterable[Doc]) -> dict[str, Vaccine]:
    """Each vaccine with the lines in which it is judged: of a combination only the one that it leads."""
    together = [set(doc["lines"]) for doc in combinations]
    judged: dict[str, Vaccine] = {}
    for code, vaccine in vaccines.items():
        silent = {line for lines in together if vaccine.leads in lines for line in lines} - {vaccine.leads}
        judged[code] = replace(vaccine, judged_in=tuple(line for line in vaccine.counts_in if line not in silent))
    return judged


def _live_conflict(place: Place, doc: Doc) -> LiveConflict:
    first, last = effective(place, doc)
    return LiveConflict(
        cited(place, doc),
        frozenset(doc["previous"]),
        frozenset(doc["next"]),
        between(place, "interval", doc["interval"]),
        frozenset(doc.get("counts_after", ())),
        first,
        last,
    )


def _extension(place: Place, doc: Doc) -> Extension:
    first, last = effective(place, doc)
    lasts = between(place, "lasts", doc["lasts"])
    if lasts.days or not lasts.months:
        raise place.error("lasts", "is counted in months or years")
    return Extension(
        rule=cited(place, doc),
        observations=frozenset(doc["observations"]),
        months=lasts.months,
        not_for=frozenset(doc.get("not_for", ())),
        upper_age={code: point(place, f"upper_age.{code}", text) for code, text in doc.get("upper_age", {}).items()},
        effective_from=first,
        effective_to=last,
    )


def _add_cohort(place: Place, doc: Doc, lines: dict[str, Line]) -> None:
    """A window for children born between two days; its own days are the days on which it is in force."""
    if doc["line"] not in lines:
        raise place.error("line", f"{doc['line']!r} is not a line")
    free = replace(free_of(place, {"from": "birth", "to": "reached 100y", **doc}), cohort=True)
    line = lines[doc["line"]]
    lines[doc["line"]] = replace(line, free=(*line.free, free))


def _combination(place: Place, doc: Doc) -> Combination:
    return Combination(
        id=doc["id"],
        leads=doc["leads"],
        lines=tuple(doc["lines"]),
        products=tuple(_product(place.of(one), one) for one in doc["products"]),
        switch=cited(place.of(doc["switch"]), doc["switch"]),
        apart=between(place.of(doc["switch"]), "interval", doc["switch"]["interval"]),
    )


def _product(place: Place, doc: Doc) -> Product:
    return Product(
        rule=cited(place, doc),
        series=doc["series"],
        covers=tuple(doc["covers"]),
        offered_from=ordinal(place, "offered_from", doc["offered_from"]),
        offered_to=None if doc["offered_to"] is None else ordinal(place, "offered_to", doc["offered_to"]),
        only_started=frozenset(doc.get("only_started", ())),
        only_started_from=(
            ordinal(place, "only_started_from", doc["only_started_from"]) if "only_started_from" in doc else None
        ),
    )


def _checkup(place: Place, doc: Doc) -> Checkup:
    first, last = effective(place, doc)
    return Checkup(
        rule=cited(place, doc),
        series=doc["series"],
        names=sentence(doc["name"]),
        first=point(place, "from", doc["from"]),
        usual_until=maybe_point(place, "usual_until", doc),
        closes=point(place, "closes", doc["closes"]),
        effective_from=first,
        effective_to=last,
    )


def _pregnancy_checkups(place: Place, doc: Doc | None) -> PregnancyCheckups | None:
    if doc is None:
        return None
    weeks = tuple(doc["weeks"])
    if sorted(weeks) != list(weeks):
        raise place.of(doc).error("weeks", "are not in order")
    return PregnancyCheckups(cited(place.of(doc), doc), doc["series"], sentence(doc["name"]), weeks)


def _municipal(
    place: Place, rules: RuleSet, names: Mapping[str, str], files: list[tuple[str, Doc]]
) -> dict[str, RuleSet]:
    """Each municipality's rules: the national ones with its programmes and windows laid over them."""
    municipal: dict[str, RuleSet] = {}
    for name, doc in files:
        code = doc["municipality"]
        here = Place(name, code, {**place.sources, **doc["sources"]})
        if code in municipal:
            raise here.error("municipality", "has two overlays")
        added: dict[str, list[Free]] = {}
        for one in doc.get("free", ()):
            if one["line"] not in rules.lines:
                raise here.of(one).error("line", f"{one['line']!r} is not a line")
            unknown = set(one["vaccines"]) - set(rules.vaccines)
            if unknown:
                raise here.of(one).error("vaccines", f"unknown codes: {', '.join(sorted(unknown))}")
            added.setdefault(one["line"], []).append(free_of(here.of(one), one, by_municipality=True))
        lines = {
            key: replace(line, free=(*line.free, *added[key])) if key in added else line
            for key, line in rules.lines.items()
        }
        own = {one["series"]: _checkup(here.of(one), one) for one in doc.get("checkups", ())}
        unknown = set(own) - {checkup.series for checkup in rules.checkups}
        if unknown:
            raise here.error("checkups", f"unknown series: {', '.join(sorted(unknown))}")
        checkups = [*own.values(), *rules.checkups]
        municipal[code] = replace(rules, lines=lines, checkups=tuple(checkups))
        check_rule_set(municipal[code], {**names, **dict.fromkeys(lines, name)})
    return municipal
