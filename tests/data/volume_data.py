"""Inserts as many rows as an installation has, so that the planner chooses the same plans.

One query over numbers fills each table. `id(n)` is the n-th id of every kind: user 7 and class 7 have the
same id, which no statement depends on.
"""

from collections.abc import Mapping

import psycopg

_CREATE_ID_FUNCTION = """
CREATE FUNCTION id(n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
RETURN lpad(to_hex(n), 32, '0')::uuid
"""

_IDEMPOTENCY_KEYS = """
SELECT id(n % 800)::text AS principal, '/meno.Service/Method' AS method, id(n)::text AS request_id,
       '\\x00'::bytea AS body_hash, now() - n * interval '10 seconds' AS created_at
FROM generate_series(1, 8000) n
"""
_OUTBOX = """
SELECT 'audit_entry' AS kind, '{}'::jsonb AS body FROM generate_series(1, 2000) n"""
_IDENTITY = {
    "users": """
        SELECT id(n) AS user_id, 'Person' AS display_name, 'Person' AS nickname,
               CASE WHEN n % 1000 = 0 THEN 'ADMIN' WHEN n % 20 = 0 THEN 'TEACHER' ELSE 'STUDENT' END AS role,
               n % 10 = 0 AS guest, now() - n * interval '1 hour' AS created_at,
               now() - n * interval '20 minutes' AS last_active_at,
               CASE WHEN n % 500 = 7 THEN now() - n * interval '1 hour' END AS deleted_at,
               CASE WHEN n % 500 = 7 THEN id(n) END AS deleted_by_user_id
        FROM generate_series(1, 4000) n""",
    "user_settings": """
        SELECT id(n) AS user_id FROM generate_series(1, 4000) n WHERE n % 2 = 0""",
    "xp_entries": """
        SELECT id(n % 800) AS user_id, id(n) AS xp_entry_id, id(n) AS award_id, 10 AS amount,
               'QUIZ_GRADED' AS reason, now() - n * interval '10 minutes' AS created_at
        FROM generate_series(1, 8000) n""",
    "activity_days": """
        SELECT id(n % 800) AS user_id, current_date - (n / 800)::integer AS day, 'UTC' AS time_zone, 1 AS streak,
               now() AS first_active_at, now() AS last_active_at
        FROM generate_series(0, 79999) n""",
    "user_identities": """
        SELECT id(n) AS user_id, 'https://issuer.example' AS issuer, 'subject' || n AS subject
        FROM generate_series(1, 4000) n WHERE n % 3 = 0""",
    "one_time_codes": """
        SELECT sha256(n::text::bytea) AS address_hash, '\\x00'::bytea AS code_hash, now() AS sent_at,
               now() - n * interval '10 seconds' AS expires_at
        FROM generate_series(1, 4000) n""",
    "erasures": """
        SELECT id(n) AS user_id FROM generate_series(5000, 6000) n""",
    "erasure_receipts": """
        SELECT id(n) AS user_id, service, 5 AS rows
        FROM generate_series(5000, 6000) n, unnest(ARRAY['identity_service', 'chat_service']) service""",
    "audit_entries": """
        SELECT n AS sequence, id(n) AS entry_id, now() AS occurred_at, 'identity_service' AS service,
               'CLASS_CREATED' AS action, id(n % 800) AS actor_user_id, id(n % 900) AS user_id,
               id(n % 1000) AS class_id, '{}'::jsonb AS details, '' AS request_id, '\\x00'::bytea AS digest
        FROM generate_series(1, 10000) n""",
    "outbox": _OUTBOX,
    "roster_users": """
        SELECT 'person-' || n AS sourced_id, id(n) AS user_id FROM generate_series(1, 4000) n""",
    "roster_classes": """
        SELECT 'class-' || n AS sourced_id, id(n) AS class_id FROM generate_series(1, 4000) n""",
    "login_identifiers": """
        SELECT id(n) AS user_id, kind, kind || n AS value, lower(kind) || n AS canonical
        FROM generate_series(1, 4000) n, unnest(ARRAY['LOGIN_NAME', 'EMAIL']) kind""",
    "credentials": """
        SELECT id(n) AS user_id, repeat('h', 100) AS password_hash FROM generate_series(1, 4000) n""",
    "sign_up_requests": """
        SELECT id(n) AS request_id, id(n) AS user_id, now() - n * interval '10 seconds' AS created_at
        FROM generate_series(1, 4000) n""",
    "sign_in_failures": """
        SELECT sha256(n::text::bytea) AS identifier_hash, '\\x00'::bytea AS network_hash, 1 AS failures,
               now() - n * interval '10 seconds' AS failed_at
        FROM generate_series(1, 4000) n""",
    "sign_ins": """
        SELECT id(n % 800) AS user_id, id(n) AS sign_in_id, id(n) AS request_id, '\\x00'::bytea AS current_hash,
               now() + n * interval '5 minutes' AS expires_at,
               CASE WHEN n % 4 = 0 THEN now() - n * interval '10 seconds' END AS revoked_at
        FROM generate_series(1, 8000) n""",
    "account_events": """
        SELECT n AS sequence, CASE WHEN n % 10 = 0 THEN 'settings_changed' ELSE 'rights_lost' END AS kind,
               jsonb_build_object('user_id', id(n % 800)) AS body, n % 2 = 0 AS permanent,
               now() - (10000 - n) * interval '1 minute' AS created_at
        FROM generate_series(1, 10000) n""",
    "classes": """
        SELECT id(n) AS class_id, 'Class' AS title, 'CODE' || n AS join_code,
               CASE WHEN n % 400 = 7 THEN now() - n * interval '1 hour' END AS deleted_at,
               CASE WHEN n % 400 = 7 THEN id(n) END AS deleted_by_user_id
        FROM generate_series(1, 4000) n""",
    "join_codes": """
        SELECT 'CODE' || n AS join_code, id(n) AS class_id FROM generate_series(1, 4000) n""",
    "class_memberships": """
        SELECT id(n / 20) AS class_id, id((n * 7) % 800) AS user_id,
               CASE WHEN n % 20 = 0 THEN 'TEACHER' ELSE 'STUDENT' END AS role
        FROM generate_series(0, 9999) n""",
    "user_classes": """
        SELECT id((n * 7) % 800) AS user_id, id(n / 20) AS class_id, 'STUDENT' AS role
        FROM generate_series(0, 9999) n""",
    "idempotency_keys": _IDEMPOTENCY_KEYS,
}
_CONTENT = {
    "contents": """
        SELECT id(n / 40) AS scope_id, id(n) AS content_id, id(n) AS created_by_user_id,
               CASE WHEN n % 40 >= 20 THEN 'MATERIAL' WHEN n % 5 = 0 THEN 'MODULE' ELSE 'LESSON' END AS kind,
               CASE WHEN n % 40 < 20 AND n % 5 > 0 THEN id(n - n % 5) END AS parent_id, n % 40 AS position
        FROM generate_series(0, 3999) n""",
    "content_revisions": """
        SELECT id(n / 40) AS scope_id, id(n * 3 + number) AS revision_id, id(n) AS content_id, number,
               state, 'Title' AS title, '{}'::jsonb AS body, id(n) AS created_by_user_id,
               CASE WHEN state <> 'DRAFT' THEN now() END AS published_at
        FROM generate_series(0, 3999) n,
             unnest(ARRAY['ARCHIVED', 'PUBLISHED', 'DRAFT']) WITH ORDINALITY AS revisions (state, number)
        WHERE state <> 'DRAFT' OR n % 4 = 0""",
    "content_materials": """
        SELECT scope_id, revision_id, id((n / 40) * 40 + 20 + n % 20) AS material_id
        FROM generate_series(0, 3999) n, LATERAL (SELECT id(n / 40) AS scope_id) scope,
             generate_series(1, 2) number, LATERAL (SELECT id(n * 3 + number) AS revision_id) revision
        WHERE n % 40 < 20""",
    "materials": """
        SELECT id(n / 40) AS scope_id, id(n) AS material_id, 'key' || n AS storage_key,
               'text/plain' AS content_type, 9 AS size_bytes, 'READY' AS status, 'READY' AS stage, 100 AS progress,
               5 AS chunk_count, 15 AS term_count
        FROM generate_series(0, 3999) n WHERE n % 40 >= 20""",
    "material_chunks": """
        SELECT id(n / 40) AS scope_id, id(n) AS material_id, ordinal, id(n * 5 + ordinal) AS chunk_id,
               1 AS page, '' AS section, 0 AS char_start, 1 AS char_end, repeat('word ', 100) AS text
        FROM generate_series(0, 3999) n, generate_series(0, 4) ordinal WHERE n % 40 >= 20""",
    "chunk_terms": """
        SELECT id(n / 40) AS scope_id, 'term' || term AS term, id(n) AS material_id, ordinal,
               1 AS occurrences, 3 AS chunk_length
        FROM generate_series(0, 3999) n, generate_series(0, 4) ordinal, generate_series(1, 3) term
        WHERE n % 40 >= 20""",
    "chunk_embeddings": """
        SELECT id(n / 40) AS scope_id, 1 AS set_id, id(n) AS material_id, ordinal, 0 AS "window",
               '[1,0,1,0]'::halfvec AS embedding
        FROM generate_series(0, 3999) n, generate_series(0, 4) ordinal WHERE n % 40 >= 20""",
    "idempotency_keys": _IDEMPOTENCY_KEYS,
    "outbox": _OUTBOX,
}
_SESSION = {
    "sessions": """
        SELECT id(n / 10) AS user_id, id(n) AS session_id, 'teach_me' AS mode, 10 AS last_sequence
        FROM generate_series(0, 2999) n""",
    "session_events": """
        SELECT id(n / 10) AS user_id, id(n) AS session_id, sequence, id(n * 5 + sequence) AS client_event_id,
               'Check' AS kind, 0 AS step
        FROM generate_series(0, 2999) n, generate_series(1, 5) sequence""",
    "idempotency_keys": _IDEMPOTENCY_KEYS,
    "outbox": _OUTBOX,
}
_CHAT = {
    "chats": """
        SELECT id(n / 10) AS user_id, id(n) AS chat_id, 'GENERAL' AS source, 6 AS last_sequence,
               now() - n * interval '1 minute' AS updated_at
        FROM generate_series(0, 2999) n""",
    "chat_messages": """
        SELECT id(n / 10) AS user_id, id(n) AS chat_id, id(n * 6 + sequence) AS message_id, sequence,
               CASE WHEN sequence % 2 = 0 THEN 'ASSISTANT' ELSE 'USER' END AS role, 'text' AS text,
               CASE WHEN streams THEN 'STREAMING' ELSE 'COMPLETED' END AS status,
               CASE WHEN streams THEN id(n) END AS fencing_token,
               CASE WHEN streams THEN now() + interval '10 seconds' END AS lease_expires_at
        FROM generate_series(0, 2999) n, generate_series(1, 6) sequence,
             LATERAL (SELECT sequence = 6 AND n % 500 = 0 AS streams) status""",
    "message_citations": """
        SELECT id(n / 10) AS user_id, id(n) AS chat_id, id(n * 6 + sequence) AS message_id, 1 AS number,
               id(1) AS class_id, id(2) AS material_id, id(3) AS revision_id, id(4) AS chunk_id,
               'Title' AS material_title, 1 AS page, '' AS section, 0 AS char_start, 1 AS char_end,
               'word' AS excerpt
        FROM generate_series(0, 2999) n, unnest(ARRAY[2, 4, 6]) sequence""",
    "answer_steps": """
        SELECT id(n / 10) AS user_id, id(n) AS chat_id, id(n * 6 + 2) AS message_id, sequence,
               'TEXT_DELTA' AS kind, 'word' AS text
        FROM generate_series(0, 2999) n, generate_series(1, 5) sequence""",
    "idempotency_keys": _IDEMPOTENCY_KEYS,
    "outbox": _OUTBOX,
}
ROWS: Mapping[str, Mapping[str, str]] = {
    "identity_service": _IDENTITY,
    "content_service": _CONTENT,
    "session_service": _SESSION,
    "chat_service": _CHAT,
}
"""The query whose rows fill a table, by service and table."""


def insert(connection: "psycopg.Connection[object]", service: str) -> None:
    """Inserts the rows of a service and updates the statistics of the planner."""
    connection.execute(_CREATE_ID_FUNCTION)
    for table, rows in ROWS[service].items():
        described = connection.execute(f"SELECT * FROM ({rows}) AS rows LIMIT 0").description or ()
        names = ", ".join(f'"{column.name}"' for column in described)
        connection.execute(f"INSERT INTO {table} ({names}) {rows}")
    connection.execute("DROP FUNCTION id")
    connection.execute("ANALYZE")
