"""What every contract keeps to. Each rule yields the name of what breaks it, and how."""

import keyword
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import grpc
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from deploy.stack.layout import SERVICES
from meno.access.v1 import access_pb2
from tests.contracts.declared import Declared, Rpc, behaves, rules_of

Rule = Callable[[Declared], Iterator[str]]

REPEATABLE: Mapping[str, str] = {
    "meno.identity.v1.AuthService.ChangePassword": "with the same passwords it changes nothing",
    "meno.identity.v1.AuthService.LinkCredentials": "linking the same again changes nothing",
    "meno.identity.v1.AuthService.MergeGuest": "a guest is merged once, and whom into stays known",
    "meno.identity.v1.AuthService.RefreshTokens": "each refresh token serves once",
    "meno.identity.v1.AuthService.RequestOneTimeCode": "a new code ends the one before",
    "meno.identity.v1.AuthService.SignInAsGuest": "a guest whose answer was lost is forgotten by and by",
    "meno.identity.v1.AuthService.SignOut": "signing out again changes nothing",
    "meno.identity.v1.AuthService.SignOutEverywhere": "signing out again changes nothing",
}
"""The writes without a request_id, and why a repetition is safe."""

RULES: list[Rule] = []

_READS = ("Get", "BatchGet", "List", "Watch", "Resume", "Resolve", "Export", "Verify")
_ASKS = ("Search", "Test")
"""Reads whose question is too long for a path, or goes further than to ourselves."""
_VARIABLE = re.compile(r"\{([^}]+)\}")
_SECRET = re.compile(r"password|secret|(?<!page_)token|hash|answer_key|api_key|private|credential|hidden")
_ENDLESS = re.compile(r"(?<!\\)[*+]")
_WRITTEN_BY_US = {"create_time", "update_time", "publish_time", "etag"}


def rule(check: Rule) -> Rule:
    RULES.append(check)
    return check


@rule
def every_rpc_has_a_way_in(declared: Declared) -> Iterator[str]:
    yield from (rpc.name for rpc in declared.rpcs() if not rpc.grants)


@rule
def every_way_in_is_one_that_is_understood(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        for grant in rpc.grants:
            named = {field.name for field, _ in grant.ListFields()}
            alone = named & {"public", "service"}
            person = named & {"signed_in", "owner", "member_of", "role"}
            if (alone and len(named) > 1) or (not alone and not person):
                yield f"{rpc.name}: {sorted(named)} is no way in"
            if ("guest" in named and "signed_in" not in named) or (
                "at_least" in named and "member_of" not in named
            ):
                yield f"{rpc.name}: {sorted(named)} lacks what it qualifies"
            if grant.service and grant.service not in SERVICES:
                yield f"{rpc.name}: there is no {grant.service}"


@rule
def who_may_call_is_read_from_plain_strings(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        fields = {field.name: field for field in rpc.request.field}
        yield from (f"{rpc.name}: {name}" for name in rpc.identity if not _is_plain(fields.get(name)))


@rule
def everything_is_commented(declared: Declared) -> Iterator[str]:
    yield from declared.uncommented()


@rule
def writes_are_repeatable(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        [*found] = (field for field in rpc.request.field if field.name == "request_id")
        if bool(found) != (not _reads(rpc) and rpc.name not in REPEATABLE):
            yield rpc.name
        if any(not rules_of(field).string.uuid for field in found):
            yield f"{rpc.name}: request_id is any text"


@rule
def lists_come_in_pages(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        asked = {field.name: field for field in rpc.request.field}
        told = {field.name: field for field in rpc.answer.field}
        repeated = [field for field in rpc.answer.field if field.label == field.LABEL_REPEATED]
        paged = (
            {"page_size", "page_token"} <= asked.keys() and "next_page_token" in told and len(repeated) == 1
        )
        if rpc.verb.startswith("List") and not paged:
            yield rpc.name
        if "page_token" in asked and not rpc.verb.startswith("List"):
            yield f"{rpc.name} is paged and no List"


@rule
def changes_do_not_overwrite_what_was_not_read(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        asked = {field.name: field for field in rpc.request.field}
        told = {field.name for field in rpc.answer.field}
        if not rpc.verb.startswith(("Update", "Delete")):
            continue
        if "etag" not in asked or (rpc.verb.startswith("Update") and "etag" not in told):
            yield f"{rpc.name}: etag"
        # A request with the fields themselves, not the resource, changes those that are set.
        if rpc.method.output_type in {field.type_name for field in asked.values()} and not (
            (mask := asked.get("update_mask")) and rules_of(mask).field_mask
        ):
            yield f"{rpc.name}: update_mask"


@rule
def what_leaves_the_house_has_a_path(declared: Declared) -> Iterator[str]:
    yield from (rpc.name for rpc in declared.rpcs() if rpc.routed != bool(rpc.http))


@rule
def verbs_say_what_is_done(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        for verb, _, body in rpc.http:
            if verb != _verb(rpc) or bool(body) != (verb not in ("get", "delete")):
                yield f"{rpc.name}: {verb} {body}"


@rule
def paths_hold_the_fields_that_decide_access(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        fields = {field.name: field for field in rpc.request.field}
        for _, path, _ in rpc.http:
            variables = _VARIABLE.findall(path)
            unknown = [name for name in variables if not _is_plain(fields.get(name))]
            twice = [name for name, times in Counter(variables).items() if times > 1]
            missing = rpc.identity - {*variables}
            yield from (f"{rpc.name}: {name}" for name in (*unknown, *twice, *missing))


@rule
def no_two_rpcs_answer_one_request(declared: Declared) -> Iterator[str]:
    places = [
        (verb, _VARIABLE.sub("{}", path), rpc.name) for rpc in declared.rpcs() for verb, path, _ in rpc.http
    ]
    taken = Counter((verb, path) for verb, path, _ in places)
    yield from (f"{name}: {verb} {path}" for verb, path, name in places if taken[verb, path] > 1)


@rule
def request_fields_say_whether_they_are_needed(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        for field in rpc.request.field:
            if not behaves(field, "REQUIRED", "OPTIONAL"):
                yield f"{rpc.name}: {field.name}"


@rule
def request_fields_are_bounded(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        for path, field in declared.within(rpc.request):
            if not behaves(field, "OUTPUT_ONLY", "IDENTIFIER") and not _is_bounded(field):
                yield f"{rpc.name}: {path}"


@rule
def callers_do_not_write_what_we_write(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        for path, field in declared.within(rpc.request):
            if "." in path and field.name in _WRITTEN_BY_US and not behaves(field, "OUTPUT_ONLY"):
                yield f"{rpc.name}: {path}"


@rule
def secrets_are_carried_by_secret_rpcs_alone(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        for message in (rpc.request, rpc.answer):
            for path, field in declared.within(message):
                if _SECRET.search(field.name) and not rpc.secret:
                    yield f"{rpc.name}: {path}"


@rule
def guessing_is_limited(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        limited = rpc.method.options.Extensions[access_pb2.limit].per_address_per_minute
        if rpc.secret and any(grant.public for grant in rpc.grants) and not limited:
            yield rpc.name


@rule
def streams_say_how_they_end(declared: Declared) -> Iterator[str]:
    for rpc in declared.rpcs():
        steps = {field.name: field for field in rpc.answer.field if field.HasField("oneof_index")}
        # What only services follow never ends by itself.
        endings = {"done", "error"} if rpc.routed else {"error"}
        if not rpc.method.server_streaming:
            continue
        if not endings <= steps.keys() or steps["error"].type_name != ".google.rpc.Status":
            yield rpc.name


@rule
def reasons_travel_with_a_code(declared: Declared) -> Iterator[str]:
    for name, enum in declared.enums():
        for value in enum.value if enum.name == "ErrorReason" else ():
            code = value.options.Extensions[access_pb2.code]
            if value.number and code not in grpc.StatusCode.__members__:
                yield f"{name}.{value.name}: {code!r}"


@rule
def no_name_is_a_word_of_python(declared: Declared) -> Iterator[str]:
    for name, message in declared.messages():
        yield from (f"{name}.{field.name}" for field in message.field if keyword.iskeyword(field.name))


def _reads(rpc: Rpc) -> bool:
    return rpc.verb.startswith((*_READS, *_ASKS))


def _verb(rpc: Rpc) -> str:
    """The HTTP verb of an RPC's name."""
    if rpc.verb.startswith(_READS):
        return "get"
    if rpc.verb.startswith("Update"):
        return "patch"
    return "delete" if rpc.verb.startswith(("Delete", "Remove")) else "post"


def _is_plain(field: FieldDescriptorProto | None) -> bool:
    """A string that is there once, and outside of alternatives."""
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
        return bool(rules.map.max_pairs) and all(side and not _ENDLESS.search(side) for side in sides)
    if field.label == field.LABEL_REPEATED and not rules.repeated.max_items:
        return False
    checked = rules.repeated.items if field.label == field.LABEL_REPEATED else rules
    match field.type:
        case field.TYPE_STRING:
            text = checked.string
            endless = not text.pattern or _ENDLESS.search(text.pattern)
            return bool(text.max_len or text.uuid or text.const or not endless)
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
