"""What a notice says: readings, placeholders, languages and their fallback, links and attachments."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify import store as kept
from services.notify.domain import furigana
from services.notify.tests.town import FATHER, MOTHER, NURSE, OTHER_NURSE, PDF, TOWN, Town
from shared.events.gateway import MunicipalityOpened


@pytest.mark.parametrize(
    ("text", "parts", "plain"),
    [
        ("休園《きゅうえん》です", [("休園", "きゅうえん"), ("です", None)], "休園です"),
        (
            "あした 市役所《しやくしょ》に",
            [("あした ", None), ("市役所", "しやくしょ"), ("に", None)],
            "あした 市役所に",
        ),
        ("｜B型肝炎《ビーがたかんえん》", [("B型肝炎", "ビーがたかんえん")], "B型肝炎"),
        ("", [], ""),
    ],
)
def test_readings_stand_beside_their_words(text: str, parts: list[furigana.Segment], plain: str) -> None:
    assert not furigana.broken(text)
    assert furigana.segments(text) == parts
    assert furigana.plain(text) == plain


@given(st.text(alphabet="休園きゅう《》｜a ", max_size=12))
def test_the_parts_of_a_text_are_the_text(text: str) -> None:
    if not furigana.broken(text):
        assert "".join(words for words, _ in furigana.segments(text)) == furigana.plain(text)
        assert not set("《》｜") & set(furigana.plain(text))


@pytest.mark.integration
async def test_what_is_filled_in_and_what_has_readings(town: Town) -> None:
    towns = next(sink for sink in town.runtime.follower.sinks if sink.name == kept.TOWNS)
    await towns.apply([town.envelope(TOWN, MunicipalityOpened(code=TOWN, name="わかば市"))])
    await town.born()
    words = {
        "ja": "{{town}}より、{{expires_on}}まで休園《きゅうえん》です",
        "en": "Closed until {{ expires_on }}, {{town}}",
    }
    await town.expands(await town.publishes(body=words, expires_at="2026-11-30T15:00:00Z"))
    [item] = await town.inbox()
    assert item["body"] == {"ja": "わかば市より、2026年12月1日まで休園です", "en": "Closed until 2026-12-01, わかば市"}
    assert item["readings"]["body"] == {
        "ja": [["わかば市より、2026年12月1日まで", None], ["休園", "きゅうえん"], ["です", None]]
    }


@pytest.mark.integration
async def test_a_missing_language_falls_back_and_says_so(town: Town) -> None:
    await town.born(guardians=[MOTHER.subject, FATHER.subject])
    vietnamese = {"_id": MOTHER.subject, "version": 1, "state": {"language": "vi", "channels": []}}
    await town.runtime.store.insert(kept.CONTACTS, vietnamese)
    await town.born(guardians=[MOTHER.subject])
    audience = {"audience": {"age_years": {"under": 6}}, "languages": ["ja", "en"]}
    assert (await town.does(NURSE, "POST", "/v1/announcements/preview", audience))["fallback"] == {"vi": 1}
    await town.expands(await town.publishes())
    [hers], [his] = await town.inbox(MOTHER), await town.inbox(FATHER)
    assert (hers["language"], hers["fallback_from"]) == ("ja", "vi")
    assert (his["language"], "fallback_from" in his) == ("ja", False)
    second = await town.publishes(body={"ja": "休園します。", "vi": "Hôm nay nghỉ."})
    await town.expands(second)
    [item] = [one for one in await town.inbox(MOTHER) if one["announcement"] == second]
    assert (item["language"], "fallback_from" in item) == ("vi", False)


@pytest.mark.integration
async def test_links_and_papers_come_along_until_the_notice_is_recalled(town: Town) -> None:
    await town.born()
    paper = await town.does(NURSE, "POST", "/v1/attachments", {"name": "地図.pdf", "content": PDF})
    link = {"url": "https://video.example/w?v=1", "title": {"ja": "あやし方の動画", "en": "Video"}}
    notice = await town.publishes(links=[link], attachments=[paper["id"]])
    path = f"/v1/announcements/{notice}/attachments/{paper['id']}"
    assert (await town.call(MOTHER, "GET", path)).status_code == 404
    await town.expands(notice)
    [item] = await town.inbox()
    assert item["links"] == [link]
    assert item["attachments"] == [{**paper}]
    answer = await town.call(MOTHER, "GET", path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.content == base64.b64decode(PDF)
    assert answer.headers["content-disposition"].endswith("%E5%9C%B0%E5%9B%B3.pdf")
    await town.does(NURSE, "POST", f"/v1/announcements/{notice}/recall", {"reason": "wrong map"})
    assert (await town.call(MOTHER, "GET", path)).status_code == 404
    [item] = await town.inbox()
    assert item["links"] == item["attachments"] == []


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "content", "pointer", "code"),
    [
        ("a.pdf", "no base64!", "/content", "not-base64"),
        ("a.pdf", base64.b64encode(b"<html>").decode(), "/content", "not-a-pdf"),
        ("a.pdf", base64.b64encode(b"%PDF-1.7 cut off").decode(), "/content", "not-a-pdf"),
        ("a.pdf", base64.b64encode(b"%PDF-1.7 /JS (app.alert(1)) %%EOF").decode(), "/content", "active-content"),
        ("a.pdf", base64.b64encode(b"%PDF-" + b"x" * 180_000 + b"%%EOF").decode(), "/content", "too-large"),
        ("../a.pdf", PDF, "/name", "string-pattern-mismatch"),
    ],
)
async def test_what_is_no_paper_is_refused(town: Town, name: str, content: str, pointer: str, code: str) -> None:
    answer = await town.call(NURSE, "POST", "/v1/attachments", {"name": name, "content": content})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)


@pytest.mark.integration
async def test_another_towns_paper_is_not_there(town: Town) -> None:
    await town.born()
    paper = await town.does(OTHER_NURSE, "POST", "/v1/attachments", {"name": "a.pdf", "content": PDF})
    body = {"title": {"ja": "題"}, "body": {"ja": "文"}, "audience": {"age_years": {"under": 6}}}
    assert await town.refused({**body, "attachments": [paper["id"]]}) == [("/attachments/0", "attachment-unknown")]
