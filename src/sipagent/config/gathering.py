"""All files of a configuration: the operator's main file and those that it includes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from sipagent.config.findings import START, Complaint, Findings, Place, Report
from sipagent.config.outline import OUTLINES
from sipagent.config.prompts import Prompts
from sipagent.config.schema import (
    AgentsFile,
    AnyFile,
    NamespaceFile,
    PricesFile,
    Readable,
    TenantFile,
    TextFile,
)
from sipagent.config.sources import Source, pattern_problem
from sipagent.config.textfile import Unreadable
from sipagent.config.validation import Draft, validate
from sipagent.config.words import quoted
from sipagent.config.yamlfile.document import Document, Table
from sipagent.config.yamlfile.reader import read
from sipagent.config.yamlfile.values import to_data
from sipagent.errors import ConfigError
from sipagent.model import TenantName

MAX_FILE_BYTES: Final = 1024 * 1024

_ONLY_OF_THE_MAIN_FILE: Final = frozenset({"include", "tenants", "accounts", "defaults"})

F = TypeVar("F", bound=Readable, covariant=True)


class Role(StrEnum):
    """Whose a file is: the operator's main file, one that files share, or a tenant's; or it is the
    operator's list of prices."""

    MAIN = "main"
    SHARED = "shared"
    TENANT = "tenant"
    PRICES = "prices"


@dataclass(frozen=True, slots=True)
class SourceFile(Generic[F]):
    """One YAML file, read. `name` is the namespace's or the tenant's."""

    path: Path
    role: Role
    name: str
    document: Document
    draft: Draft[F]
    findings: Findings
    prompts: Prompts

    def complain(self, complaint: Complaint, *, tenant: str | None = None) -> None:
        """Add what is wrong to the findings, with its place."""
        place = self._place(complaint)
        self.findings.add(place, complaint.steps, complaint.message, complaint.hint, tenant=tenant)

    def warn(self, complaint: Complaint) -> None:
        """Add what is probably not meant to the warnings, with its place."""
        place = self._place(complaint)
        self.findings.warn(place, complaint.steps, complaint.message, complaint.hint)

    def _place(self, complaint: Complaint) -> Place:
        find = self.document.key if complaint.at_key else self.document.value
        return find(complaint.steps)


@dataclass(frozen=True, slots=True)
class Context:
    """Where a configuration is read from: its files, and the environment of `${NAME}`."""

    source: Source
    environment: Mapping[str, str]


@dataclass(slots=True)
class Gathered:
    """The files that could be read; what is wrong with the others is in the report. `unusable` are
    tenants whose files are there and not among these. `leaves` is
    what agents have been found to have: `config.leaves` keeps it here. `prices` is the file of
    prices that the main file names."""

    main: SourceFile[AgentsFile]
    report: Report
    context: Context
    shared: dict[str, SourceFile[NamespaceFile]] = field(default_factory=dict)
    tenants: dict[TenantName, SourceFile[TenantFile]] = field(default_factory=dict)
    files: dict[Path, None] = field(default_factory=dict)
    unusable: set[TenantName] = field(default_factory=set)
    leaves: dict[Any, Any] = field(default_factory=dict, repr=False)
    prices: SourceFile[PricesFile] | None = None

    @property
    def sources(self) -> list[SourceFile[AnyFile]]:
        return [self.main, *self.shared.values(), *self.tenants.values()]

    def for_comparing(self) -> "Gathered":
        """What a comparison with another version still asks for, the main file's tenants and
        accounts, without places and without the included files."""
        draft = self.main.draft
        without: dict[str, Any] = {
            name: {} for name in draft.keys if name not in {"tenants", "accounts"}
        }
        main = replace(
            self.main,
            document=Document(Table(self.main.document.root.place)),
            draft=Draft(draft.file.model_copy(update=without), draft.left_out, {}),
        )
        return Gathered(main, Report(), self.context)


def gather(path: Path, text: str, base: Path, context: Context, report: Report) -> Gathered:
    """The main file and all that it includes. Raises ConfigError if the main file is no YAML."""
    findings = report.of(str(path))
    if len(text) > MAX_FILE_BYTES:
        findings.fail(START, (), f"the text is larger than {MAX_FILE_BYTES // 1024:,} KiB")
    document = read(text, findings)
    _verify_main(document, findings)
    main = _judged(path, Role.MAIN, "", document, AgentsFile, findings, base, context)
    gathered = Gathered(main, report, context)
    include = main.draft.file.include
    patterns = [include] if isinstance(include, str) else include or []
    for at, pattern in enumerate(patterns):
        steps = ("include",) if isinstance(include, str) else ("include", at)
        _include(gathered, base, pattern, steps)
    if isinstance(main.draft.file.prices, TextFile):
        _take_prices(gathered, base, main.draft.file.prices.file)
    return gathered


def _take_prices(gathered: Gathered, base: Path, name: str) -> None:
    steps = ("prices", "file")
    if (problem := pattern_problem(name)) is not None:
        hint = "paths begin at this file's folder and stay within it"
        gathered.main.complain(Complaint(steps, f"the path {problem}", hint))
        return
    path, source = base / name, gathered.context.source
    text = _inside(source, path) or source.text(path, MAX_FILE_BYTES)
    if isinstance(text, Unreadable):
        message = f"the file {quoted(name)} {text.reason}"
        gathered.main.complain(Complaint(steps, message, text.hint))
        return
    gathered.files[path] = None
    findings = gathered.report.of(str(path))
    try:
        document = read(text, findings)
    except ConfigError:
        return  # its findings are in the report
    gathered.prices = _judged(
        path, Role.PRICES, "", document, PricesFile, findings, path.parent, gathered.context
    )


def _verify_main(document: Document, findings: Findings) -> None:
    """Raises ConfigError for a file that only another one can include."""
    rows = document.root.rows
    for key, kind in (("tenant", "a tenant's file"), ("namespace", "a namespace")):
        if key in rows and not rows.keys() & _ONLY_OF_THE_MAIN_FILE:
            what = f"{kind} is a part of the main file that includes it"
            findings.fail(START, (), what, "check that one, as in config/agents.yaml")


def _include(gathered: Gathered, base: Path, pattern: str, steps: tuple[str | int, ...]) -> None:
    if (problem := pattern_problem(pattern)) is not None:
        hint = "paths begin at this file's folder and stay within it"
        gathered.main.complain(Complaint(steps, f"the path {problem}", hint))
        return
    wild = any(character in pattern for character in "*?[")
    source = gathered.context.source
    found = source.matching(base, pattern) if wild else [base / pattern]
    if not found:
        gathered.main.warn(Complaint(steps, f"there is no file {quoted(pattern)}"))
    for path in source.escaped:
        findings = gathered.report.of(str(path), path.parent.name)
        findings.add(START, (), "the file lies outside of the main file's folder")
        gathered.unusable.add(TenantName(path.parent.name))
    for path in found:
        if path in gathered.files:
            continue
        text = _inside(source, path) or source.text(path, MAX_FILE_BYTES)
        if not isinstance(text, Unreadable):
            gathered.files[path] = None
            _take(gathered, path, text, may_share=not wild)
        elif wild:
            place = Place(text.line, text.column)
            findings = gathered.report.of(str(path), path.parent.name)
            findings.add(place, (), f"the file {text.reason}", text.hint)
            gathered.unusable.add(TenantName(path.parent.name))
        else:
            message = f"the file {quoted(pattern)} {text.reason}"
            gathered.main.complain(Complaint(steps, message, text.hint))


def _inside(source: Source, path: Path) -> Unreadable | None:
    """Why an included file may not be opened, or None: a link may not lead out of its folder, as
    whoever writes a tenant's folder would read any file by it."""
    try:
        inside = source.resolve(path).is_relative_to(source.resolve(path.parent))
    except (OSError, RuntimeError, ValueError):
        return Unreadable("cannot be read: its name is not usable")
    return None if inside else Unreadable("is a link that leads out of its folder")


def _take(gathered: Gathered, path: Path, text: str, *, may_share: bool) -> None:
    """One included file. Whose it is, its first lines say, and its folder must agree: a tenant's
    file speaks for no other tenant, and what a pattern finds is never the operator's."""
    folder = path.parent.name
    owned = not may_share or folder in gathered.main.draft.names("tenants")
    findings = gathered.report.of(str(path), folder if owned else None)
    if owned:
        gathered.unusable.add(TenantName(folder))
    try:
        document = read(text, findings)
    except ConfigError:
        return  # its findings are in the report
    rows = document.root.rows
    if "tenant" in rows:
        findings.tenant = folder
        source = _judged(
            path, Role.TENANT, folder, document, TenantFile, findings, path.parent, gathered.context
        )
        _take_tenant(gathered, source, path)
    elif "namespace" in rows and may_share:
        shared = _judged(
            path, Role.SHARED, "", document, NamespaceFile, findings, path.parent, gathered.context
        )
        name = shared.draft.file.namespace
        if name in gathered.shared:
            other = gathered.shared[name].path
            shared.complain(Complaint(("namespace",), f"{other} has the same namespace"))
        elif not shared.draft.lacks(("namespace",)):
            gathered.shared[name] = shared
    else:
        what, hint = "an included file has the key tenant or namespace", "begin with `tenant: NAME`"
        if "namespace" in rows:
            what, hint = (
                "a pattern finds tenants' files only",
                "name a namespace's path itself",
            )
        findings.add(document.root.place, (), what, hint)


def _take_tenant(gathered: Gathered, source: SourceFile[TenantFile], path: Path) -> None:
    name = source.draft.file.tenant
    if source.draft.lacks(("tenant",)):
        return
    known = gathered.main.draft.names("tenants")
    if name != path.parent.name:
        message = f"a file in the folder {quoted(path.parent.name)} cannot speak for this tenant"
        source.complain(Complaint(("tenant",), message, "a tenant's folder has the tenant's name"))
    elif name not in known:
        hint = source.findings.did_you_mean(name, known) or "the main file names it under `tenants`"
        source.complain(Complaint(("tenant",), f"there is no tenant {quoted(name)}", hint))
    elif TenantName(name) in gathered.tenants:
        other = gathered.tenants[TenantName(name)].path
        source.complain(Complaint(("tenant",), f"{other} is this tenant's file already"))
    else:
        gathered.tenants[TenantName(name)] = source
        gathered.unusable.discard(TenantName(name))


def _judged(
    path: Path,
    role: Role,
    name: str,
    document: Document,
    model: type[Any],
    findings: Findings,
    base: Path,
    context: Context,
) -> SourceFile[Any]:
    environment = None if role is Role.TENANT else context.environment
    data = to_data(document, findings, OUTLINES[model], environment)
    draft, complaints = validate(data, model, findings)
    prompts = Prompts(base, context.source, strict=role is Role.TENANT)
    source = SourceFile(path, role, name, document, draft, findings, prompts)
    for complaint in complaints:
        source.complain(complaint)
    return source
