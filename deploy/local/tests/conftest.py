"""Servers that a test may kill."""

from collections.abc import Iterator

import pytest

from deploy.local.processes import Supervisor


@pytest.fixture
def own() -> Iterator[Supervisor]:
    """A supervisor of this test alone."""
    with Supervisor() as found:
        yield found
