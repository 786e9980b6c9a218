"""Organisations and who works for them: municipalities, clinics, staff (機関・職員の台帳).

Pure functions on a directory document's `state`:

    kind         municipality | clinic
    code or id, name, municipality (a clinic's)
    credentials  claimed: the Kafka password is being told or was told · none: the telling failed, it may be told again
    staff        of a municipality: list of {subject, profession}
"""

from typing import Any, Literal

from shared.events.gateway import ClinicRegistered, DirectoryEvent, MunicipalityOpened, StaffAssigned
from shared.ids import is_municipality_code
from shared.problems import Conflict, Invalid, invalid

State = dict[str, Any]
MOST_STAFF = 5_000
CONNECTION = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-256"}


def check_code(code: str, pointer: str = "/code") -> None:
    """Raises Invalid unless it is a municipality code with its right check digit."""
    if not is_municipality_code(code):
        raise invalid(
            pointer,
            "municipality-code",
            "全国地方公共団体コード (検査数字を含む6桁) ではありません。",
            "This is no municipality code: 6 digits with check digit (JIS X 0402).",
        )


def unknown_municipality() -> Invalid:
    """The municipality is not in the directory."""
    return invalid(
        "/municipality",
        "municipality-unknown",
        "この自治体は登録されていません。",
        "This municipality is not registered.",
    )


def open_municipality(state: State, code: str, name: str) -> MunicipalityOpened:
    """A municipality joins."""
    state.update(kind="municipality", code=code, name=name, credentials="claimed", staff=[])
    return MunicipalityOpened(code=code, name=name)


def register_clinic(state: State, clinic: str, name: str, municipality: str) -> ClinicRegistered:
    """A clinic joins."""
    state.update(kind="clinic", id=clinic, name=name, municipality=municipality, credentials="claimed")
    return ClinicRegistered(clinic=clinic, name=name, municipality=municipality)


def assign_staff(state: State, subject: str, profession: str) -> DirectoryEvent | None:
    """A person works for this municipality in a profession; the same again changes nothing. Raises Conflict."""
    staff: list[State] = state.setdefault("staff", [])
    known = next((one for one in staff if one["subject"] == subject), None)
    if known is not None and known["profession"] == profession:
        return None
    if known is None and len(staff) >= MOST_STAFF:
        raise Conflict(f"A municipality has at most {MOST_STAFF} people here.")
    state["staff"] = [one for one in staff if one["subject"] != subject] + [
        {"subject": subject, "profession": profession}
    ]
    return StaffAssigned(staff=subject, municipality=state["code"], profession=profession)


def listed(state: State) -> dict[str, str]:
    """What everybody may read of an organisation."""
    if state["kind"] == "municipality":
        return {"code": state["code"], "name": state["name"]}
    return {"id": state["id"], "name": state["name"], "municipality": state["municipality"]}


def connection(kind: Literal["municipality", "clinic"], key: str, *, bootstrap: str, password: str | None) -> State:
    """How an organisation's system reaches Kafka; the password is there once (null ever after)."""
    user = f"{kind}-{key}"
    topics = (
        {"topic": f"municipal.{key}.v1", "replies_topic": f"municipal.{key}.replies.v1"}
        if kind == "municipality"
        else {"topic": f"clinic.{key}.v1"}
    )
    return {
        "bootstrap": bootstrap,
        "user": user,
        "password": password,
        **CONNECTION,
        **topics,
        "group_prefix": f"{user}.",
    }
