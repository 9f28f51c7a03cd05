"""The personal data in identity_service: its export and erasure."""

from chassis.data_rights import ABOUT_OTHERS, Erase, Rule, Rules
from identity_service.tables import (
    activity_days,
    app_config,
    audit_entries,
    class_memberships,
    classes,
    component_models,
    credentials,
    erasure_receipts,
    erasures,
    login_identifiers,
    model_backends,
    models,
    roster_users,
    sign_ins,
    sign_up_requests,
    user_classes,
    user_identities,
    user_settings,
    users,
    xp_entries,
)

_CREDENTIAL = "credentials are not exported"
_RECEIPT = "only an id, kept as proof that all other data was deleted"
_CHAIN = "only ids, in a hash chain from which no entry can be removed"
_CONFIGURATION = "the configuration applies to the installation, not to the user who set it"

RULES = Rules(
    Rule(users, excluded_columns={"rights_version": "a counter of revocations"}),
    Rule(users, "deactivated_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(users, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(users, "merged_into_user_id", not_exported="only the id of the merged guest account"),
    Rule(login_identifiers),
    Rule(user_identities),
    Rule(credentials, excluded_columns={"password_hash": _CREDENTIAL, "change_hash": _CREDENTIAL}),
    Rule(
        sign_ins,
        excluded_columns={
            "current_hash": _CREDENTIAL,
            "previous_hash": _CREDENTIAL,
            "request_id": _CREDENTIAL,
        },
    ),
    Rule(sign_up_requests, not_exported="the request id of the sign-up, kept for a day"),
    Rule(user_settings),
    Rule(xp_entries),
    Rule(activity_days),
    Rule(class_memberships),
    Rule(class_memberships, "ended_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(user_classes, not_exported="a copy of the memberships, by user"),
    Rule(classes, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=ABOUT_OTHERS),
    Rule(roster_users),
    Rule(app_config, "updated_by_user_id", erase=Erase.CLEAR, not_exported=_CONFIGURATION),
    Rule(component_models, "updated_by_user_id", erase=Erase.CLEAR, not_exported=_CONFIGURATION),
    Rule(model_backends, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=_CONFIGURATION),
    Rule(models, "deleted_by_user_id", erase=Erase.CLEAR, not_exported=_CONFIGURATION),
    Rule(audit_entries, erase=Erase.KEEP, reason_kept=_CHAIN),
    Rule(audit_entries, "actor_user_id", erase=Erase.KEEP, reason_kept=_CHAIN),
    Rule(erasures, erase=Erase.KEEP, reason_kept=_RECEIPT, not_exported=_RECEIPT),
    Rule(erasure_receipts, erase=Erase.KEEP, reason_kept=_RECEIPT, not_exported=_RECEIPT),
)
