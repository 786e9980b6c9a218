"""Mails, received by a mail server and parsed by the standard library."""

from email.message import EmailMessage
from typing import Any

import pytest

from services.notify import store as kept
from services.notify.commands.pushing import PushTarget
from services.notify.tests.providers import Providers, is_reached_by
from services.notify.tests.town import MOTHER, NOTICE, Town
from shared.ids import new_id
from shared.store import Doc

pytestmark = pytest.mark.integration

HERS = f"{MOTHER.subject}@family.example"


async def always(_: PushTarget) -> bool:
    return True


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert found is not None
    return str(found.get_content())


async def sends(town: Town, **changes: Any) -> Doc:
    """What the ledger keeps of a mail that is sent, and worked on a second time."""
    fields = {"item": new_id(), "recipient": MOTHER.subject, "urgency": "emergency", "titles": {"ja": "お知らせ"}}
    target = PushTarget(**(fields | changes))
    await town.notices.pusher.push([target], always)
    await town.notices.pusher.push([target], always)
    [row] = await town.runtime.store.find(kept.PUSHES, {})
    return row


async def test_a_notice_as_it_arrives(town: Town, providers: Providers) -> None:
    await town.born()
    await is_reached_by(town, "mail")
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    await town.expands(notice, pushes=True)
    [mail] = providers.mail.received
    assert providers.mail.envelopes == [("oshirase@wakaba.example", [HERS])]
    assert (mail["To"], mail["Subject"]) == (HERS, NOTICE["title"]["ja"])
    assert mail["From"].addresses[0].display_name == "育み お知らせ"
    assert mail.get_content_type() == "multipart/alternative"
    assert NOTICE["body"]["ja"] in part(mail, "plain")
    assert NOTICE["body"]["ja"] in part(mail, "html")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@wakaba.example>")
    assert not mail.defects
    [_, line] = (await town.ledger(notice))["items"]
    assert (line["channel"], line["state"], line["answer"]) == ("mail", "accepted", 250)


async def test_what_looks_like_html_is_text(town: Town, providers: Providers) -> None:
    await is_reached_by(town, "mail")
    words = {"ja": '3 < 5 & "引用"'}
    target = PushTarget(new_id(), MOTHER.subject, "info", words, words)
    await town.notices.pusher.push([target], always)
    [mail] = providers.mail.received
    assert "3 &lt; 5 &amp; &quot;引用&quot;" in part(mail, "html")
    assert words["ja"] in part(mail, "plain")


async def test_a_title_cannot_write_headers(town: Town, providers: Providers) -> None:
    """S12: a line break in a title starts no header."""
    await is_reached_by(town, "mail")
    row = await sends(town, titles={"ja": "お知らせ\r\nBcc: everybody@example.com"})
    assert all("Bcc" not in mail for mail in providers.mail.received)
    [mail] = providers.mail.received
    assert (row["state"], mail["Subject"]) == ("accepted", "お知らせ Bcc: everybody@example.com")
    assert providers.mail.envelopes == [("oshirase@wakaba.example", [HERS])]


async def test_one_click_stops_the_mails_and_nothing_else(town: Town, providers: Providers) -> None:
    """RFC 8058: an https address, a POST without a sign-in; the header pair stands in every mail but an emergency's."""
    await town.born()
    await is_reached_by(town, "mail")
    await is_reached_by(town, "line")
    await town.expands(await town.publishes(), pushes=True)
    [mail] = providers.mail.received
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = str(mail["List-Unsubscribe"]).strip("<>")
    assert address.startswith("https://wakaba.example/v1/unsubscriptions/")
    path = address.removeprefix("https://wakaba.example")
    assert (
        await town.call(None, "GET", path)
    ).status_code == 401  # the gateway asks for somebody, not the mail's reader
    assert (await town.call(MOTHER, "GET", path)).text.startswith("メールの配信停止")
    assert (await town.does(MOTHER, "GET", "/v1/preferences"))["topics"]["notices"] == ["push", "line", "mail"]
    forged = path[:-3] + ("AAA" if not path.endswith("AAA") else "BBB")
    assert (await town.call(MOTHER, "POST", forged)).status_code == 404
    assert (await town.call(MOTHER, "POST", path)).status_code == 204
    assert (await town.does(MOTHER, "GET", "/v1/preferences"))["topics"]["notices"] == ["push", "line"]
    await town.expands(await town.publishes(urgency="info"), pushes=True)
    assert len(providers.mail.received) == 1
    assert len(providers.line.delivered) == 2
    await sends_emergency(town)
    assert len(providers.mail.received) == 2
    assert providers.mail.received[1]["List-Unsubscribe"] is None


async def sends_emergency(town: Town) -> None:
    target = PushTarget(new_id(), MOTHER.subject, "emergency", {"ja": "避難してください"})
    await town.notices.pusher.push([target], always)


@pytest.mark.parametrize(
    ("step", "reply", "state", "reason", "attempts"),
    [
        ("rcpt", "550 5.1.1 no such mailbox", "gone", "5.1.1", 1),
        ("rcpt", "550 5.7.1 not from you", "refused", "5.7.1", 1),
        ("rcpt", "553 what", "refused", "553", 1),
        ("rcpt", "450 4.2.1 busy", "refused", "4.2.1", 3),
        ("rcpt", "421 4.3.2 going down", "refused", "4.3.2", 3),
        ("data", "554 5.6.0 not this", "refused", "5.6.0", 1),
        ("data", "452 4.3.1 full", "refused", "4.3.1", 3),
    ],
)
async def test_what_the_relay_answers(
    town: Town, providers: Providers, step: str, reply: str, state: str, reason: str, attempts: int
) -> None:
    await is_reached_by(town, "mail")
    providers.mail.answers[HERS] = (step, reply)
    row = await sends(town)
    assert (row["state"], row["reason"], row["attempts"]) == (state, reason, attempts)
    assert (await town.runtime.store.count(kept.SUBSCRIPTIONS, {}) == 0) == (state == "gone")


async def test_g5_a_relay_that_takes_a_mail_and_falls_silent_gets_it_once(town: Town, providers: Providers) -> None:
    await is_reached_by(town, "mail")
    providers.mail.silent.add(HERS)
    town.notices.pusher.timeout_s = 1.0
    row = await sends(town)
    assert (row["state"], row["attempts"], len(providers.mail.received)) == ("unknown", 1, 1)


async def test_no_relay_no_mail(town: Town, providers: Providers) -> None:
    await is_reached_by(town, "mail")
    await providers.mail.__aexit__()
    row = await sends(town)
    assert (row["state"], row["attempts"]) == ("not-sent", 3)


async def test_a_wrong_password_sends_nothing(town: Town, providers: Providers) -> None:
    await is_reached_by(town, "mail")
    town.runtime.settings.mail_user = "somebody"
    row = await sends(town)
    assert (row["state"], row["status"], providers.mail.received) == ("refused", 535, [])
