"""Every table that identity_service owns.

The primary key of a user's table begins with `user_id`, and that of a class's table with `class_id`. The other
tables are reference tables, which are the same on every shard:

- LoginIdentifier, UserIdentity, SignUpRequest, RosterUser: find a user whose id is not known yet.
- JoinCode, RosterClass: find a class whose id is not known yet.
- SigningKey, AccountEvent, FeedEpoch: every process reads all rows.
- SignInFailure, OneTimeCode: also contain identifiers that belong to no user.
- AppConfig, ModelBackend, Model, ComponentModel: few rows.
- AuditEntry: one hash chain.
- Erasure, ErasureReceipt: contain only the ids of erased users.
- Outbox: one queue.
"""

from identity_service.tables.administration import AppConfig, ComponentModel, Model, ModelBackend
from identity_service.tables.base import Base
from identity_service.tables.classes import Class, JoinCode, Membership, RosterClass, RosterUser, UserClass
from identity_service.tables.people import ActivityDay, Erasure, ErasureReceipt, User, UserSettings, XpEntry
from identity_service.tables.records import AccountEvent, AuditEntry, FeedEpoch, IdempotencyKeys, Outbox
from identity_service.tables.sign_in import (
    Credential,
    LoginIdentifier,
    OneTimeCode,
    SignIn,
    SignInFailure,
    SigningKey,
    SignUpRequest,
    UserIdentity,
)

__all__ = [
    "AccountEvent",
    "ActivityDay",
    "AppConfig",
    "AuditEntry",
    "Base",
    "Class",
    "ComponentModel",
    "Credential",
    "Erasure",
    "ErasureReceipt",
    "FeedEpoch",
    "IdempotencyKeys",
    "JoinCode",
    "LoginIdentifier",
    "Membership",
    "Model",
    "ModelBackend",
    "OneTimeCode",
    "Outbox",
    "RosterClass",
    "RosterUser",
    "SignIn",
    "SignInFailure",
    "SignUpRequest",
    "SigningKey",
    "User",
    "UserClass",
    "UserIdentity",
    "UserSettings",
    "XpEntry",
]
