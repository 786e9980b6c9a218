"""How words are folded before they are kept: readings of names (フリガナ), lot numbers (製造番号)."""

import re
import unicodedata

from shared.vaccines import folded_lot

_LOT = re.compile(r"[0-9A-Z][0-9A-Z/-]{0,29}")
_KATAKANA = re.compile(r"[ァ-ヺー・ゝゞヽヾ 　]+")
_HIRAGANA = {code: code + 0x60 for code in [*range(0x3041, 0x3097), 0x309D, 0x309E]}


def katakana(text: str) -> str | None:
    """The reading in full-width katakana: half-width and hiragana are folded, spaces become one; None for anything else."""
    # NFKC joins a half-width voiced sound (ｶﾞ) to one letter; it is applied to readings only, never to names: it would
    # replace the variant characters (神, 福, 都 …) that people write themselves with.
    folded = unicodedata.normalize("NFKC", text).translate(_HIRAGANA)
    folded = "　".join(folded.split())
    return folded if _KATAKANA.fullmatch(folded) else None


def lot_number(text: str) -> str | None:
    """The lot number in half-width capitals without spaces, as recalls compare it; None when it cannot be one."""
    folded = folded_lot(text)
    return folded if _LOT.fullmatch(folded) else None
