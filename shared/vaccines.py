"""The vaccines that Hagukumi knows (vaccines.yaml): one table for records, rules and FHIR."""

import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

FILE = Path(__file__).with_name("vaccines.yaml")

OWN = "https://hagukumi.example/codes/vaccine"
CVX = "http://hl7.org/fhir/sid/cvx"
HOT9 = "http://medis.or.jp/CodeSystem/master-HOT9"
HOT13 = "http://medis.or.jp/CodeSystem/master-HOT13"
SYSTEMS = (OWN, CVX, HOT9, HOT13)

Live = Literal["injectable", "oral", "nasal"]
Recipient = Literal["child", "mother"]


@dataclass(frozen=True, slots=True)
class Product:
    """A product as on the vial, with its MEDIS codes where they were checked."""

    name: str
    hot9: str | None = None
    hot13: str | None = None


@dataclass(frozen=True, slots=True)
class Vaccine:
    """One vaccine: Hagukumi's code, its CVX codes (the first is sent), its names, what it holds."""

    code: str
    cvx_codes: tuple[str, ...]
    ja: str
    en: str
    antigens: frozenset[str]
    live: Live | None
    recipient: Recipient
    products: tuple[Product, ...]

    @property
    def cvx(self) -> str:
        """The CVX code that is sent."""
        return self.cvx_codes[0]

    @property
    def live_injectable(self) -> bool:
        """Whether the interval between live injectables holds for it (注射生ワクチン)."""
        return self.live == "injectable"


class Vaccines:
    """The table, found by code, by coding and by product."""

    def __init__(self, vaccines: tuple[Vaccine, ...]) -> None:
        self.all = vaccines
        self.by_code = {vaccine.code: vaccine for vaccine in vaccines}
        self._by_coding: dict[tuple[str, str], Vaccine] = {}
        self._by_product: dict[str, Vaccine] = {}
        self._products: dict[str, Product] = {}
        for vaccine in vaccines:
            codings = [(OWN, vaccine.code), *((CVX, code) for code in vaccine.cvx_codes)]
            for product in vaccine.products:
                codings += [(HOT9, product.hot9)] if product.hot9 else []
                codings += [(HOT13, product.hot13)] if product.hot13 else []
                self._once(self._by_product, _folded(product.name), vaccine)
                self._products[_folded(product.name)] = product
            for coding in codings:
                self._once(self._by_coding, coding, vaccine)

    @staticmethod
    def _once(table: dict[Any, Vaccine], key: Any, vaccine: Vaccine) -> None:
        if key in table:
            raise ValueError(f"{FILE.name}: {key} stands for two vaccines")
        table[key] = vaccine

    def find(self, system: str, code: str) -> Vaccine | None:
        """The vaccine of a coding in one of SYSTEMS; a CVX code may lack its leading zero."""
        if system == CVX and len(code) == 1:
            code = f"0{code}"
        return self._by_coding.get((system, code))

    def of_product(self, name: str) -> Vaccine | None:
        """The vaccine of a product's name as on the vial; None for a name that the table does not have."""
        return self._by_product.get(_folded(name))

    def product(self, name: str) -> Product | None:
        """The product of that name as on the vial."""
        return self._products.get(_folded(name))


def folded_lot(text: str) -> str:
    """A lot number as recalls and records compare it: half-width capitals without spaces."""
    return "".join(unicodedata.normalize("NFKC", text).upper().split()).replace("‐", "-")


def _folded(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def hot_system(code: str) -> str:
    """The system of a MEDIS code, by its length."""
    return HOT13 if len(code) == 13 else HOT9


_KEYS = {"code", "cvx", "ja", "en", "antigens", "live", "recipient", "products"}


def _read(row: dict[str, Any]) -> Vaccine:
    if unknown := row.keys() - _KEYS:
        raise ValueError(f"{FILE.name}: {row.get('code')}: unknown {sorted(unknown)}")
    if not row["cvx"] or not row["antigens"] or row.get("live") not in {None, "injectable", "oral", "nasal"}:
        raise ValueError(f"{FILE.name}: {row['code']} is incomplete")
    if row.get("recipient", "child") not in {"child", "mother"}:
        raise ValueError(f"{FILE.name}: {row['code']}: unknown recipient")
    return Vaccine(
        code=row["code"],
        cvx_codes=tuple(row["cvx"]),
        ja=row["ja"],
        en=row["en"],
        antigens=frozenset(row["antigens"]),
        live=row.get("live"),
        recipient=row.get("recipient", "child"),
        products=tuple(Product(**product) for product in row.get("products", ())),
    )


@cache
def vaccines() -> Vaccines:
    """The table, read and checked once; raises ValueError when the file contradicts itself."""
    rows = yaml.safe_load(FILE.read_text(encoding="utf-8"))["vaccines"]
    return Vaccines(tuple(_read(row) for row in rows))
