"""Every table that identity_service owns.

The primary key of a user's table begins with `user_id`, and that of a class's table with `class_id`. The other
tables are reference tables, which are the same on every shard:

- login_identifiers, user_identities, sign_up_requests, roster_users: find a user whose id is not known yet.
- join_codes, roster_classes: find a class whose id is not known yet.
- signing_keys, account_events, feed_epochs: every process reads all rows.
- sign_in_failures, one_time_codes: also contain identifiers that belong to no user.
- app_config, model_backends, models, component_models: few rows.
- audit_entries: one hash chain.
- erasures, erasure_receipts: contain only the ids of erased users.
- outbox: one queue.
"""

from identity_service.tables.administration import app_config, component_models, model_backends, models
from identity_service.tables.classes import (
    class_memberships,
    classes,
    join_codes,
    roster_classes,
    roster_users,
    user_classes,
)
from identity_service.tables.metadata import METADATA
from identity_service.tables.people import (
    activity_days,
    erasure_receipts,
    erasures,
    user_settings,
    users,
    xp_entries,
)
from identity_service.tables.records import (
    account_events,
    audit_entries,
    feed_epochs,
    idempotency_keys,
    outbox,
)
from identity_service.tables.sign_in import (
    credentials,
    login_identifiers,
    one_time_codes,
    sign_in_failures,
    sign_ins,
    sign_up_requests,
    signing_keys,
    user_identities,
)

__all__ = [
    "METADATA",
    "account_events",
    "activity_days",
    "app_config",
    "audit_entries",
    "class_memberships",
    "classes",
    "component_models",
    "credentials",
    "erasure_receipts",
    "erasures",
    "feed_epochs",
    "idempotency_keys",
    "join_codes",
    "login_identifiers",
    "model_backends",
    "models",
    "one_time_codes",
    "outbox",
    "roster_classes",
    "roster_users",
    "sign_in_failures",
    "sign_ins",
    "sign_up_requests",
    "signing_keys",
    "user_classes",
    "user_identities",
    "user_settings",
    "users",
    "xp_entries",
]
