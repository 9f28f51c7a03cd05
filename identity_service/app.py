"""The composition root: settings → database → servicers → background work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from chassis import audit
from chassis.identity_client import IdentityClient
from chassis.notifications import Notifier
from chassis.data_rights import DataRights
from chassis.database import Database
from chassis.interceptors import SecurityContext
from chassis.revocation import RevocationList
from chassis.server import App, service
from chassis.tokens import Tokens
from identity_service.account_feed.feed import Feed
from identity_service.account_feed.servicer import AccountFeedServicer
from identity_service.administration.audit import chain
from identity_service.administration.audit.servicer import AuditServicer
from identity_service.administration.config.config import Config
from identity_service.administration.config.servicer import ConfigServicer
from identity_service.administration.models.backends import BackendServicer
from identity_service.administration.models.components import ComponentServicer
from identity_service.administration.models.models import ModelServicer
from identity_service.administration.models.rules import Reach
from identity_service.classes.memberships.servicer import MembershipServicer
from identity_service.classes.purging import purge as purge_classes
from identity_service.classes.rosters.servicer import RosterServicer
from identity_service.classes.servicer import ClassServicer
from identity_service.data_rights import RULES
from identity_service.lifecycle.deletion.servicer import LifecycleServicer
from identity_service.lifecycle.erasures.servicer import ErasureReportServicer, ErasureServicer
from identity_service.lifecycle.purging import purge as purge_people
from identity_service.people.activity.servicer import ActivityServicer
from identity_service.people.engagement.servicer import EngagementServicer
from identity_service.people.experience.servicer import ExperienceServicer
from identity_service.people.preferences.servicer import PreferenceServicer
from identity_service.people.users.servicer import UserServicer
from identity_service.settings import Settings
from identity_service.sign_in.codes import senders
from identity_service.sign_in.codes.one_time_codes import Codes
from identity_service.sign_in.codes.delivery_queue import Outgoing
from identity_service.sign_in.codes.servicer import CodeServicer
from identity_service.sign_in.credentials.servicer import CredentialServicer
from identity_service.sign_in.guests.servicer import GuestServicer
from identity_service.sign_in.issuers.verifier import Issuers
from identity_service.sign_in.issuers.servicer import IdTokenServicer
from identity_service.sign_in.keys.signer import Issuer
from identity_service.sign_in.keys.rotation import Rotation, SecretIsAnother
from identity_service.sign_in.keys.servicer import KeySetServicer
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.passwords.servicer import PasswordServicer
from identity_service.sign_in.sign_ins.servicer import SignInServicer
from identity_service.sign_in.tokens.token_service import Mint
from identity_service.sign_in.purging import purge
from identity_service.sign_in.tokens.servicer import AuthServicer
from meno.access.v1 import account_feed_service_pb2 as accounts
from meno.access.v1 import account_feed_service_pb2_grpc as accounts_grpc
from meno.access.v1 import audit_service_pb2 as audits
from meno.access.v1 import audit_service_pb2_grpc as audits_grpc
from meno.access.v1 import key_set_service_pb2 as keys
from meno.access.v1 import key_set_service_pb2_grpc as keys_grpc
from meno.identity.v1 import admin_service_pb2 as admin
from meno.identity.v1 import admin_service_pb2_grpc as admin_grpc
from meno.identity.v1 import auth_service_pb2 as auth
from meno.identity.v1 import auth_service_pb2_grpc as auth_grpc
from meno.identity.v1 import class_service_pb2 as classes
from meno.identity.v1 import class_service_pb2_grpc as classes_grpc
from meno.identity.v1 import data_rights_service_pb2 as data_rights
from meno.identity.v1 import data_rights_service_pb2_grpc as data_rights_grpc
from meno.identity.v1 import user_service_pb2 as user
from meno.identity.v1 import user_service_pb2_grpc as user_grpc


class Auth(
    IdTokenServicer,
    CodeServicer,
    CredentialServicer,
    GuestServicer,
    PasswordServicer,
    SignInServicer,
    AuthServicer,
):
    """AuthService, by the aggregates that it is about."""

    def __init__(
        self,
        database: Database,
        mint: Mint,
        passwords: Passwords,
        config: Config,
        *,
        issuers: Issuers,
        codes: Codes,
        outgoing: Outgoing,
    ) -> None:
        AuthServicer.__init__(self, database, mint, passwords, config)
        IdTokenServicer.__init__(self, database, mint, config, issuers)
        CodeServicer.__init__(self, database, mint, passwords, config, codes=codes, outgoing=outgoing)
        CredentialServicer.__init__(self, database, passwords, config, issuers, codes)
        GuestServicer.__init__(self, database, mint, config)
        PasswordServicer.__init__(self, database, passwords)
        SignInServicer.__init__(self, database)


class Users(
    UserServicer,
    LifecycleServicer,
    PreferenceServicer,
    ExperienceServicer,
    ActivityServicer,
    EngagementServicer,
    ErasureServicer,
    user_grpc.UserServiceServicer,
):
    """UserService, by the aggregates that it is about."""


class AccountFeed(AccountFeedServicer, ErasureReportServicer, accounts_grpc.AccountFeedServiceServicer):
    """AccountFeedService, by the aggregates that it is about."""

    def __init__(self, database: Database, feed: Feed) -> None:
        AccountFeedServicer.__init__(self, feed)
        ErasureReportServicer.__init__(self, database)


class Classes(ClassServicer, MembershipServicer, RosterServicer, classes_grpc.ClassServiceServicer):
    """ClassService, by the aggregates that it is about."""

    def __init__(self, database: Database, config: Config) -> None:
        ClassServicer.__init__(self, database, config)
        RosterServicer.__init__(self, database)


class Admin(
    ConfigServicer, BackendServicer, ModelServicer, ComponentServicer, admin_grpc.AdminServiceServicer
):
    """AdminService, by the aggregates that it is about."""

    def __init__(self, database: Database, config: Config, reach: Reach) -> None:
        ConfigServicer.__init__(self, database, config)
        BackendServicer.__init__(self, database, reach)


@asynccontextmanager
async def compose(settings: Settings) -> AsyncIterator[App]:
    """Builds the service; closes what it opened at the end."""
    secret = settings.secret.get_secret_value().encode()
    database = Database(
        settings.database_url.get_secret_value(),
        max_connections=settings.max_connections,
        name="identity_service",
    )
    passwords = Passwords.of(settings)
    issuers = Issuers(settings.oidc_issuers)
    outgoing = Outgoing(senders.sender(settings))
    await database.open()
    try:
        notifier = Notifier(database)
        feed = Feed(database, notifier)
        issuer = Issuer(database, Rotation(secret, settings.key_lifetime))
        try:
            await issuer.load()
        except SecretIsAnother as error:
            raise SystemExit(
                f"{error}: set that one again, or run begin-epoch, which ends every sign-in"
            ) from error
        config = Config(settings)
        reach = Reach(settings.key_directory, settings.private_model_hosts)
        mint = Mint(database, issuer, secret, settings.sign_in_lifetime)
        entrance = Auth(
            database, mint, passwords, config, issuers=issuers, codes=Codes(secret), outgoing=outgoing
        )
        # This service is the authority: it reads keys and feed from its own tables, and keeps the chain.
        security = SecurityContext(Tokens(issuer.key_set), RevocationList(), secret)
        itself = IdentityClient(
            security,
            feed.follow,
            deliver={audit.KIND: chain.deliver(database)},
            following=[
                partial(issuer.keep_loaded, notifier, security.tokens.refresh),
                partial(security.revocations.follow, feed.follow),
            ],
        )
        yield App(
            services=[
                service(auth, auth_grpc, entrance),
                service(user, user_grpc, Users(database, config)),
                service(classes, classes_grpc, Classes(database, config)),
                service(admin, admin_grpc, Admin(database, config, reach)),
                service(keys, keys_grpc, KeySetServicer(issuer, str(settings.public_url))),
                service(accounts, accounts_grpc, AccountFeed(database, feed)),
                service(audits, audits_grpc, AuditServicer(database)),
                service(data_rights, data_rights_grpc, DataRights(database, RULES)),
            ],
            security=security,
            background=[
                *itself.background(database, notifier, lasting={}),
                partial(purge, database),
                partial(purge_classes, database, config),
                outgoing.run,
                partial(purge_people, database, config),
                passwords.read_blocklist,
            ],
        )
    finally:
        await outgoing.close()
        await issuers.close()
        await passwords.close()
        await database.close()
