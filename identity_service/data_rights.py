"""What identity_service knows of a person, and what becomes of it."""

from chassis.data_rights import ABOUT_OTHERS, Erase, Rule, Rules
from identity_service.tables import (
    ActivityDay,
    AppConfig,
    AuditEntry,
    Class,
    ComponentModel,
    Credential,
    Erasure,
    ErasureReceipt,
    LoginIdentifier,
    Membership,
    RosterUser,
    SignIn,
    SignUpRequest,
    User,
    UserClass,
    UserIdentity,
    UserSettings,
    XpEntry,
)

_SIGNS_IN = "what signs in is not handed out"
_RECEIPT = "an id alone, kept as the proof that nothing else is left"
_CHAIN = "ids alone, in a chain of which nothing can be taken away"
_RUNNING = "the configuration holds, whoever set it"

RULES = Rules(
    Rule(User, excluded_columns={"rights_version": "counts how often tokens were withdrawn"}),
    Rule(User, "deactivated_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(User, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(User, "merged_into_user_id", not_exported="what is left of the person's time as a guest: an id"),
    Rule(LoginIdentifier),
    Rule(UserIdentity),
    Rule(Credential, excluded_columns={"password_hash": _SIGNS_IN}),
    Rule(
        SignIn,
        excluded_columns={"current_hash": _SIGNS_IN, "previous_hash": _SIGNS_IN, "request_id": _SIGNS_IN},
    ),
    Rule(SignUpRequest, not_exported="which request made the account, kept for a day"),
    Rule(UserSettings),
    Rule(XpEntry),
    Rule(ActivityDay),
    Rule(Membership),
    Rule(Membership, "ended_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(UserClass, not_exported="the memberships once more, by person"),
    Rule(Class, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(RosterUser),
    Rule(AppConfig, "updated_by_user_id", erase=Erase.CLEAR, not_exported=_RUNNING),
    Rule(ComponentModel, "updated_by_user_id", erase=Erase.CLEAR, not_exported=_RUNNING),
    Rule(AuditEntry, erase=Erase.KEEP, reason_kept=_CHAIN),
    Rule(AuditEntry, "actor_user_id", erase=Erase.KEEP, reason_kept=_CHAIN),
    Rule(Erasure, erase=Erase.KEEP, reason_kept=_RECEIPT, not_exported=_RECEIPT),
    Rule(ErasureReceipt, erase=Erase.KEEP, reason_kept=_RECEIPT, not_exported=_RECEIPT),
)
