"""The composition root: settings → database → servicers → background tasks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from chassis import audit
from chassis.data_rights import DataRights
from chassis.database import Database
from chassis.identity_client import IdentityClient
from chassis.notifications import Notifier
from chassis.registration import service
from chassis.revocation import RevocationList
from chassis.security import SecurityContext
from chassis.server import App
from chassis.tokens import Tokens
from identity_service.account_feed.feed import Feed
from identity_service.account_feed.servicer import AccountFeedServicer
from identity_service.administration.audit.commands import create_local_handler
from identity_service.administration.audit.servicer import AuditServicer
from identity_service.administration.config.reader import ConfigReader
from identity_service.administration.config.servicer import ConfigServicer
from identity_service.administration.models import purging as model_purging
from identity_service.administration.models.backends.servicer import BackendServicer
from identity_service.administration.models.backends.types import EgressPolicy
from identity_service.administration.models.components.servicer import ComponentServicer
from identity_service.administration.models.servicer import ModelServicer
from identity_service.classes import purging as class_purging
from identity_service.classes.memberships.servicer import MembershipServicer
from identity_service.classes.rosters.servicer import RosterServicer
from identity_service.classes.servicer import ClassServicer
from identity_service.data_rights import RULES
from identity_service.lifecycle.deletion.servicer import DeletionServicer
from identity_service.lifecycle.erasures.servicer import ErasureReportServicer, ErasureServicer
from identity_service.lifecycle.purging import commands as user_purging
from identity_service.people.activity.servicer import ActivityServicer
from identity_service.people.engagement.servicer import EngagementServicer
from identity_service.people.experience.servicer import ExperienceServicer
from identity_service.people.preferences.servicer import PreferenceServicer
from identity_service.people.users.servicer import UserServicer
from identity_service.settings import Settings
from identity_service.sign_in import purging as sign_in_purging
from identity_service.sign_in.codes import senders
from identity_service.sign_in.codes.commands import CodeSignIn
from identity_service.sign_in.codes.delivery_queue import DeliveryQueue
from identity_service.sign_in.codes.one_time_codes import OneTimeCodes
from identity_service.sign_in.codes.servicer import CodeServicer
from identity_service.sign_in.credentials.commands import CredentialLinker
from identity_service.sign_in.credentials.servicer import CredentialServicer
from identity_service.sign_in.guests.servicer import GuestServicer
from identity_service.sign_in.issuers.commands import IdTokenSignIn
from identity_service.sign_in.issuers.servicer import IdTokenServicer
from identity_service.sign_in.issuers.verifier import IdTokenVerifier
from identity_service.sign_in.keys.rotation import KeyRotation, SecretMismatch
from identity_service.sign_in.keys.servicer import KeySetServicer
from identity_service.sign_in.keys.signer import TokenSigner
from identity_service.sign_in.passwords.hashing import Passwords
from identity_service.sign_in.passwords.servicer import PasswordServicer
from identity_service.sign_in.sign_ins.servicer import SignInServicer
from identity_service.sign_in.tokens.commands import PasswordSignIn
from identity_service.sign_in.tokens.servicer import TokenServicer
from identity_service.sign_in.tokens.token_service import TokenService
from meno.access.v1 import account_feed_service_pb2, audit_service_pb2, key_set_service_pb2
from meno.identity.v1 import (
    admin_service_pb2,
    auth_service_pb2,
    class_service_pb2,
    data_rights_service_pb2,
    user_service_pb2,
)


@asynccontextmanager
async def create_app(settings: Settings) -> AsyncIterator[App]:
    """Creates the app, and closes its resources at the end.

    Raises SystemExit if MENO_SECRET is not the secret with which the signing keys are encrypted.
    """
    secret = settings.secret.get_secret_value().encode()
    database = Database(
        settings.database_url.get_secret_value(),
        max_connections=settings.max_connections,
        name="identity_service",
    )
    passwords = Passwords.from_settings(settings)
    verifier = IdTokenVerifier(settings.oidc_issuers)
    queue = DeliveryQueue(senders.create_sender(settings))
    await database.open()
    try:
        notifier = Notifier(database)
        feed = Feed(database, notifier)
        signer = TokenSigner(database, KeyRotation(secret, settings.key_lifetime))
        try:
            await signer.load()
        except SecretMismatch as error:
            raise SystemExit(
                f"{error}: set the previous secret, or run begin-epoch, which ends every sign-in"
            ) from error
        config = ConfigReader(signup_role=settings.signup_role, allowed_roles=settings.allowed_roles)
        policy = EgressPolicy(settings.key_directory, settings.private_model_hosts)
        tokens = TokenService(database, signer, secret, settings.sign_in_lifetime)
        codes = OneTimeCodes(secret)
        # The other services connect to identity_service. This one reads keys and feed from its own tables.
        security = SecurityContext(Tokens(signer.key_set), RevocationList(), secret)
        identity = IdentityClient(
            security,
            feed.follow,
            message_handlers={audit.KIND: create_local_handler(database)},
            followers=[
                partial(signer.run, notifier, security.tokens.refresh),
                partial(security.revocations.follow, partial(signer.follow, feed.follow)),
            ],
        )
        yield App(
            services=[
                service(
                    auth_service_pb2,
                    TokenServicer(tokens, PasswordSignIn(database, tokens, passwords, config)),
                    IdTokenServicer(tokens, IdTokenSignIn(database, tokens, config, verifier, secret)),
                    CodeServicer(
                        tokens, CodeSignIn(database, tokens, passwords, config, codes=codes, queue=queue)
                    ),
                    CredentialServicer(
                        database, CredentialLinker(database, passwords, config, verifier, codes)
                    ),
                    GuestServicer(database, tokens, config),
                    PasswordServicer(database, passwords),
                    SignInServicer(database),
                ),
                service(
                    user_service_pb2,
                    UserServicer(database, config),
                    DeletionServicer(database, config),
                    PreferenceServicer(database),
                    ExperienceServicer(database),
                    ActivityServicer(database),
                    EngagementServicer(database),
                    ErasureServicer(database),
                ),
                service(
                    class_service_pb2,
                    ClassServicer(database, config),
                    MembershipServicer(database),
                    RosterServicer(database),
                ),
                service(
                    admin_service_pb2,
                    ConfigServicer(database, config),
                    BackendServicer(database, policy, config),
                    ModelServicer(database, config),
                    ComponentServicer(database),
                ),
                service(key_set_service_pb2, KeySetServicer(signer, str(settings.public_url))),
                service(account_feed_service_pb2, AccountFeedServicer(feed), ErasureReportServicer(database)),
                service(audit_service_pb2, AuditServicer(database)),
                service(data_rights_service_pb2, DataRights(database, RULES)),
            ],
            security=security,
            background=[
                *identity.background_tasks(database, notifier, handlers={}),
                partial(sign_in_purging.run, database),
                partial(class_purging.run, database, config),
                partial(model_purging.run, database, config),
                partial(user_purging.run, database, config),
                queue.run,
                passwords.load_blocklist,
            ],
        )
    finally:
        await queue.close()
        await verifier.close()
        await passwords.close()
        await database.close()
