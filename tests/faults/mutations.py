"""Each rule of the protocol taken away in turn: the rig must fail, or it proves nothing (`make faults MUTATIONS=1`).

A mutation is made in a copy of the tree, never in the checkout. `python -m tests.faults.mutations [NAME …]` runs some.
"""

import os
import shutil
import subprocess  # nosec B404 - runs git and pytest with fixed words
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutation:
    """One rule taken away: in which file which text becomes which, and by what it must be seen.

    `by` names faults of the rig, or, where a fault would have to hit within milliseconds, the test of the part.
    """

    rule: str
    what: str
    file: str
    old: str
    new: str
    by: str


MUTATIONS = (
    Mutation("W1", "drop the version guard", "shared/documents.py",
             'return Update({"_id": doc.id, "version": doc.version}, change)',
             'return Update({"_id": doc.id}, change)', "F1"),
    Mutation("W1", "the copy shares what can change with what was read", "shared/native/changes.py",
             "                found[key] = copied(one)\n", "                pass\n",
             "shared/tests/test_changes.py::test_a_copy_shares_nothing_that_can_change"),
    Mutation("W2", "a repeated command is another one", "shared/web.py",
             'return Command.of(principal.subject, key, f"{request.method} {request.url.path}", body)',
             'return Command.of(principal.subject, new_id(), f"{request.method} {request.url.path}", body)', "F2"),
    Mutation("W3", "one event id for two streams", "shared/native/envelopes.py",
             'f"{stream}\\x1f{subject}\\x1f{revision}"', 'f"{subject}\\x1f{revision}"', "F1"),
    Mutation("A1", "skip the archive", "shared/outbox.py",
             "outboxes = await self._archive(outboxes)", "pass", "F1"),
    Mutation("A3", "send n+1 after n failed", "shared/outbox.py", "                del alive[place]\n", "",
             "shared/tests/test_announcing.py::test_a3_nothing_overtakes_an_event_that_failed"),
    Mutation("A4", "send what was just written without what lies before it", "shared/documents.py",
             "doc.outgoing if doc.depth == 0 else None", "list(doc.outgoing)",
             "shared/tests/test_announcing.py::test_a4_what_was_left_goes_before_what_is_new"),
    Mutation("A5", "clear the outbox unguarded", "shared/outbox.py",
             '{"_id": doc_id, "revision": place, **NOTHING_ELSE}', '{"_id": doc_id}', "F1,F4"),
    Mutation("R1", "apply what is known", "shared/views.py", "if revision <= at:", "if False:", "F8"),
    Mutation("R1", "apply over a gap", "shared/views.py",
             "if revision > at + 1 or doc.parked:", "if doc.parked:", "F5-forgotten"),
    Mutation("R1", "forget a gap", "shared/views.py",
             """doc.wanted[name] = max(doc.wanted.get(name, 0), revision)
                outcomes[stream, "held"] += 1""",
             'outcomes[stream, "held"] += 1', "F5-forgotten"),
    Mutation("R3", "commit before it is applied", "shared/delivery.py",
             "                rejected = await self._into(sinks, envelopes)\n",
             "                await self._commit(group, message, records)\n"
             '                crash_point("after_bulk_before_commit")\n'
             "                rejected = await self._into(sinks, envelopes)\n", "F2-last"),
    Mutation("R6", "drop what cannot be read", "shared/delivery.py",
             "letters = [_letter(record, error.code, self._settings.service) for record, error in bad]", "letters = []", "F9"),
    Mutation("R6", "park on what merely stands on a topic", "shared/views.py",
             """if envelope.from_archive:
                    doc.parked""", """if True:
                    doc.parked""", "shared/tests/test_healing.py"),
    Mutation("R6", "park nobody", "shared/views.py",
             """if envelope.from_archive:
                    doc.parked""", """if False:
                    doc.parked""", "shared/tests/test_healing.py"),
    Mutation("R6", "what was passed over stays passed over", "shared/views.py",
             "if not self._passed_over(doc, name, envelope):", "if True:", "F9"),
    Mutation("R6", "a bad subject is no bad record", "shared/native/envelopes.py",
             'if "." in subject or', 'if False and "." in subject or', "F9"),
    Mutation("R1", "what a refused event had half done stays", "shared/views.py",
             "                self._undo(doc, done)\n", "", "shared/tests/test_reading.py"),
    Mutation("R4", "what is published and not cleared is not told", "shared/reconciling.py",
             "yield Head(subject, head - len(waiting), head)", "yield Head(subject, head - len(waiting), head - len(waiting))", "shared/tests/test_reconciling.py"),
    Mutation("R4", "what was read while the heads were told is an alarm", "shared/reconciling.py",
             "await self._still_ahead(stream, ahead)", "len(ahead)", "shared/tests/test_reconciling.py"),
    Mutation("A6", "an error that nobody foresaw ends the relay", "shared/outbox.py",
             """            except Exception as error:
                # The sweeper""", """            except (TimeoutError, OSError) as error:
                # The sweeper""", "shared/tests/test_announcing.py"),
    Mutation("A6", "what nobody waits for leaves only with something else", "shared/outbox.py",
             "            asyncio.get_running_loop().call_later(GATHER_S, self._gathered)\n", "", "shared/tests/test_announcing.py"),
    Mutation("A3", "what one topic does wrong fails every event of its batch", "shared/bus.py",
             "            raise SendFailed(ABSENT, final=False) from None\n", "            raise\n",
             "shared/tests/test_announcing.py::test_g10_a_topic_that_is_not_there_holds_up_nobody_elses_events"),
    Mutation("D5", "a withdrawal is acknowledged before the feed has ended", "services/gateway/store.py",
             '        and f"clinic.{clinic}" not in waiting\n', "", "services/gateway/tests/feeds/test_child_view.py"),
    Mutation("R1", "the healer brings nothing", "shared/healing.py",
             "            await view.apply(missing)\n", "", "shared/tests/test_healing.py"),
    Mutation("R4", "what the heads show is not written down", "shared/reconciling.py",
             "await remember(self._store, [view.name], missing)", "pass", "shared/tests/test_reconciling.py"),
    Mutation("A2", "bodies stay in the document", "shared/outbox.py",
             "await self._leave_stubs(document, left)", "pass", "shared/tests/test_announcing.py"),
    Mutation("A6", "nobody sweeps", "shared/outbox.py",
             "                    self._offered[place] = None\n", "                    pass\n", "shared/tests/test_announcing.py"),
    Mutation("G9", "a reader whose client has given up keeps it", "shared/loops.py",
             "            await runtime.follower.begin_again(subscriber)\n", "            pass\n", "shared/tests/test_liveness.py"),
    Mutation("G9", "a commit is waited for for ever", "shared/delivery.py",
             "async with asyncio.timeout(COMMIT_WITHIN_S):\n                await consumer.commit(offsets)",
             "async with asyncio.timeout(None):\n                await consumer.commit(offsets)",
             "shared/tests/test_liveness.py"),
    Mutation("R3", "an offset that was not acknowledged is forgotten", "shared/delivery.py",
             "                if group in self._late:\n", "                if False:\n", "shared/tests/test_liveness.py"),
    Mutation("W4", "no bound on an outbox", "shared/documents.py",
             "doc.depth + len(doc.outgoing) > self._max_depth or not self._relay.has_room()", "False",
             "shared/tests/test_writing.py"),
    Mutation("R2", "a second owner overwrites", "shared/documents.py",
             'return Update({"_id": doc.id, "version": doc.version}, change)',
             'return Update({"_id": doc.id}, change)', "shared/tests/test_reading.py"),
    Mutation("R5", "a plan is read before it has seen what it is asked for", "services/gateway/commands/read_your_writes.py",
             " or _seen(found.state, child) < wanted", "", "services/gateway/tests/door/test_reads.py"),
    Mutation("R8", "live traffic feeds one generation", "shared/views.py",
             "            await beside._apply(batch)\n", "            pass\n", "tests/journeys/test_rebuild.py"),
    Mutation("R8", "the new generation's rows are the older ones", "shared/views.py",
             "first_version=generation * VERSIONS_APART + 1,", "", "tests/journeys/test_rebuild.py"),
    Mutation("R8", "primary data is rebuilt", "shared/rebuilding.py", "    if view.owns:\n", "    if False:\n",
             "tests/journeys/test_rebuild.py"),
    Mutation("R9", "an older writer's rows win", "shared/views.py",
             'Update({"_id": row_id, "version": {"$lt": fields["version"]}}', 'Update({"_id": row_id}',
             "shared/tests/test_reading.py"),
    Mutation("D3", "send what is no longer wanted", "services/notify/commands/pushing.py",
             "wanted = await still_wanted(target)", "wanted = True", "services/notify/tests/test_push_promises.py"),
    Mutation("D3", "what may have arrived is tried again", "services/notify/commands/channels/wire.py",
             'return Answer("unknown", reply.status, reason)', 'return Answer("refused", reply.status, reason, 0.0)',
             "services/notify/tests/test_pushing.py"),
    Mutation("D4", "fire a reminder again", "services/schedule/commands/reminders.py",
             '        reminder["state"] = "fired"\n', "", "services/schedule/tests/test_service.py"),
    Mutation("D1", "recipients are asked for again at each page", "services/notify/commands/fanout.py",
             "recipients = await kept.frozen_pages(notices.store, [page.frozen for page in pages])",
             "recipients = {page.frozen: [one for family in (await kept.town_of_code(notices.store, "
             'page.notice.state["municipality"])).families for one in family.guardians] for page in pages}',
             "services/notify/tests/test_fanout.py"),
    Mutation("G10", "an emergency queues in the newsletters' lane", "services/notify/commands/announcements.py",
             'lane = UrgentFanoutPage if state["urgency"] == "emergency" else FanoutPage', "lane = FanoutPage",
             "services/notify/tests/test_live.py"),
    Mutation("D2", "inbox items with new ids", "services/notify/store/notices.py",
             '"_id": derived_id(source, recipient, "inbox"),', '"_id": new_id(),',
             "services/notify/tests/test_fanout.py::test_d1_a_page_worked_twice_is_worked_once"),
    Mutation("W5", "a frozen record takes writes", "services/records/store/children.py",
             'if not even_frozen and state.get("frozen"):', "if False:", "services/records/tests/test_merging_killed.py"),
    Mutation("W5", "nobody goes on with a half-done merge", "services/records/commands/merging.py",
             "            await run(records, saga)\n    return len(left)", "            pass\n    return len(left)",
             "services/records/tests/test_merging_killed.py"),
    Mutation("W5", "the diary stays behind", "services/records/commands/merging.py",
             "(_freeze, _carry_over, _move_diary, _close, _move_diary)", "(_freeze, _carry_over, _close)",
             "services/records/tests/test_merging.py"),
    Mutation("R7", "a closed record is there again", "services/records/store/children.py",
             'if "facts" not in state or (not even_frozen and state.get("merged_into")):', 'if "facts" not in state:',
             "services/records/tests/test_merging.py"),
    Mutation("R7", "a reader forgets that a record closed", "services/gateway/subscribers/child_view.py",
             "            child_view.close(doc.state)\n", "            doc.state.clear()\n",
             "services/gateway/tests/feeds/test_child_view.py"),
    Mutation("D5", "a feed ends without a word", "services/gateway/domain/clinic_feed.py",
             '            found.append(FeedItem(clinic, "ConsentEnded", consent_ended(child, clinic, at=wire_instant(now))))\n', "",
             "services/gateway/tests/feeds/test_clinic_feed.py"),
    Mutation("D5", "acknowledged before the end marker is out", "services/gateway/store.py",
             'and f"clinic.{clinic}" not in waiting', "", "services/gateway/tests/feeds/test_child_view.py"),
    Mutation("D3", "push without a claim", "services/notify/commands/pushing.py",
             'claim = claim_of(target.item, address["_id"], channel, target.change)', "claim = new_id()", "F2"),
)  # fmt: skip


def tree(target: Path) -> None:
    """A copy of everything that git knows, with the environment of the checkout."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    for name in (".venv", "build"):
        (target / name).symlink_to((ROOT / name).resolve())


def is_seen(mutation: Mutation, target: Path, seed: int) -> tuple[bool, str]:
    """Whether the rig fails under the mutation, and the sentence with which it does."""
    file = target / mutation.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        return False, f"the text to replace stands {text.count(mutation.old)} times in {mutation.file}"
    added = "from shared.ids import new_id\n" if "new_id()" in mutation.new and "import new_id" not in text else ""
    changed = text.replace(mutation.old, mutation.new)
    if added and "new_id" not in text.split("class ")[0]:
        head, mark, rest = changed.partition("\nfrom ")
        changed = f"{head}\n{added}from {rest}" if mark else changed
    file.write_text(changed, encoding="utf-8")
    try:
        what = [mutation.by]
        if "/" not in mutation.by:
            what = ["tests/faults/test_short_form.py", "--faults", mutation.by, "--seed", str(seed)]
        command = [sys.executable, "-m", "pytest", "-x", "-q", *what]
        done = subprocess.run(command, cwd=target, capture_output=True, text=True, check=False, timeout=1_800)
    finally:
        file.write_text(text, encoding="utf-8")
    said = [line for line in done.stdout.splitlines() if line.startswith("E  ")]
    # A rig that could not even start has seen nothing.
    return done.returncode == 1 and "FAILED" in done.stdout, said[0][4:120].strip() if said else "nothing failed"


def main(names: list[str]) -> int:
    """Run them one after the other; 1 when one was not seen."""
    console, missed = Console(width=160), 0
    table = Table(title="mutations: the rig must fail under each")
    for head in ("rule", "taken away", "under", "seen", "as"):
        table.add_column(head)
    with tempfile.TemporaryDirectory(prefix="hagukumi-mutations-") as folder:
        target = Path(folder)
        tree(target)
        for mutation in MUTATIONS:
            if names and mutation.rule not in names and mutation.what not in names:
                continue
            seen, said = is_seen(mutation, target, seed=int(os.environ.get("SEED", "1")))
            missed += not seen
            row = (mutation.rule, mutation.what, mutation.by.rpartition("/")[2], "yes" if seen else "NO", said)
            console.print(" · ".join(row))
            table.add_row(*row)
    console.print(table)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
