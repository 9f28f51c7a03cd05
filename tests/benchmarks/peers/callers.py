"""Authentication and database sessions, written in the usual way for FastAPI and the asynchronous SQLAlchemy ORM.

Tokens are verified and cached as in Meno. The number of connections is the same, and the driver is the
fastest one that the ORM supports. PEER_DATABASE_URL and PEER_KEYS (a JSON Web Key Set) configure the peer.
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

POOL_SIZE = 10
"""The default number of database connections of a Meno process."""

keys = KeySet.import_key_set(json.loads(os.environ["PEER_KEYS"]))
verified: dict[str, dict[str, Any]] = {}
engine = create_async_engine(os.environ["PEER_DATABASE_URL"], pool_size=POOL_SIZE, max_overflow=0)
new_session = async_sessionmaker(engine, expire_on_commit=False)
bearer = HTTPBearer()


async def caller(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> dict[str, Any]:
    """Returns the claims of a valid token. The signature of each token is verified once.

    Raises HTTPException 401 if the token is invalid or has expired.
    """
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
    """Returns the owner of the resource. Raises HTTPException 403 if another user calls."""
    if str(user_id) != claims["sub"]:
        raise HTTPException(403, "permission denied")
    return user_id


async def database() -> AsyncIterator[AsyncSession]:
    """Yields the database session of one request."""
    async with new_session() as session:
        yield session
