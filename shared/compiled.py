"""A package runs as native code where `make setup` could compile it, as Python everywhere else: same files, same answers.

mypyc turns its typed modules into native ones, two to three times as fast (ADR 14, ADR 84). They lie in
`build/native-<fingerprint>`, and the fingerprint is that of the sources: compiled code of other sources is never loaded.
"""

import hashlib
import importlib
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("shared.native", "services.schedule.domain")
"""What is compiled, where it is there: an image holds one service."""


def sources(package: str) -> list[Path]:
    """The modules of a package that are compiled, in one order; none where the package is not there."""
    return sorted(path for path in ROOT.joinpath(*package.split(".")).glob("*.py") if path.name != "__init__.py")


def home(package: str) -> Path:
    """The folder of the compiled code of exactly these sources, for exactly this Python; it need not be there."""
    digest = hashlib.sha256((sysconfig.get_config_var("EXT_SUFFIX") or "").encode())
    for path in sources(package):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return ROOT / "build" / f"native-{digest.hexdigest()[:16]}"


def use(package: str) -> bool:
    """Look for the modules of this package among the compiled ones first; says whether they are there."""
    made = home(package)
    if not (made / ".complete").exists():
        return False
    sys.path.append(str(made))  # the modules share one library, which stands beside the package
    importlib.import_module(package).__path__.insert(0, str(made.joinpath(*package.split("."))))
    return True
