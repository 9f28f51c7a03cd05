"""The personal data in identity_service: its export and erasure."""

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

_CREDENTIAL = "credentials are not exported"
_RECEIPT = "only an id, kept as proof that all other data was deleted"
_CHAIN = "only ids, in a hash chain from which no entry can be removed"
_CONFIGURATION = "the configuration applies to the installation, not to the user who set it"

RULES = Rules(
    Rule(User, excluded_columns={"rights_version": "a counter of revocations"}),
    Rule(User, "deactivated_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(User, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(User, "merged_into_user_id", not_exported="only the id of the merged guest account"),
    Rule(LoginIdentifier),
    Rule(UserIdentity),
    Rule(Credential, excluded_columns={"password_hash": _CREDENTIAL}),
    Rule(
        SignIn,
        excluded_columns={
            "current_hash": _CREDENTIAL,
            "previous_hash": _CREDENTIAL,
            "request_id": _CREDENTIAL,
        },
    ),
    Rule(SignUpRequest, not_exported="the request id of the sign-up, kept for a day"),
    Rule(UserSettings),
    Rule(XpEntry),
    Rule(ActivityDay),
    Rule(Membership),
    Rule(Membership, "ended_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(UserClass, not_exported="a copy of the memberships, by user"),
    Rule(Class, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(RosterUser),
    Rule(AppConfig, "updated_by_user_id", erase=Erase.CLEAR, not_exported=_CONFIGURATION),
    Rule(ComponentModel, "updated_by_user_id", erase=Erase.CLEAR, not_exported=_CONFIGURATION),
    Rule(AuditEntry, erase=Erase.KEEP, reason_kept=_CHAIN),
    Rule(AuditEntry, "actor_user_id", erase=Erase.KEEP, reason_kept=_CHAIN),
    Rule(Erasure, erase=Erase.KEEP, reason_kept=_RECEIPT, not_exported=_RECEIPT),
    Rule(ErasureReceipt, erase=Erase.KEEP, reason_kept=_RECEIPT, not_exported=_RECEIPT),
)
