"""Places in notify's lists, which a client can hand back and nothing else."""

from shared.cursors import Cursors
from shared.runtime import Runtime


def cursors_of(runtime: Runtime, which: str) -> Cursors:
    """Cursors of one kind of list, sealed with what only this service knows; those of another kind do not open."""
    return Cursors(f"{(runtime.settings.internal_keys.get('private') or {}).get('d', '')}:{which}")
