"""Places in notify's lists, which a client can hand back and nothing else."""

from shared.cursors import Cursors
from shared.service import Runtime


def cursors_of(runtime: Runtime) -> Cursors:
    """Cursors sealed with what only this service knows."""
    return Cursors(str((runtime.settings.internal_keys.get("private") or {}).get("d", "")))
