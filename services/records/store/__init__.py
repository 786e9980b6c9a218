"""Documents and domain objects of records; the only room that names its collections.

Primary (never rebuilt): `children` (the records and the head of records.child), `guardian_codes` (which child a code
belongs to), `days` (on which day a child is looked at again), `sagas` (merges and births that are under way),
`told_apart`, `pregnancies` (and the head of records.pregnancy), `lent_pregnancies` (what an organisation finds among
them), `diary` (entries), `photos` (which files there should be), `imports` (files that towns handed in, and how far
each is), `import_rows` (what became of each row), `import_refs` (which child a town's own number means). View (rebuilt
from the gateway's history): `organisations`.
"""

from services.records.store import children, codes, collections, days, diary, history, imports, merging, pregnancies

__all__ = ["children", "codes", "collections", "days", "diary", "history", "imports", "merging", "pregnancies"]
