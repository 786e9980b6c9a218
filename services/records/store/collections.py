"""The names of the collections of records, and the indexes that only this service needs."""

from shared.store import Store

CHILDREN = "children"
ORGANISATIONS = "organisations"
GUARDIAN_CODES = "guardian_codes"
DIARY = "diary"
PHOTOS = "photos"
DAYS = "days"
SAGAS = "sagas"
APART = "told_apart"
IMPORTS = "imports"
IMPORT_ROWS = "import_rows"
IMPORT_REFS = "import_refs"
PREGNANCIES = "pregnancies"
LENT = "lent_pregnancies"
CODES_KEPT_S = 90 * 24 * 3600


async def ensure_indexes(store: Store) -> None:
    """The indexes that only this service needs."""
    await store.ensure_index(GUARDIAN_CODES, ["made_at"], expire_seconds=CODES_KEPT_S)
    await store.ensure_index(DAYS, ["on"])
    await store.ensure_index(SAGAS, ["at"])
    await store.ensure_index(APART, ["town"])
    # A move or a correction changes it, hardly anything else does: it costs a dose nothing.
    await store.ensure_index(CHILDREN, ["state.match"])
    await store.ensure_index(DIARY, ["state.child", "state.place"])
    await store.ensure_index(IMPORTS, ["state.municipality"])
    await store.ensure_index(PREGNANCIES, ["state.woman"])
    await store.ensure_index(PREGNANCIES, ["state.municipality"])
    await store.ensure_index(PREGNANCIES, ["state.moving_to"])
    await store.ensure_index(LENT, ["organisation"])
    await store.ensure_index(IMPORTS, ["state.open"], where={"state.open": {"$gte": 1}})
    await store.ensure_index(IMPORT_ROWS, ["batch", "row"])
    await store.ensure_index(PHOTOS, ["look_at"], where={"look_at": {"$gte": 0}})
