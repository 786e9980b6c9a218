"""The one clock: instants are UTC, civil days are Tokyo's, and order never comes from either (guarantee G11)."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

TOKYO = ZoneInfo("Asia/Tokyo")


class Clock:
    """The time of this process; a development platform may move it, production never does."""

    def __init__(self, wrong_by: timedelta = timedelta()) -> None:
        self._offset = wrong_by

    def now(self) -> datetime:
        """The present instant, UTC."""
        return datetime.now(UTC) + self._offset

    def today(self) -> date:
        """The present civil day in Tokyo."""
        return self.now().astimezone(TOKYO).date()

    def move_to(self, instant: datetime, said_at: datetime | None = None) -> None:
        """Let the clock have shown `instant` when it was said, and run on (development only: gateway.clock.v1)."""
        self._offset = instant.astimezone(UTC) - (said_at or datetime.now(UTC))


def wire_instant(instant: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as events and answers carry it."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_instant(text: str) -> datetime:
    """The instant that `wire_instant` wrote."""
    return datetime.fromisoformat(text)


def tokyo_day(instant: datetime) -> date:
    """The civil day in Tokyo on which the instant falls."""
    return instant.astimezone(TOKYO).date()


def tokyo_time(day: date, hour: int, minute: int = 0) -> datetime:
    """The instant (UTC) of an hour of a civil day in Tokyo."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=TOKYO).astimezone(UTC)
