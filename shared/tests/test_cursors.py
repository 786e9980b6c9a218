"""Places in lists: whoever hands one back gets the next page, and nothing can be made up."""

import pytest

from shared.cursors import Cursors
from shared.problems import Invalid


def test_a_cursor_opens_in_the_list_that_gave_it_and_in_no_other() -> None:
    place = ["mother-1", "2026-11-27"]
    cursor = Cursors(b"of records", "diary").seal(place)
    assert Cursors(b"of records", "diary").open(cursor) == place
    for secret, which in ((b"of records", "imports"), (b"of notify", "diary"), (b"", "diary")):
        with pytest.raises(Invalid):
            Cursors(secret, which).open(cursor)
    with pytest.raises(Invalid):
        Cursors(b"of records", "diary").open(cursor.replace(".", "x.", 1))
