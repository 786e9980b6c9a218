"""Facts about organisations, and the development clock. Owner: gateway."""

from datetime import datetime

from shared.events.base import Event


class DirectoryEvent(Event):
    """A fact about one organisation, keyed by it."""

    stream = "gateway.directory"
    readers = ("records", "schedule", "questionnaire", "notify")


class MunicipalityOpened(DirectoryEvent):
    """A municipality joined; `code` has 6 digits with its check digit."""

    code: str
    name: str


class ClinicRegistered(DirectoryEvent):
    """A clinic joined."""

    clinic: str
    name: str
    municipality: str


class ClinicChanged(DirectoryEvent):
    """A clinic's name or municipality changed."""

    clinic: str
    name: str
    municipality: str


class StaffAssigned(DirectoryEvent):
    """A person works for a municipality in a profession."""

    staff: str
    municipality: str
    profession: str


class StaffRemoved(DirectoryEvent):
    """A person no longer works for the municipality."""

    staff: str
    municipality: str


class ClockMoved(Event):
    """The development platform's clock was set; absent in production."""

    stream = "gateway.clock"
    readers = ("records", "schedule", "questionnaire", "notify")

    now: datetime
