"""How FastAPI and SQLAlchemy's asynchronous ORM let somebody in and open a unit of work, in their own idiom.

Tokens are verified as we verify them, and remembered as we remember them; there are as many
connections, through the fastest driver that the ORM has. PEER_DATABASE_URL and PEER_KEYS (a
JSON Web Key Set) configure it.
"""

import json
import os
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, HTTPException, Path
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

POOL = 10
"""As many connections as a process of ours has by default."""

keys = KeySet.import_key_set(json.loads(os.environ["PEER_KEYS"]))
verified: dict[str, dict[str, Any]] = {}
engine = create_async_engine(os.environ["PEER_DATABASE_URL"], pool_size=POOL, max_overflow=0)
new_session = async_sessionmaker(engine, expire_on_commit=False)
bearer = HTTPBearer()


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
