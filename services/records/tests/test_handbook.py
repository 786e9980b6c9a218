"""The whole handbook: read on paper, as data, as FHIR, and proven without a network."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from fhir.resources.R4B.bundle import Bundle
from joserfc.jwk import ECKey

from services.records.commands.handbook import _template
from services.records.domain import handbook_fhir, handbook_pack, handbook_pdf
from services.records.domain.handbook_pack import NotProven
from services.records.tests.conftest import BODY, Door
from services.records.tests.families import CLINIC, FATHER, MOTHER, NURSE, TOWN
from services.records.tests.samples import sample, sample_pdf

ROOT = Path(__file__).parents[3]
KEY = ECKey.generate_key("P-256", {"kid": "handbook"}, private=True)
OTHER = ECKey.generate_key("P-256", {"kid": "handbook"}, private=True)
TRUSTED = {"handbook": ECKey.import_key(dict(KEY.as_dict(private=False)))}


EVERY_LIST = ("doses", "checkups", "growth", "conditions", "reactions", "allergies", "milestones", "diary")

# On paper ---------------------------------------------------------------------------------------------------------


def words(pdf: bytes) -> str:
    """All text of the pages, without breaks."""
    pages = pypdfium2.PdfDocument(pdf)
    return "".join(page.get_textpage().get_text_range() for page in pages).replace("\r\n", "").replace(" ", "")


def test_the_paper_says_everything_with_its_readings() -> None:
    text = words(sample_pdf(KEY))
    book = sample()
    for said in (
        "母子健康手帳",
        "ぼしけんこうてちょう",
        "髙橋",
        "たかはし",
        "2026年5月1日",
        "若葉市",
        "みどり台一丁目",
        "よぼうせっしゅ",
        "小児用肺炎球菌20価",
        "わかば小児科",
        "保護者",
        "1か月児健診",
        "鶏卵",
        "重い症状のおそれ",
        "接種部位の腫れ・赤み",
        "首のすわり",
        "3か月と11日",
        "左上腕・皮下・0.5mL",
        "要観察",
        "股関節：右の開きがやや硬い",
        "事後：1か月後に再診",
        "7.6kg",
        "水痘（みずぼうそう）",
        "はじめての寝返り",
        "本人がいちばん驚いた顔。",
        "にんしん",
        "37週5日",
        "114/68",
        "尿蛋白±",
        "RS3001",
    ):
        assert said in text, said
    assert all(dose["lot"] in text for dose in book["doses"] if "lot" in dose)


def test_nothing_is_cut_off_and_no_glyph_is_missing() -> None:
    for page in pypdfium2.PdfDocument(sample_pdf(KEY)):
        width, height = page.get_size()
        text = page.get_textpage()
        for number in range(text.count_chars()):
            left, bottom, right, top = text.get_charbox(number)
            assert 40 <= left <= right <= width - 40, text.get_text_range(number, 1)
            assert 30 <= bottom <= top <= height - 20, text.get_text_range(number, 1)
        assert "\ufffd" not in text.get_text_range()


def test_what_a_family_wrote_is_no_markup() -> None:
    book = sample()
    written = '#set page(fill: red)\n= 見出し $x^2$ #read("/etc/passwd") *太字* \\'
    book["diary"][0]["text"] = written
    book["child"]["name"]["given"] = "#panic()"
    text = words(handbook_pdf.pages(book, _template(), None))
    assert "#setpage(fill:red)" in text
    assert '#read("/etc/passwd")*太字*' in text
    assert "#panic()" in text


def test_an_empty_record_and_a_full_one_have_their_pages() -> None:
    book = sample()
    empty = {**book, **{name: [] for name in EVERY_LIST}}
    assert "まだ記録がありません" in words(handbook_pdf.pages(empty, _template(), None))
    full = {**book, "doses": book["doses"] * 25, "diary": book["diary"] * 40}
    pages = pypdfium2.PdfDocument(handbook_pdf.pages(full, _template(), None))
    assert len(pages) > 8


# As FHIR ----------------------------------------------------------------------------------------------------------


def test_the_fhir_document_is_accepted_and_closed_in_itself() -> None:
    found = handbook_fhir.document(sample())
    bundle = Bundle.model_validate_json(json.dumps(found))
    assert bundle.type == "document"
    kinds = [entry["resource"]["resourceType"] for entry in found["entry"]]
    assert kinds[:3] == ["Composition", "Patient", "Organization"]
    assert (kinds.count("Immunization"), kinds.count("Observation"), kinds.count("Condition")) == (12, 14, 1)
    assert (kinds.count("AllergyIntolerance"), kinds.count("AdverseEvent")) == (1, 1)
    urls = {entry["fullUrl"] for entry in found["entry"]}
    named = {one["reference"] for section in found["entry"][0]["resource"]["section"] for one in section["entry"]}
    assert named <= urls
    assert urls - named == {entry["fullUrl"] for entry in found["entry"][:3]}
    assert handbook_fhir.document(sample()) == found
    doses = [one["resource"] for one in found["entry"] if one["resource"]["resourceType"] == "Immunization"]
    by_lot = {one["lotNumber"]: one for one in doses if "lotNumber" in one}
    prevenar = by_lot["PC4004"]
    systems = [one["system"].rsplit("/", 1)[-1] for one in prevenar["vaccineCode"]["coding"]]
    assert systems[:2] == ["master-HOT9", "cvx"]
    assert prevenar["site"]["coding"][0]["code"] == "74L"
    assert [one["code"] for one in prevenar["route"]["coding"]] == ["SQ"]
    assert prevenar["doseQuantity"] == {"value": 0.5, "unit": "mL", "system": handbook_fhir.UCUM, "code": "mL"}
    examined = [one["resource"] for one in found["entry"] if one["resource"]["resourceType"] == "Procedure"]
    assert [(one["outcome"]["text"], one.get("followUp")) for one in examined] == [
        ("異常なし", None),
        ("要観察", [{"text": "1か月後に再診"}]),
    ]
    assert prevenar["reaction"] == [{"date": "2026-07-03T01:00:00Z", "reported": True}]
    (suspected,) = (one["resource"] for one in found["entry"] if one["resource"]["resourceType"] == "AdverseEvent")
    assert suspected["suspectEntity"][0]["instance"]["reference"] in urls
    lists = ("doses", "growth", "conditions", "checkups", "reactions", "allergies", "milestones")
    empty = {**sample(), **{name: [] for name in lists}}
    Bundle.model_validate_json(json.dumps(handbook_fhir.document(empty)))


# Proven -----------------------------------------------------------------------------------------------------------


def test_a_pack_says_what_was_sealed() -> None:
    pack = json.loads(json.dumps(handbook_pack.seal(sample(), KEY)))
    assert handbook_pack.opened(pack, TRUSTED) == sample()


def test_a_code_says_the_doses() -> None:
    said = handbook_pack.read_qr(handbook_pack.qr_text(sample(), KEY), TRUSTED)
    assert (said["name"], said["born"], len(said["doses"])) == ("髙橋 ひかり", "2026-05-01", 12)
    many = sample()
    many["doses"] = [{**many["doses"][0], "lot": f"L{number * 7919 % 100_003}"} for number in range(500)]
    text = handbook_pack.qr_text(many, KEY)
    assert len(text) <= handbook_pack.LONGEST_QR
    cut = handbook_pack.read_qr(text, TRUSTED)
    assert cut["left_out"] + len(cut["doses"]) == 500
    assert cut["doses"][-1][2] == many["doses"][-1]["lot"]


def _tampered() -> list[tuple[str, Any]]:
    good = handbook_pack.seal(sample(), KEY)
    head, body, mark = good["jws"].split(".")
    return [
        ("signature-wrong", {**good, "jws": f"{head}.{body[:-4]}AAAA.{mark}"}),
        ("signature-wrong", {**good, "jws": f"{head}.{body}.{mark[:-4]}AAAA"}),
        ("signature-wrong", handbook_pack.seal(sample(), OTHER)),
        ("key-unknown", handbook_pack.seal(sample(), ECKey.generate_key("P-256", {"kid": "x"}, private=True))),
        (
            "of-another-kind",
            {**good, "jws": handbook_pack.qr_text(sample(), KEY).removeprefix(handbook_pack.QR_PREFIX)},
        ),
        ("key-unknown", {**good, "jws": "e30.e30."}),
        ("key-unknown", {**good, "jws": "eyJhbGciOiJub25lIn0." + body + "."}),
        ("no-pack", {"jws": 1}),
        ("no-pack", []),
    ]


@pytest.mark.parametrize(("why", "pack"), _tampered())
def test_what_was_changed_is_not_proven(why: str, pack: Any) -> None:
    with pytest.raises(NotProven, match=why):
        handbook_pack.opened(pack, TRUSTED)


def test_anybody_can_prove_it_without_a_network(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [KEY.as_dict(private=False)]}), encoding="utf-8")

    def verified(name: str, text: str) -> tuple[int, str]:
        (tmp_path / name).write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "services.records", "verify", str(tmp_path / name), "--keys", str(keys)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)
        return done.returncode, done.stdout + done.stderr

    code, said = verified("pack.json", json.dumps(handbook_pack.seal(sample(), KEY)))
    assert (code, said.splitlines()[0]) == (
        0,
        "PROVEN: 髙橋 ひかり, born 2026-05-01, issued 2026-11-23T03:00:00.000Z, 12 doses",
    )
    assert verified("code.txt", handbook_pack.qr_text(sample(), KEY))[0] == 0
    assert verified("forged.json", json.dumps(handbook_pack.seal(sample(), OTHER)))[:1] == (1,)
    assert verified("broken.json", "{")[0] == 2


# Through the service ----------------------------------------------------------------------------------------------


async def test_a_familys_handbook_has_the_diary_and_the_towns_has_none(door: Door) -> None:
    child = await door.family()
    codes = await door.does(NURSE, "POST", f"/v1/children/{child}/guardian-codes")
    await door.does(FATHER, "POST", "/v1/guardian-links", {"code": codes["codes"][0]["code"]})
    await door.gives(child, lot="AB12")
    for on, text, shared_with in (("2026-11-19", "みんなの一日", "family"), ("2026-11-20", "母だけの一日", "author")):
        entry = {"on": on, "text": text, "shared_with": shared_with}
        await door.does(MOTHER, "POST", f"/v1/children/{child}/diary", entry)

    async def book(who: Any) -> dict[str, Any]:
        return await door.does(who, "GET", f"/v1/children/{child}/handbook?format=json")

    assert [one["text"] for one in (await book(MOTHER))["diary"]] == ["みんなの一日", "母だけの一日"]
    assert [one["text"] for one in (await book(FATHER))["diary"]] == ["みんなの一日"]
    town = await book(NURSE)
    assert town["diary"] == []
    assert (town["doses"][0]["lot"], town["doses"][0]["organisation_name"]) == ("AB12", "わかば小児科")
    assert "doctor-1" not in json.dumps(await book(MOTHER))
    for form, kind in (("pdf", "application/pdf"), ("fhir", "application/fhir+json")):
        answer = await door.call(MOTHER, "GET", f"/v1/children/{child}/handbook?format={form}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert answer.headers["content-disposition"].startswith("attachment; ")
    assert (await door.call(CLINIC, "GET", f"/v1/children/{child}/handbook")).status_code == 403
    bad = await door.call(MOTHER, "GET", f"/v1/children/{child}/handbook?format=exe")
    assert bad.status_code == 422
    # A deployment without a key hands out no pack, and says so.
    assert (await door.call(MOTHER, "GET", f"/v1/children/{child}/handbook?format=pack")).status_code == 503


async def test_the_pregnancy_is_in_the_womans_handbook_and_in_nobody_elses(door: Door) -> None:
    notified = {"guardian": MOTHER.subject, "municipality": TOWN, "expected_delivery": "2026-12-01"}
    path = f"/v1/pregnancies/{(await door.does(NURSE, 'POST', '/v1/pregnancies', notified))['id']}"
    await door.does(MOTHER, "POST", f"{path}/checkups", {"done_on": "2026-11-10", "weight_kg": 58.4})
    name = {name: BODY["name"][name] for name in ("family", "given", "family_kana", "given_kana")}
    born = {"outcome": "birth", "ended_on": "2026-11-20", "children": [{"sex": "F", "name": name}]}
    (child,) = (await door.does(NURSE, "POST", f"{path}/outcome", born))["children"]
    codes = await door.does(NURSE, "POST", f"/v1/children/{child}/guardian-codes")
    await door.does(FATHER, "POST", "/v1/guardian-links", {"code": codes["codes"][0]["code"]})

    async def book(who: Any) -> dict[str, Any]:
        return await door.does(who, "GET", f"/v1/children/{child}/handbook?format=json")

    course = (await book(MOTHER))["pregnancy"]
    assert [(one["week"], one["weight_kg"]) for one in course["checkups"]] == [("37週0日", 58.4)]
    for other in (FATHER, NURSE):
        assert "pregnancy" not in await book(other)
