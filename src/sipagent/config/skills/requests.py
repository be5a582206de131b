"""Tools that are HTTP requests: what their keys mean together, and what they become."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sipagent.config.findings import Complaint, Steps
from sipagent.config.gathering import Role
from sipagent.config.reach import grants_of, host_refusal
from sipagent.config.schema.base import given
from sipagent.config.schema.tools import Auth, HttpTool, McpTool
from sipagent.config.skills.notebook import Notebook
from sipagent.config.skills.parameters import NO_PARAMETERS, closed, misspelled, problems_of
from sipagent.config.templates.compiled import CompiledTemplate
from sipagent.config.words import quoted
from sipagent.model import (
    CallFacts,
    HttpRequest,
    Json,
    SecretName,
    Template,
    ToolName,
    ToolTemplate,
)
from sipagent.tools.targets import TargetError, parse_target

_PLACE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}", re.ASCII)
_BRACE: Final = re.compile(r"[{}]")
_DIGITS: Final = re.compile(r"\{\{-?\s*digits\.([A-Za-z0-9_-]{1,64})\s*-?\}\}", re.ASCII)
_ALONE: Final = re.compile(r"\{\{[^{}]*\}\}")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)
"""RFC 9110 5.6.2: what a header's name is."""

_OUTSIDE: Final = frozenset({"caller", "dialed", "headers"})
"""What a caller has written, in the words of templates."""

_HOP: Final = frozenset(
    {
        *("connection", "content-length", "expect", "host", "keep-alive", "te", "trailer"),
        *("proxy-authorization", "proxy-connection", "transfer-encoding", "upgrade"),
    }
)
"""Headers that say how a request is sent, which only its sender knows."""

_LONGEST_VALUE: Final = 4096


@dataclass(frozen=True, slots=True)
class Unquoted:
    """A template that is nothing but one value of the caller's: printed as it is, and not as a
    quoted string. Where it goes to, a value cannot be more than a value."""

    template: CompiledTemplate

    def render(self, facts: CallFacts) -> str:
        text = self.template.render(facts)
        return str(json.loads(text)) if text.startswith('"') else text


@dataclass(frozen=True, slots=True)
class Request:
    """A request as all calls have it, and what each renders anew."""

    does: HttpRequest
    parameters: Json
    bind: Mapping[str, Template] = field(default_factory=dict)
    headers: Mapping[str, Template] = field(default_factory=dict)


def request_of(tool: HttpTool, steps: Steps, book: Notebook) -> Request | None:
    """The request of a tool; None where it cannot be made, which is told."""
    parameters = parameters_of(given(tool.parameters), (*steps, "parameters"), book)
    bound = _bound(tool, steps, book, given(tool.parameters) or {})
    headers = headers_of(given(tool.headers), steps, book, templates=True)
    usable = _verify_url(tool, steps, book)
    usable &= _verify_auth(given(tool.auth), given(tool.headers), steps, book)
    if parameters is None or bound is None or headers is None or not usable:
        return None
    known = {*parameters.get("properties", {}), *bound.plain, *bound.templates, *bound.digits}
    open_ = parameters.get("additionalProperties") is not False
    complaints = () if open_ else (*_unfilled(tool, steps, known),)
    for complaint in complaints:
        book.complain(complaint)
    secret = None if given(tool.auth) is None else SecretName(tool.auth.bearer.secret)
    does = HttpRequest(
        tool.method,
        tool.url,
        {name: value for name, value in headers.items() if isinstance(value, str)},
        secret,
        bound.plain,
        bound.digits,
        given(tool.body),
        _pointers(given(tool.response)),
        plain=book.source.role is not Role.TENANT and tool.url.lower().startswith("http://"),
    )
    rendered = {name: value for name, value in headers.items() if not isinstance(value, str)}
    return None if complaints else Request(does, parameters, bound.templates, rendered)


def parameters_of(written: Mapping[str, Any] | None, steps: Steps, book: Notebook) -> Json | None:
    """The schema as it is used; None where it cannot be, which is told."""
    if written is None:
        return NO_PARAMETERS
    problems = tuple(problems_of(written, steps))
    for problem in problems:
        book.complain(problem)
    if problems:
        return None
    for doubt in misspelled(written, steps):
        book.source.warn(doubt)
    return closed(written)


@dataclass(frozen=True, slots=True)
class _Bound:
    plain: dict[str, str]
    templates: dict[str, Template]
    digits: dict[str, ToolName]


def _bound(
    tool: HttpTool, steps: Steps, book: Notebook, parameters: Mapping[str, Any]
) -> _Bound | None:
    """The arguments that we fill in; None where one of them cannot be, which is told."""
    bound, usable = _Bound({}, {}, {}), True
    properties = parameters.get("properties")
    for name, value in (given(tool.bind) or {}).items():
        where = (*steps, "bind", name)
        if isinstance(properties, dict) and name in properties:
            hint = "the model gives what stands in `parameters`, and never sees what is bound"
            book.complain(Complaint(where, "this argument stands in `parameters`", hint, True))
            usable = False
        elif (digits := _DIGITS.fullmatch(value.strip())) is not None:
            bound.digits[name] = ToolName(digits[1])
            usable &= book.collects(digits[1], where)
        elif re.search(r"\{\{[^}]*\bdigits\.", value):
            hint = 'as in "{{ digits.pin }}"'
            book.complain(Complaint(where, "digits stand for the whole value", hint))
            usable = False
        else:
            text = book.text(value, where)
            usable &= text is not None
            if isinstance(text, CompiledTemplate):
                bound.templates[name] = _as_value(text)
            elif isinstance(text, str):
                bound.plain[name] = text
    return bound if usable else None


def _as_value(template: CompiledTemplate) -> Template:
    alone = _ALONE.fullmatch(template.source.strip()) is not None
    return Unquoted(template) if alone and template.reads <= _OUTSIDE else template


def headers_of(
    written: Mapping[str, str] | None, steps: Steps, book: Notebook, *, templates: bool
) -> dict[str, str | Template] | None:
    """The headers of a request; None where one of them cannot be sent, which is told."""
    found: dict[str, str | Template] = {}
    for name, value in (written or {}).items():
        where = (*steps, "headers", name)
        text = book.text(value, where) if templates else value
        problem = _header_problem(name, text, seen={each.lower() for each in found})
        if not templates and "{{" in value:
            problem = "the headers of an MCP server are the same for all calls"
        if problem is not None:
            book.complain(Complaint(where, problem))
        if problem is not None or text is None:
            return None
        found[name] = text
    return found


def _header_problem(name: str, text: Any, *, seen: set[str]) -> str | None:
    if _TOKEN.fullmatch(name) is None:
        return "this is no header's name"
    if name.lower() in _HOP:
        return "this header belongs to whoever sends the request"
    if name.lower() in seen:
        return "this header stands twice"
    if isinstance(text, CompiledTemplate) and (others := sorted(text.reads & _OUTSIDE)):
        return f"{others[0]} cannot stand in a header: callers write it"
    plain = isinstance(text, str)
    if plain and not (text.isascii() and text.isprintable() and len(text) <= _LONGEST_VALUE):
        return "this cannot stand in a header"
    return None


def _verify_auth(
    auth: Any, headers: Mapping[str, str] | None, steps: Steps, book: Notebook
) -> bool:
    """Complain of a secret that the tenant has not been granted, and of two proofs at once."""
    if auth is None:
        return True
    if any(name.lower() == "authorization" for name in headers or {}):
        message = "there is an Authorization header, too"
        book.complain(Complaint((*steps, "auth"), message, "keep one of the two", True))
        return False
    granted = given(grants_of(book.space).secrets) or {}
    if auth.bearer.secret in granted:
        return True
    hint = "the operator grants secrets under `tenants`"
    where = (*steps, "auth", "bearer", "secret")
    book.complain(Complaint(where, "the tenant has no secret of this name", hint))
    return False


def _verify_url(tool: HttpTool, steps: Steps, book: Notebook) -> bool:
    where = (*steps, "url")
    if "{{" in tool.url or "{%" in tool.url:
        hint = "write {name}, and bind the name to the template"
        book.complain(Complaint(where, "a URL is no template", hint))
        return False
    return verify_url(_PLACE.sub("x", tool.url), where, book, written=tool.url)


def verify_url(url: str, steps: Steps, book: Notebook, *, written: str | None = None) -> bool:
    """Complain of what is not the URL of a fixed host, or of one that the tenant may not ask."""
    authority = (written or url).partition("://")[2].partition("/")[0].partition("?")[0]
    example = "as in https://api.example/x"
    try:
        target = parse_target(url)
    except TargetError as error:
        credentials = "credentials" in str(error)
        fixed = "this is not the URL of a fixed host"
        message = "a URL must not hold credentials" if credentials else fixed
        book.complain(Complaint(steps, message, "use auth" if credentials else example))
        return False
    if _BRACE.search(authority):
        book.complain(Complaint(steps, "this is not the URL of a fixed host", example))
        return False
    own = book.source.role is Role.TENANT
    refusal = host_refusal(book.space, target.host) if own else None
    if refusal is not None:
        book.complain(Complaint(steps, *refusal))
    elif own and target.scheme == "http":
        told = "http is refused, but for hosts in SIPAGENT_HTTP_TOOLS_ALLOW"
        book.source.warn(Complaint(steps, told, "write https://"))
    return refusal is None


def _unfilled(tool: HttpTool, steps: Steps, known: set[str]) -> Iterator[Complaint]:
    """Places for arguments that there are not."""
    places = [((*steps, "url"), tool.url), *_texts(given(tool.body), (*steps, "body"))]
    for where, text in places:
        for name in _PLACE.findall(text):
            if name not in known:
                message = f"there is no argument {quoted(name)}"
                yield Complaint(where, message, "name it in `parameters` or `bind`")


def _texts(value: Any, steps: Steps) -> Iterator[tuple[Steps, str]]:
    match value:
        case str():
            yield steps, value
        case dict():
            for key, below in value.items():
                yield from _texts(below, (*steps, key))
        case list():
            for at, below in enumerate(value):
                yield from _texts(below, (*steps, at))


def _pointers(response: Any) -> Mapping[str, str] | None:
    """What the model gets by which name: `result` where there is one pointer alone."""
    return {"result": response} if isinstance(response, str) else response


def verify_server(tool: McpTool, steps: Steps, book: Notebook) -> bool:
    """Complain of what is wrong with a server that the provider asks."""
    where = (*steps, "server_url")
    usable = verify_url(tool.server_url, where, book)
    if usable and not tool.server_url.lower().startswith("https://"):
        message = "what is asked and sent there would not be encrypted"
        book.complain(Complaint(where, message, "write https://"))
        usable = False
    return usable & _verify_auth(given(tool.auth), given(tool.headers), steps, book)


def bearer_of(auth: Auth | None) -> SecretName | None:
    return None if auth is None else SecretName(auth.bearer.secret)


def templates_of(template: ToolTemplate) -> Iterator[CompiledTemplate]:
    """The templates of what is bound."""
    for text in template.bind.values():
        found = text.template if isinstance(text, Unquoted) else text
        if isinstance(found, CompiledTemplate):
            yield found
