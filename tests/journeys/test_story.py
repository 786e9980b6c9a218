"""The story that `make demo` tells, as a test: all five services, the real broker, five real stores."""

from pathlib import Path

import pytest

from deploy.local import demo
from deploy.local.platform import Platform

pytestmark = [pytest.mark.integration, pytest.mark.journey, pytest.mark.slow]


async def test_one_familys_story_is_true(tmp_path: Path) -> None:
    with Platform.start(tmp_path) as platform:
        await demo.tell(platform.data)
