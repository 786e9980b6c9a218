"""How a child grows, through the real gateway: measured by a clinic, read at home, twins side by side, nobody else's."""

from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest

from shared.clock import Clock
from tests.conftest import CLINIC, TOWN, Town

pytestmark = [pytest.mark.integration, pytest.mark.journey, pytest.mark.slow]


async def test_twins_grow_side_by_side(town: Town) -> None:
    mother, clinic = town.people["mother"], town.people["clinic"]
    born = Clock().today() - timedelta(days=90)
    twin = await mother.post(
        "/v1/children",
        {
            "birth_date": born.isoformat(),
            "sex": "M",
            "name": {"family": "若葉", "given": "つばさ", "family_kana": "ワカバ", "given_kana": "ツバサ"},
            "municipality": TOWN,
            "gestation_days": 240,
        },
    )
    await mother.put(f"/v1/children/{twin['id']}/consents/{CLINIC}", {"purpose": "care"})
    month = (born + timedelta(days=32)).isoformat()
    one = await clinic.post(f"/v1/children/{town.child}/growth", {"measured_on": month, "weight_kg": 4.2})
    assert one["warnings"] == []
    slip = await clinic.post(f"/v1/children/{twin['id']}/growth", {"measured_on": month, "weight_kg": 42.0})
    assert [warned["code"] for warned in slip["warnings"]] == ["unusual-for-age"]
    mother.wrote.update(clinic.wrote)

    growth = await mother.get(f"/v1/children/{twin['id']}/growth")
    (measured,) = growth["measurements"]
    assert (measured["age_days"], measured["corrected_age_days"]) == (32, 32 - 40)
    assert measured["values"]["weight_kg"]["value"] == 42.0
    assert {curve["set"] for curve in growth["curves"]} == {"who_2006", "japan_2023"}

    path = f"/v1/children/{town.child}/growth.svg"
    answer = await mother.call("GET", f"{path}?beside={twin['id']}&set=who_2006")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    words = {text.text for text in ET.fromstring(answer.content).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314
    assert {"ひかり", "つばさ", "97"} <= words
    accesses = await mother.get(f"/v1/children/{twin['id']}/accesses")
    assert any(line["action"] == "readGrowth" for line in accesses["items"])

    stranger = town.people["other_mother"]
    own = await stranger.post(
        "/v1/children",
        {
            "birth_date": born.isoformat(),
            "sex": "F",
            "name": {"family": "青空", "given": "そら", "family_kana": "アオゾラ", "given_kana": "ソラ"},
            "municipality": TOWN,
        },
    )
    for who, child, beside in ((stranger, own["id"], town.child), (mother, town.child, own["id"])):
        refused = await who.call("GET", f"/v1/children/{child}/growth.svg?beside={beside}")
        assert refused.status_code == 404
    for query in ("measure=chest_cm", "set=japan_2010", "beside=../x"):
        refused = await mother.call("GET", f"{path}?{query}")
        assert refused.status_code in {404, 422}, query
