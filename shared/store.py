"""The only module that knows the MongoDB driver: connect, read, guarded writes, indexes (ADR 1: PyMongo async by default, Motor by a setting)."""

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from gridfs import AsyncGridFSBucket
from gridfs.errors import NoFile
from pymongo import ASCENDING, AsyncMongoClient, InsertOne, ReadPreference, UpdateOne
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from shared import metrics

Doc = dict[str, Any]
DUPLICATE = 11000
LOOKUPS_AT_ONCE = 2
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
        self._lookups: dict[tuple[str, tuple[str, ...] | None], _Lookups] = {}

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
        """The document of this id, or None. What is asked for while the store is being asked goes as one question (ADR 75)."""
        name = self.names.get(collection, collection)
        shape = (name, None if fields is None else tuple(fields))
        lookups = self._lookups.get(shape)
        if lookups is None:
            lookups = self._lookups[shape] = _Lookups(self._database[name], _projection(fields))
        return await lookups.get(key)

    async def get_many(
        self, collection: str, keys: Iterable[str], fields: Sequence[str] | None = None
    ) -> dict[str, Doc]:
        """The documents of these ids that exist, by id."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Doc] = {}
        for start in range(0, len(wanted), IDS_PER_QUERY):
            query = _by_ids(wanted[start : start + IDS_PER_QUERY])
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
        metrics.stored.inc()
        try:
            await self._of(collection).insert_one(doc)
        except DuplicateKeyError:
            return False
        return True

    async def insert_many(self, collection: str, docs: Sequence[Doc]) -> set[str]:
        """Insert all that are not there yet; the ids that were there already come back. Any other error is raised."""
        if not docs:
            return set()
        metrics.stored.inc(len(docs))
        try:
            await self._of(collection).insert_many(docs, ordered=False)
        except BulkWriteError as error:
            return {docs[index]["_id"] for index in _duplicates(error)}
        return set()

    async def update(
        self, collection: str, where: Mapping[str, Any], change: Mapping[str, Any], *, upsert: bool = False
    ) -> bool:
        """One update of one document; False when none matched. An upsert that meets its twin counts as no match."""
        metrics.stored.inc()
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
        metrics.stored.inc(len(operations))
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


class _Lookups:
    """Reads by id of one collection. Each begins after it was asked for, so that a reader sees what was there before it asked."""

    def __init__(self, collection: Any, projection: dict[str, int] | None) -> None:
        self._collection = collection
        self._projection = projection
        self._asking = 0
        self._waiting: dict[str, list[asyncio.Future[Doc | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, key: str) -> Doc | None:
        """The document of this id: asked for alone while nobody else asks, else together with all who wait."""
        if self._asking < LOOKUPS_AT_ONCE:
            self._asking += 1
            try:
                found: Doc | None = await self._collection.find_one({"_id": key}, self._projection)
            finally:
                self._next()
            return found
        waiting: asyncio.Future[Doc | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(waiting)
        return await waiting

    def _next(self) -> None:
        """One question was answered: those who wait ask next."""
        self._asking -= 1
        if self._waiting:
            keys = list(self._waiting)[:IDS_PER_QUERY]
            self._asking += 1
            # A task of its own: whoever asked first may go away without the others.
            task = asyncio.create_task(self._ask({key: self._waiting.pop(key) for key in keys}))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, asked: Mapping[str, list[asyncio.Future[Doc | None]]]) -> None:
        try:
            docs = await self._collection.find(_by_ids(list(asked)), self._projection).to_list(None)
        except BaseException as error:
            for waiting in (one for each in asked.values() for one in each if not one.done()):
                waiting.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            found = {doc["_id"]: doc for doc in docs}
            for key, each in asked.items():
                first, *others = each
                # Each may change what it got.
                for waiting in others:
                    if not waiting.done():
                        waiting.set_result(copy.deepcopy(found.get(key)))
                if not first.done():
                    first.set_result(found.get(key))
        finally:
            self._next()


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


def unanswered(error: Exception) -> bool:
    """Whether the store gave no answer, so that nobody knows what became of a write."""
    return isinstance(error, PyMongoError) and (isinstance(error, AutoReconnect) or error.timeout)


def _by_ids(ids: list[str]) -> Doc:
    return {"_id": ids[0]} if len(ids) == 1 else {"_id": {"$in": ids}}


def _projection(fields: Sequence[str] | None) -> dict[str, int] | None:
    return dict.fromkeys(fields, 1) if fields is not None else None


def _duplicates(error: BulkWriteError) -> set[int]:
    """Positions of the writes that met a duplicate key; raises the error again if there was any other."""
    failed = error.details.get("writeErrors", [])
    if error.details.get("writeConcernErrors") or any(one["code"] != DUPLICATE for one in failed):
        raise error
    return {one["index"] for one in failed}
