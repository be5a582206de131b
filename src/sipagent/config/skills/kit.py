"""All that an agent can do beside talking, as its `tools` list it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from sipagent.config.findings import Complaint, Steps
from sipagent.config.gathering import Role
from sipagent.config.leaves import Leaf
from sipagent.config.schema.base import given, seconds
from sipagent.config.schema.numbers import DestinationEntry
from sipagent.config.schema.tools import (
    DigitsTool,
    EffectTool,
    HttpTool,
    LocalTool,
    McpTool,
    MessageTool,
    PythonTool,
    ToolWith,
)
from sipagent.config.skills.notebook import Notebook
from sipagent.config.skills.requests import (
    bearer_of,
    headers_of,
    parameters_of,
    request_of,
    verify_server,
)
from sipagent.config.spaces import Space
from sipagent.config.texts import Piece, Texts
from sipagent.config.words import quoted
from sipagent.model import (
    AgentName,
    CollectDigits,
    DestinationName,
    Effects,
    Json,
    McpCall,
    McpServer,
    PythonCall,
    Requirement,
    SetLanguage,
    Tool,
    ToolName,
    ToolTemplate,
)
from sipagent.model import builtin as built_in
from sipagent.model.secret import secret_mark
from sipagent.tools.local import LocalServer
from sipagent.tools.python import PythonTools, UnusableError

_FIELDS: Final = ("message",)
_LONGEST_TIMEOUT: Final = 300.0
_SHORTEST_KEY: Final = 1.0
_LONGEST_KEY: Final = 60.0
_OF_HOSTED: Final = (
    *("server_url", "description", "headers", "auth", "allowed_tools"),
    "require_approval",
)
_OF_LOCAL: Final = ("command", "tools", "environment")


@dataclass(frozen=True, slots=True)
class Kit:
    """The tools of an agent. `hosted` are the servers that the provider asks, as a session offers
    them, `servers` what is approved of them; `local` are those that run beside us. `pieces` are
    the templates among all of it, `pins` the variables that hold PINs, with their places."""

    tools: tuple[ToolTemplate, ...] = ()
    servers: tuple[McpServer, ...] = ()
    hosted: tuple[Json, ...] = ()
    local: Mapping[str, LocalServer] = field(default_factory=dict)
    pieces: tuple[Piece, ...] = ()
    pins: tuple[tuple[str, Steps], ...] = ()

    @property
    def changes_language(self) -> bool:
        return any(isinstance(template.tool.does, SetLanguage) for template in self.tools)

    @property
    def offers(self) -> list[Json]:
        """The tools as a session offers them."""
        return [*(built_in.offer(template.tool) for template in self.tools), *self.hosted]


@dataclass(frozen=True, slots=True)
class Kits:
    """Makes kits. `base` is the main file's folder, in which local servers start."""

    texts: Texts
    base: Path
    python: PythonTools = field(default_factory=PythonTools)

    def kit(self, space: Space, leaf: Leaf | None, languages: tuple[str | None, ...]) -> Kit | None:
        """The kit that a `tools` leaf lists; None where something is wrong, which is told."""
        if leaf is None:
            return Kit()
        collecting = [_digits_name(entry) for entry in leaf.value if _collects(entry)]
        book = Notebook(space, leaf.source, self.texts, collecting)
        reader = _Reader(book, self, languages)
        for at, entry in enumerate(leaf.value):
            reader.read(entry, (*leaf.steps, at))
        if book.broken:
            return None
        return Kit(
            tuple(reader.tools),
            tuple(reader.servers),
            tuple(reader.hosted),
            reader.local,
            tuple(book.pieces),
            tuple(book.pins),
        )


class _Reader:
    """Reads the entries of one leaf, one by one."""

    def __init__(self, book: Notebook, kits: Kits, languages: tuple[str | None, ...]) -> None:
        self.book = book
        self.kits = kits
        self.languages = languages
        self.tools: list[ToolTemplate] = []
        self.servers: list[McpServer] = []
        self.hosted: list[Json] = []
        self.local: dict[str, LocalServer] = {}

    def read(self, entry: str | ToolWith, steps: Steps) -> None:
        if isinstance(entry, str):
            self._word(entry, steps)
            return
        kind, settings = next(iter(entry.written().items()))
        steps = (*steps, kind)
        match settings:
            case list() if kind == "transfer":
                self._transfer(settings, steps)
            case list():
                usable = [self.book.agent(name, (*steps, at)) for at, name in enumerate(settings)]
                if all(usable):
                    self._add(built_in.switch_agent(tuple(map(AgentName, settings))))
            case MessageTool():
                fields = given(settings.fields) or _FIELDS
                self._add(built_in.take_message(tuple(fields), given(settings.description)))
            case DigitsTool():
                self._digits(settings, steps)
            case HttpTool():
                self._http(settings, steps)
            case McpTool():
                self._mcp(settings, steps)
            case PythonTool():
                self._python(settings, steps)

    def _add(self, tool: Tool) -> None:
        self.tools.append(ToolTemplate(tool))

    def _word(self, word: str, steps: Steps) -> None:
        match word:
            case "hang_up":
                self._add(built_in.hang_up())
            case "wait":
                self._add(built_in.wait())
            case "take_message":
                self._add(built_in.take_message(_FIELDS))
            case "collect_digits":
                self._add(built_in.collect_digits(CollectDigits()))
            case "set_language":
                spoken = tuple(each for each in self.languages if each is not None)
                if len(spoken) > 1:
                    self._add(built_in.set_language(spoken))
                    return
                hint = "write languages, as in [en, es], or leave the tool out"
                self.book.complain(Complaint(steps, "the agent has one language", hint))

    def _transfer(self, names: list[str], steps: Steps) -> None:
        usable = [self.book.destination(name, (*steps, at)) for at, name in enumerate(names)]
        for at, name in enumerate(names):
            if name in names[:at]:
                message = f"{quoted(name)} stands twice"
                self.book.complain(Complaint((*steps, at), message, "keep one of the two"))
        if all(usable):
            purposes = {DestinationName(name): _purpose(self.book.space, name) for name in names}
            self._add(built_in.transfer(purposes))

    def _digits(self, written: DigitsTool, steps: Steps) -> None:
        if not _SHORTEST_KEY <= seconds(written.timeout) <= _LONGEST_KEY:
            self.book.complain(Complaint((*steps, "timeout"), "a caller has 1s to 1m for a key"))
        digits = CollectDigits(
            given(written.length),
            written.terminator,
            seconds(written.timeout),
            written.retries,
            written.sensitive,
        )
        name = ToolName(given(written.name) or built_in.COLLECT_DIGITS)
        self._add(built_in.collect_digits(digits, name, given(written.description)))

    def _http(self, written: HttpTool, steps: Steps) -> None:
        request = request_of(written, steps, self.book)
        if request is None:
            return
        name = ToolName(written.name)
        told = given(written.description) or _spoken(written.name)
        tool = Tool(name, request.does, told, request.parameters)
        self._effect(tool, written, steps, request.bind, request.headers)

    def _effect(
        self,
        tool: Tool,
        written: EffectTool,
        steps: Steps,
        bind: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        """Add the tool with what its entry says of every effect."""
        wrote = written.model_fields_set
        timeout = seconds(written.timeout) if "timeout" in wrote else tool.timeout
        if timeout > _LONGEST_TIMEOUT:
            self.book.complain(Complaint((*steps, "timeout"), "must be at most 5m"))
        pin = None
        requires = given(written.requires)
        if requires is not None:
            pin = given(requires.pin)
            if requires.model_fields_set.isdisjoint({"attestation", "pin"}):
                message = "needs attestation, pin or both"
                self.book.complain(Complaint((*steps, "requires"), message))
            self._verify_pin(pin, (*steps, "requires", "pin"))
        made = replace(
            tool,
            timeout=timeout,
            say_while_waiting=given(written.say_while_waiting),
            effects=Effects(written.effects) if "effects" in wrote else tool.effects,
            requires=None if requires is None else Requirement(given(requires.attestation)),
            finish=written.finish,
        )
        self.tools.append(ToolTemplate(made, bind or {}, headers or {}, pin))

    def _verify_pin(self, pin: str | None, steps: Steps) -> None:
        if pin is None:
            return
        self.book.pins.append((pin, steps))
        if not self.book.collecting:
            hint = "add one, as in {collect_digits: {name: pin, length: 4, sensitive: true}}"
            self.book.complain(Complaint(steps, "no tool of the agent collects digits", hint))

    def _mcp(self, written: McpTool, steps: Steps) -> None:
        local = given(written.command) is not None
        if local and self.book.source.role is Role.TENANT:
            message = "only the operator's files may start programs"
            self.book.complain(Complaint((*steps, "command"), message, at_key=True))
            return
        if local == (given(written.server_url) is not None):
            self.book.complain(Complaint(steps, "needs one of server_url and command"))
            return
        foreign = _OF_HOSTED if local else _OF_LOCAL
        for key in foreign:
            if key in written.model_fields_set:
                message = f"does not go with {'command' if local else 'server_url'}"
                self.book.complain(Complaint((*steps, key), message, at_key=True))
        if local:
            self._local(written, steps)
        else:
            self._hosted(written, steps)

    def _hosted(self, written: McpTool, steps: Steps) -> None:
        """A server that the provider asks: the session says how."""
        usable = verify_server(written, steps, self.book)
        headers = headers_of(given(written.headers), steps, self.book, templates=False)
        if not usable or headers is None:
            return
        offer: dict[str, Any] = {
            "type": "mcp",
            "server_label": written.server_label,
            "server_url": written.server_url,
            "require_approval": written.require_approval,
        }
        allowed, bearer = given(written.allowed_tools), bearer_of(given(written.auth))
        if given(written.description) is not None:
            offer["server_description"] = written.description
        if headers:
            offer["headers"] = headers
        if bearer is not None:
            offer["authorization"] = secret_mark(self.book.space.tenant, bearer)
        if allowed is not None:
            offer["allowed_tools"] = allowed
        self.hosted.append(offer)
        self.servers.append(
            McpServer(written.server_label, None if allowed is None else tuple(allowed))
        )

    def _local(self, written: McpTool, steps: Steps) -> None:
        """A server that runs beside us: its tools are functions to the model."""
        if given(written.tools) is None:
            hint = "a session offers them before the server is asked"
            self.book.complain(Complaint((*steps, "tools"), "is missing", hint, at_key=True))
            return
        self.local[written.server_label] = LocalServer(
            tuple(written.command), given(written.environment) or {}, self.kits.base
        )
        for at, tool in enumerate(written.tools):
            self._of_server(written.server_label, tool, (*steps, "tools", at))

    def _of_server(self, server: str, written: LocalTool, steps: Steps) -> None:
        parameters = parameters_of(given(written.parameters), (*steps, "parameters"), self.book)
        if parameters is not None:
            told = given(written.description) or _spoken(written.name)
            does = McpCall(server, written.name)
            self._effect(Tool(ToolName(written.name), does, told, parameters), written, steps)

    def _python(self, written: PythonTool, steps: Steps) -> None:
        if self.book.source.role is Role.TENANT:
            message = "only the operator's files may use Python tools"
            self.book.complain(Complaint(steps, message, at_key=True))
            return
        try:
            function = self.kits.python.function(written.name)
        except UnusableError as error:
            names = frozenset(self.kits.python.names())
            hint = self.book.source.findings.did_you_mean(written.name, names)
            self.book.complain(Complaint((*steps, "name"), str(error), hint))
            return
        told = given(written.description) or function.description
        tool = Tool(
            ToolName(written.name),
            PythonCall(function.entry_point),
            told,
            function.parameters,
            function.timeout,
            effects=function.effects,
        )
        self._effect(tool, written, steps)


def _collects(entry: str | ToolWith) -> bool:
    if isinstance(entry, str):
        return entry == "collect_digits"
    return given(entry.collect_digits) is not None


def _digits_name(entry: str | ToolWith) -> str:
    own = None if isinstance(entry, str) else given(entry.collect_digits.name)
    return own or built_in.COLLECT_DIGITS


def _purpose(space: Space, name: str) -> str | None:
    named = space.find("destinations", name)
    entry = None if named is None else named.value
    return given(entry.description) if isinstance(entry, DestinationEntry) else None


def _spoken(name: str) -> str:
    """What a tool does that nobody has described, by its name."""
    return name.replace("_", " ").replace("-", " ").strip() or name
