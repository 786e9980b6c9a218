"""Facts about organisations, and the development clock. Owner: gateway."""

from datetime import datetime

from shared.events.base import Event


class DirectoryEvent(Event):
    """A fact about one organisation, keyed by it; sent by the gateway, followed by whoever asks who an organisation is."""

    stream = "gateway.directory"
    readers = ("records", "schedule", "questionnaire", "notify")


class MunicipalityOpened(DirectoryEvent):
    """A municipality joined, and its topics are open; `code` has 6 digits with its check digit (JIS X 0402)."""

    code: str
    name: str


class ClinicRegistered(DirectoryEvent):
    """A clinic joined, and its feed's topic is open; from now on families can give it consent."""

    clinic: str
    name: str
    municipality: str


class ClinicChanged(DirectoryEvent):
    """A clinic's name or municipality changed."""

    clinic: str
    name: str
    municipality: str


class StaffAssigned(DirectoryEvent):
    """A person works for a municipality in a profession; keyed by the municipality, a later one takes the place of the one before."""

    staff: str
    municipality: str
    profession: str


class StaffRemoved(DirectoryEvent):
    """A person no longer works for the municipality; keyed by the municipality."""

    staff: str
    municipality: str


class PlaceChanged(DirectoryEvent):
    """A town says what there is for families at a place: a centre, a circle, neighbours who help; keyed by the place."""

    place: str
    municipality: str
    kind: str
    name: str
    address: str | None = None
    latitude: float
    longitude: float
    district: str | None = None
    hours: str | None = None
    contact: str | None = None
    url: str | None = None


class PlaceClosed(DirectoryEvent):
    """A place or circle is there no longer; keyed by the place."""

    place: str
    municipality: str


class ClockMoved(Event):
    """The development platform's clock was set, forward or back, and runs on from there; absent in production."""

    stream = "gateway.clock"
    readers = ("records", "schedule", "questionnaire", "notify")

    now: datetime
