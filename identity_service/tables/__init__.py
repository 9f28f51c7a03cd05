"""Every table that identity_service owns.

A person's tables begin their key with `user_id`, a class's with `class_id`. Reference tables,
the same on every shard, are LoginIdentifier, UserIdentity, SignUpRequest and RosterUser (a person
must be found before their id is known), JoinCode and RosterClass (so must a class), SigningKey,
AccountEvent and FeedEpoch (every process reads them whole), SignInFailure and OneTimeCode (they are
about names that nobody has, too), the administrator's (few rows), AuditEntry (one chain), Erasure
and its receipts (what is left of people is their ids), and the outbox.
"""

from identity_service.tables.administration import AppConfig, ComponentModel, Model, ModelBackend
from identity_service.tables.base import Base
from identity_service.tables.classes import Class, JoinCode, Membership, RosterClass, RosterUser, UserClass
from identity_service.tables.people import ActivityDay, Erasure, ErasureReceipt, User, UserSettings, XpEntry
from identity_service.tables.records import AccountEvent, AuditEntry, FeedEpoch, Outbox, RequestMemory
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
    "JoinCode",
    "LoginIdentifier",
    "Membership",
    "Model",
    "ModelBackend",
    "OneTimeCode",
    "Outbox",
    "RequestMemory",
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
