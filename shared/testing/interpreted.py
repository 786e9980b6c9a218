"""A module that runs as native code, once more as Python: both must say the same."""

import importlib.util
from types import ModuleType

from shared.compiled import ROOT


def as_python(module: ModuleType) -> ModuleType:
    """The same source, read by the interpreter under a name of its own."""
    name = module.__name__
    spec = importlib.util.spec_from_file_location(
        f"{name}_as_python", ROOT.joinpath(*name.split(".")).with_suffix(".py")
    )
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{name} has no source")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found
