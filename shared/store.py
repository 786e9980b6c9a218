"""The only module that knows the MongoDB driver: connect, read, guarded writes, indexes (ADR 1: PyMongo async by default, Motor by a setting)."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from gridfs import AsyncGridFSBucket
from gridfs.errors import NoFile
from pymongo import ASCENDING, AsyncMongoClient, InsertOne, ReadPreference, UpdateOne
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

Doc = dict[str, Any]
DUPLICATE = 11000
IDS_PER_QUERY = 50  # one `$in` of 500 ids costs the embedded store four times ten of 50

StoreError = PyMongoError
"""Anything that the store or the way to it did wrong."""

StoreUnreachable = AutoReconnect
"""The store could not be reached; the outcome of a write is unknown."""


class Store:
    """One service's database. Durable by configuration: majority, journal, majority reads, a bound on each call."""

    def __init__(self, client: Any, database: str) -> None:
        self._client = client
        self._name = database
        self.names: dict[str, str] = {}
        """Collections that are kept under another name at present (a view's generation): every call looks here."""
        self._database = client.get_database(
            database,
            write_concern=WriteConcern(w="majority", j=True),
            read_concern=ReadConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
        )

    @classmethod
    def connect(cls, url: str, database: str, *, driver: str = "pymongo", timeout_ms: int = 10_000) -> "Store":
        """A store at this address; nothing is sent before the first call.

        Writes are conditional on `version`, so they are safe to repeat and the driver's own retries stay off.
        """
        options: dict[str, Any] = {
            "retryWrites": False,
            "timeoutMS": timeout_ms,
            "serverSelectionTimeoutMS": timeout_ms,
            "connectTimeoutMS": timeout_ms,
            "tz_aware": True,
            "maxPoolSize": 32,
        }
        if driver == "motor":
            from motor.motor_asyncio import AsyncIOMotorClient

            return cls(AsyncIOMotorClient(url, **options), database)
        return cls(AsyncMongoClient(url, **options), database)

    def with_names(self, names: Mapping[str, str]) -> "Store":
        """The same store, in which these collections have other names; it shares the connections."""
        found = Store(self._client, self._name)
        found.names = dict(names)
        return found

    def _of(self, collection: str) -> Any:
        return self._database[self.names.get(collection, collection)]

    async def close(self) -> None:
        """Close every connection."""
        closing = self._client.close()
        if closing is not None:
            await closing

    async def ping(self) -> None:
        """Raise `StoreError` unless the server answers."""
        await self._database.command("ping")

    async def ensure_index(
        self,
        collection: str,
        keys: Sequence[str],
        *,
        unique: bool = False,
        where: Doc | None = None,
        expire_seconds: int | None = None,
    ) -> None:
        """Create an ascending index if it is not there; `where` makes it partial."""
        options: Doc = {"unique": unique} if unique else {}
        if where is not None:
            options["partialFilterExpression"] = where
        if expire_seconds is not None:
            options["expireAfterSeconds"] = expire_seconds
        await self._of(collection).create_index([(key, ASCENDING) for key in keys], **options)

    async def get(self, collection: str, key: str, fields: Sequence[str] | None = None) -> Doc | None:
        """The document of this id, or None."""
        found: Doc | None = await self._of(collection).find_one({"_id": key}, _projection(fields))
        return found

    async def get_many(
        self, collection: str, keys: Iterable[str], fields: Sequence[str] | None = None
    ) -> dict[str, Doc]:
        """The documents of these ids that exist, by id."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Doc] = {}
        for start in range(0, len(wanted), IDS_PER_QUERY):
            chunk = wanted[start : start + IDS_PER_QUERY]
            query = {"_id": chunk[0]} if len(chunk) == 1 else {"_id": {"$in": chunk}}
            for doc in await self._of(collection).find(query, _projection(fields)).to_list(None):
                found[doc["_id"]] = doc
        return found

    async def find(
        self,
        collection: str,
        where: Mapping[str, Any],
        *,
        sort: Sequence[tuple[str, int]] | None = None,
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[Doc]:
        """The documents that match, in this order."""
        cursor = self._of(collection).find(where, _projection(fields))
        if sort:
            cursor = cursor.sort(list(sort))
        if limit:
            cursor = cursor.limit(limit)
        found: list[Doc] = await cursor.to_list(None)
        return found

    async def each(
        self, collection: str, where: Mapping[str, Any], *, fields: Sequence[str] | None = None, batch: int = 500
    ) -> AsyncIterator[Doc]:
        """Every matching document, one after the other, without holding them all."""
        async for doc in self._of(collection).find(where, _projection(fields)).batch_size(batch):
            yield doc

    async def count(self, collection: str, where: Mapping[str, Any]) -> int:
        """How many documents match."""
        return int(await self._of(collection).count_documents(where))

    async def aggregate(self, collection: str, pipeline: Sequence[Doc]) -> list[Doc]:
        """The result of an aggregation; Motor hands out the cursor at once, PyMongo awaits it."""
        cursor = self._of(collection).aggregate(list(pipeline))
        if hasattr(cursor, "__await__"):
            cursor = await cursor
        found: list[Doc] = await cursor.to_list(None)
        return found

    async def insert(self, collection: str, doc: Doc) -> bool:
        """Insert; False when the id (or another unique key) is taken."""
        try:
            await self._of(collection).insert_one(doc)
        except DuplicateKeyError:
            return False
        return True

    async def insert_many(self, collection: str, docs: Sequence[Doc]) -> set[str]:
        """Insert all that are not there yet; the ids that were there already come back. Any other error is raised."""
        if not docs:
            return set()
        try:
            await self._of(collection).insert_many(docs, ordered=False)
        except BulkWriteError as error:
            return {docs[index]["_id"] for index in _duplicates(error)}
        return set()

    async def update(
        self, collection: str, where: Mapping[str, Any], change: Mapping[str, Any], *, upsert: bool = False
    ) -> bool:
        """One update of one document; False when none matched. An upsert that meets its twin counts as no match."""
        try:
            result = await self._of(collection).update_one(where, change, upsert=upsert)
        except DuplicateKeyError:
            return False
        return bool(result.matched_count) or result.upserted_id is not None

    async def bulk(self, collection: str, writes: Sequence["Insert | Update"]) -> tuple[int, set[int]]:
        """Unordered bulk write: (how many matched or were inserted, positions of inserts whose id was taken)."""
        if not writes:
            return 0, set()
        operations = [
            InsertOne(write.doc)
            if isinstance(write, Insert)
            else UpdateOne(write.where, write.change, upsert=write.upsert)
            for write in writes
        ]
        try:
            result = await self._of(collection).bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            taken = _duplicates(error)
            details = error.details
            return details["nMatched"] + details["nInserted"] + details["nUpserted"], taken
        return result.matched_count + result.inserted_count + result.upserted_count, set()

    async def delete(self, collection: str, where: Mapping[str, Any]) -> int:
        """Delete what matches; how many it was."""
        return int((await self._of(collection).delete_many(where)).deleted_count)

    async def drop(self, collection: str) -> None:
        """Drop a collection with its indexes."""
        await self._of(collection).drop()

    async def collections(self) -> list[str]:
        """The names of all collections."""
        return list(await self._database.list_collection_names())

    # Files: GridFS, so that what is larger than a document has the same durability and the same backup

    async def put_file(self, bucket: str, key: str, data: bytes) -> None:
        """Keep these bytes under a key that was never used before."""
        await self._bucket(bucket).upload_from_stream_with_id(key, key, data)

    async def get_file(self, bucket: str, key: str) -> bytes | None:
        """The bytes under this key, or None."""
        try:
            stream = await self._bucket(bucket).open_download_stream(key)
            found: bytes = await stream.read()
        except NoFile:
            return None
        return found

    async def delete_file(self, bucket: str, key: str) -> None:
        """Delete the bytes under this key; also what a broken upload left of them."""
        with contextlib.suppress(NoFile):
            await self._bucket(bucket).delete(key)

    def _bucket(self, name: str) -> Any:
        if isinstance(self._client, AsyncMongoClient):
            return AsyncGridFSBucket(self._database, bucket_name=name)
        from motor.motor_asyncio import AsyncIOMotorGridFSBucket

        return AsyncIOMotorGridFSBucket(self._database, bucket_name=name)

    async def explain(self, collection: str, where: Mapping[str, Any]) -> Doc:
        """How the server would run this query: the test of query shapes reads it."""
        plan: Doc = await self._database.command(
            {
                "explain": {"find": self.names.get(collection, collection), "filter": dict(where)},
                "verbosity": "queryPlanner",
            }
        )
        return plan


class Insert:
    """One insert of a bulk write."""

    __slots__ = ("doc",)

    def __init__(self, doc: Doc) -> None:
        self.doc = doc


class Update:
    """One update of a bulk write."""

    __slots__ = ("change", "upsert", "where")

    def __init__(self, where: Mapping[str, Any], change: Mapping[str, Any], *, upsert: bool = False) -> None:
        self.where = where
        self.change = change
        self.upsert = upsert


def _projection(fields: Sequence[str] | None) -> dict[str, int] | None:
    return dict.fromkeys(fields, 1) if fields is not None else None


def _duplicates(error: BulkWriteError) -> set[int]:
    """Positions of the writes that met a duplicate key; raises the error again if there was any other."""
    failed = error.details.get("writeErrors", [])
    if error.details.get("writeConcernErrors") or any(one["code"] != DUPLICATE for one in failed):
        raise error
    return {one["index"] for one in failed}
