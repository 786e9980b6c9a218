"""The handbook on paper: typst sets the pages, with furigana over the words that a child's parent may not read."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pylopdf_fonts_jp
import segno
import typst

FONTS = Path(pylopdf_fonts_jp.__file__).parent
"""Noto Sans JP and Noto Serif JP (SIL OFL 1.1), pinned as a package like everything else."""


def pages(handbook: Mapping[str, Any], template: str, qr: str | None, charts: Sequence[str] = ()) -> bytes:
    """The PDF, A4; `charts` are SVG. What families wrote goes in as data, never as markup. Takes up to seconds: use a thread."""
    inputs: dict[str, str] = {
        "handbook": json.dumps(handbook, ensure_ascii=False),
        "charts": json.dumps(list(charts), ensure_ascii=False),
        "qr": _svg(qr) if qr is not None else "",
    }
    # Its types want the folders of fonts to be of the same type as the source.
    fonts: Any = [str(FONTS)]
    return typst.compile(template.encode(), font_paths=fonts, ignore_system_fonts=True, sys_inputs=inputs, format="pdf")


def _svg(text: str) -> str:
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="svg", border=2, xmldecl=False)
    return out.getvalue().decode()
