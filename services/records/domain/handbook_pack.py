"""The handbook that proves itself without a network: signed as a JWS (RFC 7515, ES256), whole as a file, its doses as a QR code.

The payload is JSON, deflated (RFC 1951), as the type says.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

PACK_TYPE = "hagukumi-handbook+jws"
QR_TYPE = "hagukumi-doses+jws"
QR_PREFIX = "HAGUKUMI:1:"
LONGEST_QR = 1_600
"""Characters: a code of about 3 cm that a telephone still reads from paper."""
MOST_UNPACKED = 100_000


class NotProven(Exception):
    """The pack or code is not what a key that is trusted has signed; the code says why."""


def seal(handbook: Mapping[str, Any], key: ECKey) -> dict[str, Any]:
    """The signed pack."""
    return {"format": "hagukumi-handbook-pack", "version": 1, "jws": _signed(handbook, key, PACK_TYPE)}


def opened(pack: Any, keys: Mapping[str, ECKey]) -> dict[str, Any]:
    """The handbook of a pack; raises NotProven."""
    if not isinstance(pack, dict) or not isinstance(pack.get("jws"), str):
        raise NotProven("no-pack")
    return _proven(pack["jws"], keys, PACK_TYPE)


def qr_text(handbook: Mapping[str, Any], key: ECKey) -> str:
    """The child and its doses as a signed text for a QR code; the oldest doses give way when it would be too long."""
    child, doses = handbook["child"], handbook["doses"]
    name = f"{child['name']['family']} {child['name']['given']}"
    for left_out in range(len(doses) + 1):
        said = {
            "name": name,
            "born": child["birth_date"],
            "issued": handbook["issued_at"],
            "doses": [[dose["given_on"], dose["code"], dose.get("lot", "")] for dose in doses[left_out:]],
            **({"left_out": left_out} if left_out else {}),
        }
        text = QR_PREFIX + _signed(said, key, QR_TYPE)
        if len(text) <= LONGEST_QR:
            return text
    raise ValueError("a name of 200 characters fits")


def read_qr(text: str, keys: Mapping[str, ECKey]) -> dict[str, Any]:
    """What a QR code says; raises NotProven."""
    if not text.startswith(QR_PREFIX):
        raise NotProven("no-code-of-ours")
    return _proven(text.removeprefix(QR_PREFIX), keys, QR_TYPE)


def _signed(said: Mapping[str, Any], key: ECKey, kind: str) -> str:
    plain = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(plain) + packer.flush()
    header = {"alg": "ES256", "kid": key.kid, "typ": kind}
    return jws.serialize_compact(header, packed, key, algorithms=["ES256"])


def _proven(text: str, keys: Mapping[str, ECKey], kind: str) -> dict[str, Any]:
    try:
        head = json.loads(base64.urlsafe_b64decode(text.partition(".")[0] + "=="))
        key = keys[str(head["kid"])]
    except (ValueError, KeyError, TypeError) as error:
        raise NotProven("key-unknown") from error
    try:
        found = jws.deserialize_compact(text.encode(), key, algorithms=["ES256"])
    except (JoseError, ValueError) as error:
        raise NotProven("signature-wrong") from error
    header = found.headers()
    if header.get("typ") != kind:
        raise NotProven("of-another-kind")
    unpacker = zlib.decompressobj(-15)
    bound = MOST_UNPACKED if kind == QR_TYPE else 100 * MOST_UNPACKED
    plain = unpacker.decompress(found.payload, bound)
    if unpacker.unconsumed_tail:
        raise NotProven("too-large")
    said: dict[str, Any] = json.loads(plain)
    return said
