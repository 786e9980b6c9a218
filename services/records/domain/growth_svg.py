"""A growth chart as SVG (身体発育曲線): percentile lines, one child's points, and those of children beside it (twins).

Presentation attributes only: the door's content security policy lets no style in. Ages along the bottom are in months.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from services.records.domain.growth_report import corrected_by, in_order
from services.records.domain.growth_sets import DAYS_PER_MONTH, GrowthSet, Lines, Measure
from services.records.domain.record import Record

WIDTH, HEIGHT = 760.0, 520.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 64.0, 64.0, 56.0
SPANS = (12, 24, 36, 60, 72)
"""Months that a chart may show: the shortest in which all points lie."""

NAMES: dict[Measure, tuple[str, str]] = {
    "weight_kg": ("体重", "kg"),
    "length_cm": ("身長", "cm"),
    "head_cm": ("頭囲", "cm"),
}
INKS = ("#b3261e", "#1b5e9c", "#2e6b34", "#7a4a9e")
FONT = "Noto Sans JP, Hiragino Sans, Noto Sans CJK JP, sans-serif"


@dataclass(frozen=True, slots=True)
class Series:
    """One child's points: (age in days as compared, age in days since birth, value)."""

    name: str
    points: tuple[tuple[int, int, float], ...]


def series_of(record: Record, measure: Measure) -> Series:
    """The child's measurements of one measure, at the ages at which they are compared."""
    facts = record.facts
    points = []
    for one in in_order(record):
        value = getattr(one, measure)
        if value is not None:
            age = (one.measured_on - facts.birth_date).days
            points.append((age - corrected_by(facts, one.measured_on), age, value))
    return Series(facts.name.given, tuple(points))


def chart(growth_set: GrowthSet, lines: Lines | None, measure: Measure, children: Sequence[Series]) -> str:
    """The chart; without lines (sex not recorded, or a set that is silent) the points alone."""
    paper = _Paper(growth_set, lines, measure, children)
    return paper.drawn()


class _Paper:
    def __init__(
        self, growth_set: GrowthSet, lines: Lines | None, measure: Measure, children: Sequence[Series]
    ) -> None:
        self._set, self._lines, self._measure, self._children = growth_set, lines, measure, children
        oldest = max((point[1] for child in children for point in child.points), default=0) / DAYS_PER_MONTH
        self._months = next((span for span in SPANS if oldest <= span), SPANS[-1])
        shown = [value for child in children for _, _, value in child.points]
        if lines is not None:
            shown += [
                value
                for age, row in zip(lines.ages, lines.values, strict=True)
                if age <= self._months * DAYS_PER_MONTH
                for value in row
            ]
        low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
        self._step = next(step for step in (0.5, 1, 2, 5, 10, 20, 50, 100) if (high - low) / step <= 12)
        self._low = (low // self._step) * self._step
        self._high = -(-high // self._step) * self._step
        if self._high == self._low:
            self._high += self._step

    def drawn(self) -> str:
        name, unit = NAMES[self._measure]
        title = f"{name}の発育曲線"
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-labelledby="t d"',
            f' font-family="{FONT}" font-size="13" fill="#222">',
            f'<title id="t">{title}</title>',
            f'<desc id="d">{escape(self._described())}</desc>',
            f'<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="#fff"/>',
            _text(LEFT, 28, f"{title}（{unit}）", size=18),
            _text(LEFT, 48, self._set.name + self._doubt(), size=12, ink="#555"),
            *self._grid(),
            *self._percentiles(),
            *(part for place, child in enumerate(self._children) for part in self._points(child, place)),
            *self._legend(),
            "</svg>",
        ]
        return "".join(parts)

    def _doubt(self) -> str:
        return "" if self._set.confidence == "high" else "　※公表値を写したもの。確認中"

    def _described(self) -> str:
        """What a screen reader says instead of the picture."""
        _, unit = NAMES[self._measure]
        said = []
        for child in self._children:
            points = "、".join(f"生後{age}日 {value:g}{unit}" for _, age, value in child.points) or "計測なし"
            said.append(f"{child.name}: {points}")
        return "。".join(said)

    def _x(self, age_days: float) -> float:
        return LEFT + age_days / (self._months * DAYS_PER_MONTH) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self._low) / (self._high - self._low) * (HEIGHT - TOP - BOTTOM)

    def _grid(self) -> Iterable[str]:
        every = 1 if self._months <= 12 else 3 if self._months <= 36 else 6
        for month in range(0, self._months + 1, every):
            x = self._x(month * DAYS_PER_MONTH)
            yield _line(x, TOP, x, HEIGHT - BOTTOM, "#e3e3e3")
            yield _text(x, HEIGHT - BOTTOM + 18, f"{month}", anchor="middle")
        yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "月齢（か月）", anchor="middle")
        value = self._low
        while value <= self._high + 1e-9:
            y = self._y(value)
            yield _line(LEFT, y, WIDTH - RIGHT, y, "#e3e3e3")
            yield _text(LEFT - 8, y + 4, f"{value:g}", anchor="end")
            value += self._step
        yield (
            f'<rect x="{LEFT:g}" y="{TOP:g}" width="{WIDTH - LEFT - RIGHT:g}" height="{HEIGHT - TOP - BOTTOM:g}" '
            'fill="none" stroke="#888"/>'
        )

    def _percentiles(self) -> Iterable[str]:
        if self._lines is None:
            return
        end = self._months * DAYS_PER_MONTH
        ages = [age for age in self._lines.ages if age <= end]
        if self._lines.ages and ages and ages[-1] < end <= self._lines.ages[-1]:
            ages.append(end)
        rows = [self._lines.at(age) for age in ages]
        known = [(age, row) for age, row in zip(ages, rows, strict=True) if row is not None]
        if not known:
            return
        outer = [(self._x(age), self._y(row[-1])) for age, row in known]
        inner = [(self._x(age), self._y(row[0])) for age, row in reversed(known)]
        yield f'<polygon points="{_places(outer + inner)}" fill="#4f8f6b" fill-opacity="0.12"/>'
        for place, percent in enumerate(self._lines.percentiles):
            path = [(self._x(age), self._y(row[place])) for age, row in known]
            wide = 2.2 if percent == 50 else 1.2
            yield f'<polyline points="{_places(path)}" fill="none" stroke="#3d7a58" stroke-width="{wide}"/>'
            yield _text(path[-1][0] + 6, path[-1][1] + 4, f"{percent}", size=11, ink="#3d7a58")

    def _points(self, child: Series, place: int) -> Iterable[str]:
        ink = INKS[place % len(INKS)]
        path = [(self._x(max(age, 0)), self._y(value)) for age, _, value in child.points]
        if len(path) > 1:
            yield f'<polyline points="{_places(path)}" fill="none" stroke="{ink}" stroke-width="1.6"/>'
        for (age, since_birth, value), (x, y) in zip(child.points, path, strict=True):
            if age != since_birth:
                # Where the value would lie without correction.
                yield _line(x, y, self._x(since_birth), y, ink, dashes="3 3")
                yield f'<circle cx="{self._x(since_birth):.1f}" cy="{y:.1f}" r="3.5" fill="#fff" stroke="{ink}"/>'
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{ink}"><title>{value:g}</title></circle>'

    def _legend(self) -> Iterable[str]:
        corrected = any(age != since for child in self._children for age, since, _ in child.points)
        said = [(child.name, INKS[place % len(INKS)]) for place, child in enumerate(self._children)]
        y = TOP + 20
        for name, ink in said:
            yield f'<circle cx="{LEFT + 16:g}" cy="{y - 4:g}" r="4" fill="{ink}"/>'
            yield _text(LEFT + 26, y, name)
            y += 20
        if corrected:
            yield f'<circle cx="{LEFT + 16:g}" cy="{y - 4:g}" r="3.5" fill="#fff" stroke="#555"/>'
            yield _text(LEFT + 26, y, "○ 生まれた日から数えた月齢　● 修正月齢", size=12, ink="#555")


def _text(x: float, y: float, words: str, *, size: int = 13, anchor: str = "start", ink: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{ink}">{escape(words)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, ink: str, *, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{ink}"{dashed}/>'


def _places(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
