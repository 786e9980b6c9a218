"""The rules run as compiled code where `make setup` could make it, as Python everywhere else: same files, same answers.

mypyc turns the typed modules of `domain/` into native ones, about three times as fast (docs/adr/0014). They lie in
`build/engine-<fingerprint>`, and the fingerprint is that of the sources: compiled code of other sources is never loaded.
"""

import hashlib
import sys
import sysconfig
from pathlib import Path

DOMAIN = Path(__file__).parent / "domain"
ROOT = DOMAIN.parents[2]


def sources() -> list[Path]:
    """The modules that are compiled, in one order."""
    return sorted(path for path in DOMAIN.glob("*.py") if path.name != "__init__.py")


def home() -> Path:
    """The folder of the compiled code of exactly these sources, for exactly this Python; it need not be there."""
    digest = hashlib.sha256((sysconfig.get_config_var("EXT_SUFFIX") or "").encode())
    for path in sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return ROOT / "build" / f"engine-{digest.hexdigest()[:16]}"


def use() -> bool:
    """Look for the modules of `domain/` among the compiled ones first; says whether they are there."""
    made = home()
    if not (made / ".complete").exists():
        return False
    from services.schedule import domain

    sys.path.append(str(made))  # the modules share one library, which stands beside the package
    domain.__path__.insert(0, str(made.joinpath("services", "schedule", "domain")))
    return True
