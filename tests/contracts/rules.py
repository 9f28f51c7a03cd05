"""The rules of contracts. Each rule yields the names of the elements that violate it."""

import keyword
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import grpc
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from deploy.stack.layout import SERVICES
from meno.access.v1 import access_pb2
from tests.contracts.rpcs import Declared, Rpc, behaves, rules_of

Rule = Callable[[Declared], Iterator[str]]

IDEMPOTENT_WITHOUT_REQUEST_ID: Mapping[str, str] = {
    "meno.identity.v1.AuthService.ChangePassword": "a repetition with the same passwords changes nothing",
    "meno.identity.v1.AuthService.LinkCredentials": "linking the same credentials again changes nothing",
    "meno.identity.v1.AuthService.MergeGuest": "a guest is merged once, and the target is stored",
    "meno.identity.v1.AuthService.RefreshTokens": "each refresh token can be used once",
    "meno.identity.v1.AuthService.RequestOneTimeCode": "a new code replaces the previous one",
    "meno.identity.v1.AuthService.SignInAsGuest": "an unused guest is erased later",
    "meno.identity.v1.AuthService.SignOut": "signing out again changes nothing",
    "meno.identity.v1.AuthService.SignOutEverywhere": "signing out again changes nothing",
}
"""The writes without a request_id, each with the reason why a repetition is safe."""

RULES: list[Rule] = []

_MIN_COMMENT_WORDS = 5

STATUS_CODES = {code.value[0] for code in grpc.StatusCode} - {grpc.StatusCode.OK.value[0]}

_READS = ("Get", "BatchGet", "List", "Watch", "Resume", "Resolve", "Export", "Verify")
_READS_BY_POST = ("Search", "Test")
"""Reads with a request that is too long for a path, or that call another system."""
_VARIABLE = re.compile(r"\{([^}]+)\}")
_SECRET = re.compile(
    r"password|secret|(?<!page_)(?<!output_)token|hash|answer_key|api_key|private|credential|hidden"
)
_UNBOUNDED = re.compile(r"(?<!\\)[*+]")
_OUTPUT_FIELDS = {"create_time", "update_time", "publish_time", "etag"}


def rule(check: Rule) -> Rule:
    RULES.append(check)
    return check


@rule
def every_rpc_has_a_grant(declared: Declared) -> Iterator[str]:
    """Every RPC must have an `allow` option."""
    yield from (rpc.name for rpc in declared.rpcs() if not rpc.grants)


@rule
def every_grant_is_valid(declared: Declared) -> Iterator[str]:
    """A grant must permit someone, and its qualifiers must have the field that they qualify."""
    for rpc in declared.rpcs():
        for grant in rpc.grants:
            named = {field.name for field, _ in grant.ListFields()}
            exclusive = named & {"public", "service"}
            user = named & {"signed_in", "owner", "member_of", "role"}
            if (exclusive and len(named) > 1) or (not exclusive and not user):
                yield f"{rpc.name}: {sorted(named)} is not a valid grant"
            if ("guest" in named and "signed_in" not in named) or (
                "at_least" in named and "member_of" not in named
            ):
                yield f"{rpc.name}: {sorted(named)} qualifies an absent field"
            if grant.service and grant.service not in SERVICES:
                yield f"{rpc.name}: there is no {grant.service}"


@rule
def identity_fields_are_singular_strings(declared: Declared) -> Iterator[str]:
    """A field that a grant names must be a singular string outside of a oneof."""
    for rpc in declared.rpcs():
        fields = {field.name: field for field in rpc.request.field}
        yield from (f"{rpc.name}: {name}" for name in rpc.identity if not _is_plain(fields.get(name)))


@rule
def everything_is_commented(declared: Declared) -> Iterator[str]:
    """Every declaration must have a comment: full sentences, at least five words, with a period at the end."""
    for name, comment in declared.comments():
        text = comment.partition("Example:")[0].strip()
        if len(text.split()) < _MIN_COMMENT_WORDS or not text.endswith("."):
            yield f"{name}: {comment!r}"


@rule
def writes_have_a_request_id(declared: Declared) -> Iterator[str]:
    """A write must have a `request_id` with the rule `uuid`, unless a repetition is safe without one."""
    for rpc in declared.rpcs():
        [*found] = (field for field in rpc.request.field if field.name == "request_id")
        if bool(found) != (not _reads(rpc) and rpc.name not in IDEMPOTENT_WITHOUT_REQUEST_ID):
            yield rpc.name
        if any(not rules_of(field).string.uuid for field in found):
            yield f"{rpc.name}: request_id is not a UUID"


@rule
def lists_have_pages(declared: Declared) -> Iterator[str]:
    """A List must have `page_size`, `page_token`, `next_page_token` and one repeated field; other RPCs have none."""
    for rpc in declared.rpcs():
        asked = {field.name: field for field in rpc.request.field}
        answered = {field.name: field for field in rpc.answer.field}
        repeated = [field for field in rpc.answer.field if field.label == field.LABEL_REPEATED]
        paged = (
            {"page_size", "page_token"} <= asked.keys()
            and "next_page_token" in answered
            and len(repeated) == 1
        )
        if rpc.verb.startswith("List") and not paged:
            yield rpc.name
        if "page_token" in asked and not rpc.verb.startswith("List"):
            yield f"{rpc.name} has pages and is not a List"


@rule
def updates_have_one_form(declared: Declared) -> Iterator[str]:
    """An Update must have the resource, `update_mask` and `etag`; a Delete must have `etag`."""
    for rpc in declared.rpcs():
        asked = {field.name: field for field in rpc.request.field}
        if rpc.verb.startswith(("Update", "Delete")) and "etag" not in asked:
            yield f"{rpc.name}: etag"
        if not rpc.verb.startswith("Update"):
            continue
        if "etag" not in {field.name for field in rpc.answer.field}:
            yield f"{rpc.name}: the resource has no etag"
        if rpc.method.output_type not in {field.type_name for field in asked.values()}:
            yield f"{rpc.name}: resource"
        mask = asked.get("update_mask")
        if mask is None or not getattr(rules_of(mask).field_mask, "in"):
            yield f"{rpc.name}: update_mask"


@rule
def routed_rpcs_have_an_http_path(declared: Declared) -> Iterator[str]:
    """An RPC must have an HTTP mapping exactly if the gateway routes it."""
    yield from (rpc.name for rpc in declared.rpcs() if rpc.routed != bool(rpc.http))


@rule
def http_verbs_match_the_name(declared: Declared) -> Iterator[str]:
    """The HTTP verb must match the name: Get and List are get, Update is patch, Delete is delete, others are post."""
    for rpc in declared.rpcs():
        for verb, _, body in rpc.http:
            if verb != _verb(rpc) or bool(body) != (verb not in ("get", "delete")):
                yield f"{rpc.name}: {verb} {body}"


@rule
def paths_contain_the_identity_fields(declared: Declared) -> Iterator[str]:
    """The HTTP path must contain each field that a grant names, once, and only request fields."""
    for rpc in declared.rpcs():
        fields = {field.name: field for field in rpc.request.field}
        for _, path, _ in rpc.http:
            variables = _VARIABLE.findall(path)
            unknown = [name for name in variables if not _is_plain(fields.get(name))]
            twice = [name for name, times in Counter(variables).items() if times > 1]
            missing = rpc.identity - {*variables}
            yield from (f"{rpc.name}: {name}" for name in (*unknown, *twice, *missing))


@rule
def http_routes_are_unique(declared: Declared) -> Iterator[str]:
    """Two RPCs must not have the same HTTP verb and path."""
    places = [
        (verb, _VARIABLE.sub("{}", path), rpc.name) for rpc in declared.rpcs() for verb, path, _ in rpc.http
    ]
    taken = Counter((verb, path) for verb, path, _ in places)
    yield from (f"{name}: {verb} {path}" for verb, path, name in places if taken[verb, path] > 1)


@rule
def request_fields_are_required_or_optional(declared: Declared) -> Iterator[str]:
    """A request field must be marked REQUIRED or OPTIONAL."""
    for rpc in declared.rpcs():
        for field in rpc.request.field:
            if not behaves(field, "REQUIRED", "OPTIONAL"):
                yield f"{rpc.name}: {field.name}"


@rule
def request_fields_are_bounded(declared: Declared) -> Iterator[str]:
    """A field that clients set must have a bound: length, size, range, number of items or `defined_only`."""
    for rpc in declared.rpcs():
        for path, field in declared.within(rpc.request):
            if not behaves(field, "OUTPUT_ONLY", "IDENTIFIER") and not _is_bounded(field):
                yield f"{rpc.name}: {path}"


@rule
def output_fields_are_output_only(declared: Declared) -> Iterator[str]:
    """Fields that the service sets must be marked OUTPUT_ONLY in resources."""
    for rpc in declared.rpcs():
        for path, field in declared.within(rpc.request):
            if "." in path and field.name in _OUTPUT_FIELDS and not behaves(field, "OUTPUT_ONLY"):
                yield f"{rpc.name}: {path}"


@rule
def only_secret_rpcs_transport_secrets(declared: Declared) -> Iterator[str]:
    """A field with the name of a secret is permitted only in RPCs with the option `secret`."""
    for rpc in declared.rpcs():
        for message in (rpc.request, rpc.answer):
            for path, field in declared.within(message):
                if _SECRET.search(field.name) and not rpc.secret:
                    yield f"{rpc.name}: {path}"


@rule
def public_secret_rpcs_are_rate_limited(declared: Declared) -> Iterator[str]:
    """A public RPC that transports secrets must have a rate limit by address."""
    for rpc in declared.rpcs():
        limited = rpc.method.options.Extensions[access_pb2.limit].per_address_per_minute
        if rpc.secret and any(grant.public for grant in rpc.grants) and not limited:
            yield rpc.name


@rule
def streams_have_done_and_error(declared: Declared) -> Iterator[str]:
    """A stream must end with `done` or `error`; one for services must have `error`."""
    for rpc in declared.rpcs():
        steps = {field.name: field for field in rpc.answer.field if field.HasField("oneof_index")}
        # A stream for services never completes.
        endings = {"done", "error"} if rpc.routed else {"error"}
        if not rpc.method.server_streaming:
            continue
        if not endings <= steps.keys() or steps["error"].type_name != ".google.rpc.Status":
            yield rpc.name


@rule
def error_reasons_have_a_status_code(declared: Declared) -> Iterator[str]:
    """An error reason must have a valid `code`."""
    for name, enum in declared.enums():
        for value in enum.value if enum.name == "ErrorReason" else ():
            code = value.options.Extensions[access_pb2.code]
            if value.number and code not in STATUS_CODES:
                yield f"{name}.{value.name}: {code!r}"


@rule
def no_field_is_a_python_keyword(declared: Declared) -> Iterator[str]:
    """A field must not have the name of a Python keyword."""
    for name, message in declared.messages():
        yield from (f"{name}.{field.name}" for field in message.field if keyword.iskeyword(field.name))


def _reads(rpc: Rpc) -> bool:
    return rpc.verb.startswith((*_READS, *_READS_BY_POST))


def _verb(rpc: Rpc) -> str:
    """Returns the HTTP verb for the name of an RPC."""
    if rpc.verb.startswith(_READS):
        return "get"
    if rpc.verb.startswith("Update"):
        return "patch"
    return "delete" if rpc.verb.startswith(("Delete", "Remove")) else "post"


def _is_plain(field: FieldDescriptorProto | None) -> bool:
    """Returns whether a field is a singular string outside of a oneof."""
    return (
        field is not None
        and field.type == field.TYPE_STRING
        and field.label != field.LABEL_REPEATED
        and not field.HasField("oneof_index")
    )


def _is_bounded(field: FieldDescriptorProto) -> bool:
    rules = rules_of(field)
    if rules.HasField("map"):
        sides = (rules.map.keys.string.pattern, rules.map.values.string.pattern)
        return bool(rules.map.max_pairs) and all(side and not _UNBOUNDED.search(side) for side in sides)
    if field.label == field.LABEL_REPEATED and not rules.repeated.max_items:
        return False
    checked = rules.repeated.items if field.label == field.LABEL_REPEATED else rules
    match field.type:
        case field.TYPE_STRING:
            text = checked.string
            unbounded = not text.pattern or _UNBOUNDED.search(text.pattern)
            return bool(text.max_len or text.uuid or text.const or not unbounded)
        case field.TYPE_BYTES:
            return bool(checked.bytes.max_len)
        case field.TYPE_ENUM:
            return bool(checked.enum.defined_only)
        case field.TYPE_INT32 | field.TYPE_INT64 | field.TYPE_DOUBLE:
            kind = checked.WhichOneof("type")
            return kind is not None and getattr(checked, kind).WhichOneof("greater_than") is not None
        case field.TYPE_MESSAGE | field.TYPE_BOOL:
            return True
    return False
