"""GetSession as FastAPI and SQLAlchemy's asynchronous ORM serve it, in their own idiom.

    uvicorn tests.benchmarks.peers.fastapi_orm:app --loop uvloop --http httptools

It verifies the same tokens and remembers them as we do, lets in the owner alone, reads the
same table with as many connections through the fastest driver that the ORM has, and answers
with the same fields. PEER_DATABASE_URL and PEER_KEYS (a JSON Web Key Set) configure it.
"""

import json
import os
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Path
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

POOL = 10
"""As many connections as a process of ours has by default."""

ACTIONS = {
    "INTAKE": ["GENERATE_PLAN"],
    "PLANNING": ["START_TOPIC"],
    "LEARNING": ["TAKE_QUIZ"],
    "QUIZZING": ["SUBMIT_ANSWERS"],
    "ANALYZING": ["NEXT_TOPIC", "COMPLETE"],
}
"""Of the mode teach_me, which is the one that is asked for."""


class Base(DeclarativeBase):
    """The tables."""

    type_annotation_map: ClassVar = {dict[str, Any]: JSONB}


class Session(Base):
    """A study session."""

    __tablename__ = "sessions"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    mode: Mapped[str]
    phase: Mapped[str]
    goal: Mapped[dict[str, Any] | None]
    class_id: Mapped[UUID | None]
    content_id: Mapped[UUID | None]
    lesson_title: Mapped[str]
    state_version: Mapped[int]
    last_sequence: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]

    @property
    def allowed_actions(self) -> list[str]:
        """What may be done next."""
        return ACTIONS.get(self.phase, [])


class Goal(BaseModel):
    """What the learner wants."""

    text: str
    exam_type: str


class SessionReply(BaseModel):
    """A session as it travels."""

    model_config = ConfigDict(from_attributes=True)

    user_id: UUID
    session_id: UUID
    mode: str
    phase: str
    goal: Goal | None
    class_id: UUID | None
    content_id: UUID | None
    lesson_title: str
    allowed_actions: list[str]
    state_version: int
    last_sequence: int
    created_at: datetime
    updated_at: datetime


keys = KeySet.import_key_set(json.loads(os.environ["PEER_KEYS"]))
verified: dict[str, dict[str, Any]] = {}
engine = create_async_engine(os.environ["PEER_DATABASE_URL"], pool_size=POOL, max_overflow=0)
new_session = async_sessionmaker(engine, expire_on_commit=False)
bearer = HTTPBearer()
app = FastAPI()


async def caller(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> dict[str, Any]:
    """The claims of a valid token, whose signature is checked once."""
    token = credentials.credentials
    claims = verified.get(token)
    if claims is None:
        try:
            claims = jwt.decode(token, keys, algorithms=["ES256"]).claims
        except (JoseError, ValueError) as error:
            raise HTTPException(401, "the token is invalid") from error
        verified[token] = claims
    if claims["iss"] != "meno" or claims["aud"] != "meno" or claims["exp"] < time.time():
        raise HTTPException(401, "the token is invalid or expired")
    return claims


async def owner(user_id: Annotated[UUID, Path()], claims: Annotated[dict[str, Any], Depends(caller)]) -> UUID:
    """The person whose resource it is, if it is they who call."""
    if str(user_id) != claims["sub"]:
        raise HTTPException(403, "permission denied")
    return user_id


async def database() -> AsyncIterator[AsyncSession]:
    """A unit of work for one request."""
    async with new_session() as session:
        yield session


@app.get("/v1/users/{user_id}/sessions/{session_id}", response_model=SessionReply)
async def get_session(
    user_id: Annotated[UUID, Depends(owner)],
    session_id: UUID,
    database: Annotated[AsyncSession, Depends(database)],
) -> Session:
    """Returns a session of the caller."""
    found = await database.scalar(
        select(Session).where(
            Session.user_id == user_id,
            Session.session_id == session_id,
            Session.deleted_at.is_(None),
        )
    )
    if found is None:
        raise HTTPException(404, "no such session")
    return found
