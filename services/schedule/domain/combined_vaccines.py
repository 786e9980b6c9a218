"""Lines that one syringe serves together (五種混合, 四種混合, ヒブ): the plan shows one thing as due once.

Diphtheria-tetanus-pertussis, polio and Hib are counted apart; which product brings the next doses goes by what was
begun, what is offered on the day, and whether the counts are level. Level counts take a combined vaccine; the one
that lags behind is brought up by itself first (回数を揃える).
"""

from collections.abc import Mapping

from services.schedule.domain.cases import Case
from services.schedule.domain.counting import Count
from services.schedule.domain.forecast import forecast
from services.schedule.domain.legal import because
from services.schedule.domain.legal_points import first_after
from services.schedule.domain.next_dose import next_item, open_window
from services.schedule.domain.plan_items import OPEN, PlanItem, not_before
from services.schedule.domain.rule_set import Combination, Product


def combined_items(case: Case, combination: Combination, counts: Mapping[str, Count], on: int) -> list[PlanItem]:
    """The items of a combination's lines, each need once."""
    leading = counts[combination.leads]
    companion = [code for code in combination.lines[1:] if _always_with(combination, code)]
    needs = {code: _needed(counts[code]) for code in combination.lines}
    level = {counts[code].counted for code in (combination.leads, *companion)}
    items: list[PlanItem] = []
    begun = _begun(case, leading, counts)
    covered: frozenset[str] = frozenset()
    pair = (combination.leads, *companion)
    if all(needs[code] for code in pair) and len(level) == 1:
        product = _product(case, combination, pair, begun, leading, on)
        item = _combined(case, combination, counts, product, begun, on)
        if item is not None:
            items.append(item)
            covered = frozenset(product.covers)
    else:
        items += _level_out(case, combination, pair, counts, needs, begun, on)
    parts = {
        code: part
        for code in combination.lines
        if code not in pair and (part := _alone(case, combination, code, counts, covered, begun, on)) is not None
    }
    if covered and items[0].status in OPEN:
        own = tuple(code for code in combination.lines if code in covered and code not in pair)
        items[0], parts = _in_turn(case, combination, counts, items[0], parts, own, on)
    return [*items, *parts.values()]


def _in_turn(
    case: Case,
    combination: Combination,
    counts: Mapping[str, Count],
    item: PlanItem,
    parts: dict[str, PlanItem],
    own: tuple[str, ...],
    on: int,
) -> tuple[PlanItem, dict[str, PlanItem]]:
    """A combined item and the parts that it holds (`own`), one after the other: docs/adr/0055."""
    now = max(on, item.recommended.toordinal()) if item.recommended is not None else on
    others = {code: part for code, part in parts.items() if code not in own or part.status not in OPEN}
    # A part that has to wait longer than the combined vaccine is brought by that.
    first = {
        code: part
        for code, part in parts.items()
        if code not in others and part.earliest is not None and part.earliest.toordinal() <= now
    }
    moved = _one_after_the_other(case, combination, counts, item, first, own, on)
    if moved is not None:
        return moved, {**others, **first}
    # No room for both: the switch does not ask how many doses of the part there were.
    return _one_after_the_other(case, combination, counts, item, {}, own, on) or item, others


def _always_with(combination: Combination, code: str) -> bool:
    """Whether every combined product that covers the leading line covers this one too."""
    return all(code in product.covers for product in combination.products if len(product.covers) > 1)


def _needed(count: Count) -> bool:
    return count.needed


def _begun(case: Case, leading: Count, counts: Mapping[str, Count]) -> str | None:
    """The vaccine that the child began with, of any of the lines."""
    places = leading.places or [place for count in counts.values() for place in count.places]
    return case.given[min(places)].vaccine if places else None


def _offered(product: Product, day: int, begun: str | None) -> bool:
    if day < product.offered_from or (product.offered_to is not None and day > product.offered_to):
        return False
    restricted = product.only_started_from is not None and day >= product.only_started_from
    return not restricted or begun in product.only_started


def _product(
    case: Case, combination: Combination, pair: tuple[str, ...], begun: str | None, leading: Count, on: int
) -> Product:
    """The combined product for the next dose: what was begun where it is still offered, otherwise the first offered."""
    day = max(on, leading.walk.previous_day or 0)
    rule = leading.following.doses[leading.walk.position]
    for apart in rule.apart:
        if leading.walk.previous_day is not None:
            day = max(day, apart.between.date_ordinal(leading.walk.previous_day))
    fitting = [product for product in combination.products if set(pair) <= set(product.covers)]
    offered = [product for product in fitting if _offered(product, day, begun)]
    own = [product for product in offered if begun in product.only_started or begun == product.series]
    return (own or offered or fitting)[0]


def _combined(
    case: Case, combination: Combination, counts: Mapping[str, Count], product: Product, begun: str | None, on: int
) -> PlanItem | None:
    """One item for a combined product: not before each of the counts that it always brings allows it."""
    leading = counts[combination.leads]
    item = next_item(case, leading, on, (product.series,), product.series)
    if item is None or item.status not in OPEN or item.earliest is None or item.recommended is None:
        return item
    for code in product.covers[1:]:
        made = forecast(counts[code].walk, case.rules.antigens[code])
        if (
            _always_with(combination, code)
            and made.dates.earliest is not None
            and made.dates.earliest > item.earliest.toordinal()
        ):
            item = not_before(item, made.dates.earliest, on)
    if item.recommended is None or product is not combination.products[0]:
        return item
    if begun not in {other.series for other in combination.products} or any(
        case.given[place].vaccine == product.series for place in leading.places
    ):
        return item
    names = case.law.vaccines[product.series].names
    facts = (("name", names), ("number", item.dose_number), ("due_day", item.recommended.toordinal()))
    return item._replace(why=because(case, combination.switch, "plan_switch", *facts))


def _one_after_the_other(
    case: Case,
    combination: Combination,
    counts: Mapping[str, Count],
    item: PlanItem,
    parts: Mapping[str, PlanItem],
    covers: tuple[str, ...],
    on: int,
) -> PlanItem | None:
    """The combined item after the part that it waits for; None where there is no room for both."""
    if item.recommended is None:
        return item
    moved = item
    for code in covers:
        count = counts[code]
        part = parts.get(code)
        if part is not None and part.recommended is not None and part.status in OPEN:
            before, key = max(part.recommended.toordinal(), on), "plan_level"
        elif count.places and case.given[count.places[-1]].kind.counts_in == (code,):
            before, key = case.given[count.places[-1]].day, "plan_after_part"
        else:
            continue
        day = first_after(combination.apart, before)
        if moved.earliest is not None and day > moved.earliest.toordinal():
            facts = (
                ("name", case.law.vaccines[item.series].names),
                ("number", item.dose_number),
                ("due_day", day),
                ("earlier", count.line.names),
                ("earlier_day", before),
            )
            moved = not_before(moved, day, on, because(case, combination.switch, key, *facts))
    return moved if moved.status in OPEN else None


def _level_out(
    case: Case,
    combination: Combination,
    pair: tuple[str, ...],
    counts: Mapping[str, Count],
    needs: Mapping[str, bool],
    begun: str | None,
    on: int,
) -> list[PlanItem]:
    """What lags behind by itself; where nothing is needed any more, the product that brought it is shown as done."""
    lagging = [code for code in pair if needs[code]]
    if not lagging:
        shown = (
            begun if begun in {product.series for product in combination.products} else combination.products[0].series
        )
        item = next_item(case, counts[combination.leads], on, (str(shown),), shown)
        return [item] if item is not None else []
    least = min(counts[code].counted for code in lagging)
    items = []
    for code in lagging:
        if counts[code].counted != least:
            continue
        single = next(product for product in combination.products if product.covers == (code,))
        item = next_item(case, counts[code], on, (single.series,), single.series)
        if item is not None:
            items.append(item)
    return items


def _alone(
    case: Case,
    combination: Combination,
    code: str,
    counts: Mapping[str, Count],
    covered: frozenset[str],
    begun: str | None,
    on: int,
) -> PlanItem | None:
    """A line that some combined products cover and others do not: shown only where the product does not bring it."""
    count, leading = counts[code], counts[combination.leads]
    single = next(product for product in combination.products if product.covers == (code,))
    if not _needed(count):
        own = any(case.given[place].vaccine == single.series for place in count.places)
        return next_item(case, count, on, (single.series,), single.series) if own else None
    behind = count.counted < leading.counted
    if code in covered:
        window = open_window(case, count.line, (single.series,), on)
        if not behind or window is None or on > window.last:
            return None
    elif not behind and any(
        begun == product.series and code in product.covers
        for product in combination.products
        if len(product.covers) > 1
    ):
        return None
    return next_item(case, count, on, (single.series,), single.series)
