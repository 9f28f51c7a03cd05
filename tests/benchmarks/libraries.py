"""Classes with material that the pipeline of content_service has processed, and the data sets for them."""

import json
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import psycopg
from psycopg import sql

from content_service.app import Components, open_components
from content_service.authoring import revision_store as revisions
from content_service.authoring.rules import LESSON, MATERIAL
from content_service.authoring.types import NewContent
from content_service.knowledge import store as knowledge
from content_service.knowledge.embeddings import Vector
from content_service.knowledge.minilm import MiniLM
from content_service.knowledge.types import ChunkRow
from content_service.materials import store as materials
from content_service.materials.rules import MARKDOWN, PLAIN
from content_service.materials.types import NewFile
from content_service.settings import Settings
from content_service.tables import METADATA
from tests.benchmarks.course import DATA, documents

_AUTHOR = str(uuid.uuid4())
_CLASS_TABLES = [table.name for table in METADATA.sorted_tables if "scope_id" in table.columns]


@dataclass(frozen=True)
class Document:
    """A file of a course."""

    name: str
    text: str
    content_type: str

    @property
    def subject(self) -> str:
        """The subject in the name of a document of SQuAD."""
        return self.name.partition("#")[0]


@dataclass(frozen=True)
class Question:
    """A question, and the document that answers it."""

    text: str
    document: str

    @property
    def subject(self) -> str:
        """The subject of the document that answers the question."""
        return self.document.partition("#")[0]


def paragraphs() -> list[Document]:
    """Returns the paragraphs of SQuAD as one document each, named `subject#number`."""
    lines = (DATA / "retrieval" / "paragraphs.jsonl").read_text(encoding="utf-8").splitlines()
    return [Document(line["id"], line["text"], PLAIN) for line in map(json.loads, lines)]


def questions() -> list[Question]:
    """Returns the questions of SQuAD."""
    lines = (DATA / "retrieval" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [Question(line["question"], line["paragraph_id"]) for line in map(json.loads, lines)]


def lessons() -> list[Document]:
    """Returns the Markdown documents of a programming course."""
    return [Document(file.stem, file.read_text(encoding="utf-8"), MARKDOWN) for file in documents()]


class Library:
    """Classes with published material, by a name that the benchmark chooses."""

    def __init__(self, components: Components, url: str) -> None:
        self._components = components
        self._url = url
        self._classes: dict[str, str] = {}
        self._documents: dict[str, str] = {}

    async def fill(self, name: str, documents: Iterable[Document]) -> float:
        """Creates a class with these documents and returns the seconds that their processing took."""
        scope_id = self._classes[name] = str(uuid.uuid4())
        material_ids = [await self._upload(scope_id, document) for document in documents]
        started = time.perf_counter()
        for material_id in material_ids:
            await self._components.pipeline.process(scope_id, material_id)
        seconds = time.perf_counter() - started
        await self._publish(scope_id, material_ids)
        return seconds

    async def embed(self, question: str) -> Vector:
        """Returns the embedding of a question."""
        return await self._components.embedder.embed_query(question)

    async def embed_all(self, texts: Sequence[str]) -> None:
        """Embeds texts and discards the embeddings."""
        await self._components.embedder.embed_documents(texts)

    async def search(self, name: str, question: str, vector: Vector, limit: int = 10) -> list[ChunkRow]:
        """Returns the chunks of a class that match a question, best first."""
        model = self._components.embedder.name
        rows = knowledge.search(
            self._components.database, self._classes[name], question, vector, model, top_k=limit
        )
        return await rows

    async def find(self, name: str, question: str) -> list[str]:
        """Returns the names of the documents with the matching chunks, best first."""
        rows = await self.search(name, question, await self.embed(question))
        return [self._documents[row.material_id] for row in rows]

    def chunk_texts(self, name: str) -> list[str]:
        """Returns the texts of the chunks of a class."""
        query = "SELECT text FROM material_chunks WHERE scope_id = %s ORDER BY material_id, ordinal"
        with psycopg.connect(self._url) as connection:
            return [text for (text,) in connection.execute(query, [self._classes[name]])]

    def vectors(self, name: str) -> tuple[list[tuple[str, int]], Any]:
        """Returns the material id and ordinal of each embedding of a class, and the matrix of the embeddings."""
        query = "SELECT material_id, ordinal, embedding::text FROM chunk_embeddings WHERE scope_id = %s"
        with psycopg.connect(self._url) as connection:
            rows = connection.execute(query, [self._classes[name]]).fetchall()
        matrix = numpy.array([json.loads(vector) for _, _, vector in rows])
        return [(str(material_id), ordinal) for material_id, ordinal, _ in rows], matrix

    def copy(self, name: str, classes: int) -> None:
        """Copies the material of a class into this number of new classes."""
        with psycopg.connect(self._url) as connection:
            for table in _CLASS_TABLES:
                listed = connection.execute(
                    "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
                    " AND NOT attisdropped AND attname <> 'scope_id'",
                    [table],
                )
                columns = sql.SQL(", ").join(sql.Identifier(column) for (column,) in listed)
                new_ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {n}")) for n in range(classes)]
                insert = sql.SQL(
                    "INSERT INTO {table} (scope_id, {columns})"
                    " SELECT new_id::uuid, {columns} FROM {table}, unnest(%s::text[]) AS new_id"
                    " WHERE scope_id = %s"
                )
                query = insert.format(table=sql.Identifier(table), columns=columns)
                connection.execute(query, [new_ids, self._classes[name]])
            connection.commit()
            connection.autocommit = True
            connection.execute("ANALYZE")

    @asynccontextmanager
    async def settings(self, **values: float) -> AsyncIterator[None]:
        """Changes settings of retrieval until the block ends."""
        before = self._set(values)
        try:
            yield
        finally:
            self._set(before)

    def _set(self, values: dict[str, float]) -> dict[str, float]:
        names = [sql.Identifier(name) for name in values]
        listed = sql.SQL("SELECT {} FROM knowledge_settings").format(sql.SQL(", ").join(names))
        change = sql.SQL(", ").join(sql.SQL("{} = %s").format(name) for name in names)
        with psycopg.connect(self._url) as connection:
            before = connection.execute(listed).fetchone()
            assert before is not None
            connection.execute(sql.SQL("UPDATE knowledge_settings SET {}").format(change), [*values.values()])
        return dict(zip(values, before, strict=True))

    async def _upload(self, scope_id: str, document: Document) -> str:
        async def stream() -> AsyncIterator[bytes]:
            yield document.text.encode()

        async def is_referenced(key: str) -> bool:
            return False

        new = NewContent(scope_id, None, MATERIAL, document.name, {"material": {}}, _AUTHOR)
        async with (
            self._components.files.upload(scope_id, stream(), is_referenced) as file,
            self._components.database.transaction() as transaction,
        ):
            material_id = await revisions.create(transaction, new)
            new_file = NewFile(file.key, document.content_type, "", file.size)
            await materials.insert_material(transaction, scope_id, material_id, new_file, max_bytes=2**62)
        self._documents[material_id] = document.name
        return material_id

    async def _publish(self, scope_id: str, material_ids: Iterable[str]) -> None:
        lesson = NewContent(scope_id, None, LESSON, "Everything", {"lesson": {}}, _AUTHOR)
        async with self._components.database.transaction() as transaction:
            lesson_id = await revisions.create(transaction, lesson)
            for material_id in material_ids:
                await revisions.attach(transaction, scope_id, lesson_id, material_id)
                await revisions.publish(transaction, scope_id, material_id)
            await revisions.publish(transaction, scope_id, lesson_id)


@asynccontextmanager
async def library(url: str) -> AsyncIterator[Library]:
    """Yields an empty library in a database with the tables of content_service."""
    with tempfile.TemporaryDirectory(prefix="meno-benchmark-") as directory:
        settings = Settings(
            database_url=url,
            secret="a secret of this benchmark, long enough",
            tls_directory=Path(directory),
            storage_url=f"file://{directory}/files",
            model_cache=Path(directory),
        )
        embedder = MiniLM(settings.model_cache, threads=1)
        async with open_components(settings, embedder) as components:
            await embedder.embed_documents(["This call loads the model before the measurement."])
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("ANALYZE")
            yield Library(components, url)
