"""Reads CDSi supporting data (the CDC's XML, one file per antigen and one for the schedule) into typed rules.

Elements that are absent, empty or "n/a" mean that there is no such rule (CDSi 4.6 §2.4); elements that no rule needs
are passed over, so that a release with more of them still loads; an indication, contraindication or vaccine without a
code meets nobody. What cannot be understood is an error that names the file, the series or dose, and the element: half
a rule is worse than none.
"""

from pathlib import Path
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from services.schedule.domain import rules
from services.schedule.domain.offsets import FIRST_DAY, LAST_DAY, Offset
from services.schedule.domain.rule_set import RuleError
from services.schedule.domain.rules import ConditionKind, CountLogic, SeriesKind
from services.schedule.rule_files.cdsi_reading import Place, listed, text_of

_COUNT_LOGIC = {
    "greater than": CountLogic.GREATER_THAN,
    "equal to": CountLogic.EQUAL,
    "equal": CountLogic.EQUAL,
    "less than": CountLogic.LESS_THAN,
}
_CONDITIONS = {
    "age": ConditionKind.AGE,
    "interval": ConditionKind.INTERVAL,
    "completed series": ConditionKind.COMPLETED_SERIES,
}


def load_supporting_data(folder: Path) -> rules.Rules:
    """The rules in a folder of supporting data; RuleError where a file is missing or cannot be understood."""
    if not folder.is_dir():
        raise RuleError(str(folder), "-", "folder", "there is no such folder")
    antigens: dict[str, rules.Antigen] = {}
    schedule: Place | None = None
    for path in sorted(folder.glob("*.xml")):
        place = Place(path.name, _root_of(path))
        if place.element.tag == "scheduleSupportingData":
            if schedule is not None:
                raise place.error("scheduleSupportingData", f"stands in {schedule.file} too")
            schedule = place
        elif place.element.tag == "antigenSupportingData":
            antigen = _antigen(place)
            if antigen.name in antigens:
                raise place.error("targetDisease", f"{antigen.name} stands in two files")
            antigens[antigen.name] = antigen
    if schedule is None:
        raise RuleError(str(folder), "-", "scheduleSupportingData", "no file holds the schedule")
    if not antigens:
        raise RuleError(str(folder), "-", "antigenSupportingData", "no file holds an antigen")
    return rules.Rules(
        antigens=antigens,
        vaccine_groups=_vaccine_groups(schedule, antigens),
        associations=_associations(schedule),
        conflicts=_conflicts(schedule),
        coded=_coded_observations(schedule),
    )


def _root_of(path: Path) -> Element:
    try:
        text = text_of(path.read_bytes())
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise RuleError(path.name, "-", "DOCTYPE", "supporting data has no document type: entities are not read")
        return ET.fromstring(text)  # noqa: S314  # nosec B314 - entities are refused above
    except (ET.ParseError, UnicodeDecodeError) as error:
        raise RuleError(path.name, "-", "XML", str(error)) from None


def _antigen(place: Place) -> rules.Antigen:
    name = next((text for text in place.texts("series/targetDisease")), None)
    if name is None:
        raise place.error("series/targetDisease", "is missing")
    return rules.Antigen(
        name=name,
        series=tuple(_series(each, name) for each in place.all("series")),
        immune_by=place.observations("immunity/clinicalHistory/guidelineCode"),
        born_before=tuple(
            rules.BornBefore(
                day=each.day("immunityBirthDate", FIRST_DAY),
                country=each.text("birthCountry"),
                exclusions=each.observations("exclusion/exclusionCode"),
            )
            for each in place.all("immunity/dateOfBirth")
        ),
        contraindications=tuple(
            rules.Contraindication(code, each.offset("beginAge"), each.offset("endAge"))
            for each in place.all("contraindications/vaccineGroup/contraindication", "contraindications")
            if (code := each.observation("observationCode")) is not None
        ),
        vaccine_contraindications=tuple(
            rules.Contraindication(
                code,
                vaccine.offset("beginAge"),
                vaccine.offset("endAge"),
                vaccine.vaccine("cvx", vaccine.required("cvx")),
            )
            for each in place.all("contraindications/vaccine/contraindication", "contraindications")
            if (code := each.observation("observationCode")) is not None
            for vaccine in each.all("contraindicatedVaccine")
            if vaccine.text("cvx") is not None
        ),
    )


def _series(place: Place, antigen: str) -> rules.Series:
    name = place.required("seriesName")
    place = Place(place.file, place.element, name)
    kinds = {kind.value.lower(): kind for kind in SeriesKind}
    kind = kinds[place.one_of("seriesType", kinds)]
    preference = place.number("selectSeries/seriesPreference")
    doses = tuple(_target_dose(each, index) for index, each in enumerate(place.all("seriesDose"), 1))
    if not doses:
        raise place.error("seriesDose", "is missing")
    return rules.Series(
        name=name,
        antigen=antigen,
        vaccine_group=place.required("vaccineGroup"),
        kind=kind,
        group=place.text("selectSeries/seriesGroup") or place.text("selectSeries/seriesGroupName") or kind,
        doses=doses,
        equivalent_groups=listed(place.text("equivalentSeriesGroups")),
        genders=frozenset(text.lower() for text in place.texts("requiredGender")),
        is_default=place.is_yes("selectSeries/defaultSeries"),
        product_path=place.is_yes("selectSeries/productPath"),
        priority=(place.text("selectSeries/seriesPriority") or "A").upper(),
        preference=rules.NO_PREFERENCE if preference is None else preference,
        min_age_to_start=place.offset("selectSeries/minAgeToStart"),
        max_age_to_start=place.offset("selectSeries/maxAgeToStart"),
        indications=tuple(
            rules.Indication(code, each.offset("beginAge"), each.offset("endAge"))
            for each in place.all("indication")
            if (code := each.observation("observationCode")) is not None
        ),
        asks_for_complete_groups=any(
            condition.kind is ConditionKind.COMPLETED_SERIES
            for dose in doses
            for skip in (*dose.skips_evaluating, *dose.skips_forecasting)
            for skip_set in skip.sets
            for condition in skip_set.conditions
        ),
    )


def _target_dose(place: Place, index: int) -> rules.TargetDose:
    number = place.number("doseNumber") or index
    ref = f"{place.rule}, dose {number}"
    place = Place(place.file, place.element, ref)
    skips = [
        (each.one_of("context", ("evaluation", "forecast", "both"), "both"), _skip(each))
        for each in place.all("conditionalSkip")
    ]
    return rules.TargetDose(
        number=number,
        ref=ref,
        ages=tuple(_age(each) for each in place.all("age")),
        intervals=tuple(_interval(each) for each in place.all("interval")),
        allowable_intervals=tuple(_interval(each) for each in place.all("allowableInterval")),
        preferable=tuple(_vaccine(each) for each in place.all("preferableVaccine") if each.text("cvx") is not None),
        allowable=tuple(_vaccine(each) for each in place.all("allowableVaccine") if each.text("cvx") is not None),
        inadvertent=frozenset(
            each.vaccine("cvx", each.required("cvx"))
            for each in place.all("inadvertentVaccine")
            if each.text("cvx") is not None
        ),
        skips_evaluating=tuple(skip for context, skip in skips if context != "forecast"),
        skips_forecasting=tuple(skip for context, skip in skips if context != "evaluation"),
        recurring=place.is_yes("recurringDose"),
        season=_season(place),
    )


def _season(place: Place) -> rules.Season | None:
    for each in place.all("seasonalRecommendation"):
        start, end = each.text("startDate"), each.text("endDate")
        if start is not None or end is not None:
            return rules.Season(
                each.day("startDate", FIRST_DAY) if start is not None else None, each.day("endDate", LAST_DAY)
            )
    return None


def _age(place: Place) -> rules.Age:
    return rules.Age(
        ref=f"{place.rule}, age",
        absolute_minimum=place.offset("absMinAge"),
        minimum=place.offset("minAge"),
        earliest_recommended=place.offset("earliestRecAge"),
        latest_recommended=place.offset("latestRecAge"),
        maximum=place.offset("maxAge"),
        effective=place.day("effectiveDate", FIRST_DAY),
        cessation=place.day("cessationDate", LAST_DAY),
    )


def _interval(place: Place) -> rules.Interval:
    return rules.Interval(
        ref=f"{place.rule}, {place.element.tag}",
        from_previous=place.is_yes("fromPrevious"),
        from_target=place.number("fromTargetDose"),
        from_most_recent=place.vaccines("fromMostRecent"),
        from_observation=place.observation("fromRelevantObs"),
        absolute_minimum=place.offset("absMinInt"),
        minimum=place.offset("minInt"),
        earliest_recommended=place.offset("earliestRecInt"),
        latest_recommended=place.offset("latestRecInt"),
        # The data say "override" where the specification says "Y".
        overrides=(place.text("intervalPriority") or "").lower() in {"override", "y", "yes"},
        effective=place.day("effectiveDate", FIRST_DAY),
        cessation=place.day("cessationDate", LAST_DAY),
    )


def _vaccine(place: Place) -> rules.VaccineRule:
    volume = place.text("volume")
    try:
        amount = float(volume) if volume is not None else None
    except ValueError:
        amount = None
    return rules.VaccineRule(
        vaccine=place.vaccine("cvx", place.required("cvx")),
        begin=place.offset("beginAge"),
        end=place.offset("endAge"),
        trade_name=place.text("tradeName"),
        maker=place.text("mvx"),
        volume=amount,
        recommend=place.is_yes("forecastVaccineType"),
    )


def _skip(place: Place) -> rules.Skip:
    sets = tuple(
        rules.SkipSet(
            conditions=tuple(_condition(condition) for condition in each.all("condition")),
            needs_all=each.one_of("conditionLogic", ("and", "or"), "and") == "and",
            effective=each.day("effectiveDate", FIRST_DAY),
            cessation=each.day("cessationDate", LAST_DAY),
        )
        for each in place.all("set")
    )
    return rules.Skip(sets, needs_all=place.one_of("setLogic", ("and", "or"), "or") == "and")


def _condition(place: Place) -> rules.Condition:
    return rules.Condition(
        kind=_condition_kind(place),
        begin_age=place.offset("beginAge"),
        end_age=place.offset("endAge"),
        start_day=place.day("startDate", FIRST_DAY),
        end_day=place.day("endDate", LAST_DAY),
        interval=place.offset("interval"),
        series_groups=listed(place.text("seriesGroups")),
        vaccines=place.vaccines("vaccineTypes"),
        only_valid=place.one_of("doseType", ("valid", "total"), "total") == "valid",
        count=place.number("doseCount") or 0,
        logic=_COUNT_LOGIC[place.one_of("doseCountLogic", _COUNT_LOGIC, "greater than")],
    )


def _condition_kind(place: Place) -> ConditionKind:
    if (place.text("conditionType") or "").lower().startswith("vaccine count"):
        return ConditionKind.VACCINE_COUNT
    return _CONDITIONS[place.one_of("conditionType", _CONDITIONS)]


def _vaccine_groups(place: Place, antigens: dict[str, rules.Antigen]) -> dict[str, rules.VaccineGroup]:
    """The groups with their antigens, whether or not a file holds these; a group named only by a series is added."""
    members: dict[str, list[str]] = {}
    for each in place.all("vaccineGroupToAntigenMap/vaccineGroupMap"):
        members[each.required("name")] = each.texts("antigen")
    mapped = {name for names in members.values() for name in names}
    for antigen in antigens.values():
        if antigen.name not in mapped:
            for group in dict.fromkeys(series.vaccine_group for series in antigen.series):
                members.setdefault(group, []).append(antigen.name)
    full = {
        each.required("name")
        for each in place.all("vaccineGroups/vaccineGroup")
        if each.is_yes("administerFullVaccineGroup")
    }
    return {name: rules.VaccineGroup(name, tuple(names), name in full) for name, names in members.items()}


def _coded_observations(place: Place) -> dict[str, tuple[str, ...]]:
    """The observations that a code of another system stands for; a vaccine's code is no observation."""
    coded: dict[str, list[str]] = {}
    for each in place.all("observations/observation"):
        observation = each.observation("observationCode")
        for value in each.all("codedValues/codedValue"):
            code = value.text("code")
            if observation is not None and code is not None and value.text("codeSystem") != "CVX":
                coded.setdefault(code, []).append(observation)
    return {code: tuple(observations) for code, observations in coded.items()}


def _associations(place: Place) -> dict[str, tuple[rules.Association, ...]]:
    return {
        each.vaccine("cvx", each.required("cvx")): tuple(
            rules.Association(
                association.required("antigen"),
                association.offset("associationBeginAge"),
                association.offset("associationEndAge"),
            )
            for association in each.all("association")
        )
        for each in place.all("cvxToAntigenMap/cvxMap", "cvxToAntigenMap")
    }


def _conflicts(place: Place) -> dict[str, dict[str, rules.Conflict]]:
    conflicts: dict[str, dict[str, rules.Conflict]] = {}
    for each in place.all("liveVirusConflicts/liveVirusConflict", "liveVirusConflicts"):
        previous = each.vaccine("previous/cvx", each.required("previous/cvx"))
        current = each.vaccine("current/cvx", each.required("current/cvx"))
        end = each.offset("conflictEndInterval")
        if end is None:
            raise each.error("conflictEndInterval", "is missing")
        conflicts.setdefault(current, {})[previous] = rules.Conflict(
            ref=f"conflict of {current} after {previous}",
            begin=each.offset("conflictBeginInterval") or Offset(0, 1),
            minimum_end=each.offset("minConflictEndInterval") or end,
            end=end,
        )
    return conflicts
