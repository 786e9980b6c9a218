"""Tests find the real broker and store by the plugin, and are dealt out to processes; a file of its own because pytest reads plugins only here."""

import dataclasses
import gc
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler.loadfile import LoadFileScheduling

pytest_plugins = ["shared.testing.plugin"]
# A machine that is busy with other tests breaks no rule.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")
ON_A_PLATFORM = (
    "tests/faults/test_short_form.py",
    "tests/journeys/test_diary.py",
    "tests/journeys/test_family.py",
    "tests/journeys/test_growth.py",
    "tests/journeys/test_handbook.py",
    "tests/journeys/test_import.py",
    "tests/journeys/test_life.py",
    "tests/journeys/test_story.py",
    "tests/security/",
)
"""What starts all five services with broker and stores: two such platforms at once only wait for each other on two cores."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Each operation of the API is a test of its own name: of those that share one, the workers would run one."""
    if not item.nodeid.endswith(item.name):
        item._id = dataclasses.replace(item._id, params=item.name.partition("[")[2].removesuffix("]"))


def pytest_collection() -> None:
    """What is imported stays: looking through it again and again for garbage would be a tenth of the work."""
    gc.disable()


def pytest_collection_finish() -> None:
    """From here on garbage is collected, and what was imported is left out."""
    gc.collect()
    gc.freeze()
    gc.enable()


class OnePlatform(LoadFileScheduling):
    """Files are dealt out whole, and all that runs on a platform goes to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return "platform" if nodeid.startswith(ON_A_PLATFORM) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OnePlatform | None:
    """How `make test` deals out."""
    return OnePlatform(config, log) if config.getvalue("dist") == "loadfile" else None
