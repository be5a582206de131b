"""Every error that sipagent raises on purpose.

    SipagentError
    ├── ConfigError          agents.yaml cannot be used; holds every finding with its place
    ├── SettingsError        the process's environment cannot be used
    ├── SecretError          a secret cannot be read where it should stand
    ├── TokenError           the identity provider gave no token
    ├── SipSyntaxError       a SIP header value is not what RFC 3261 or RFC 3966 allows
    ├── WebhookError         a delivery that is not answered with 200
    │   ├── SignatureError   the signature is missing, wrong, malformed or outside the tolerance
    │   └── PayloadError     signed, and still not an event that can be acted on
    ├── TemplateError        a text of agents.yaml cannot be rendered for a call
    ├── AttachError          a call's socket could not be opened
    ├── QuestionError        a call that is asked about cannot be one
    ├── TalkError            somebody at a browser cannot talk to an agent, or not now
    ├── StoreError           a file of the data directory cannot be read or written
    │   └── TooManyOrdersError   there is no room for one more of the operator's orders
    ├── NotClosableError     a month whose statement cannot be closed, or not yet
    ├── EngineError          the engine that replicas share has not answered
    ├── EgressError          somebody else's server was not asked, or has not answered
    └── SimulatorError       the simulator was asked for something that it cannot do

Expected endings of a call are values (`sipagent.model.CallOutcome`), never exceptions.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class SipagentError(Exception):
    """The base of every error that sipagent raises on purpose."""


class EgressTrouble(StrEnum):
    """Why there is no answer. REFUSED: it may not be asked. UNREACHABLE: there is no connection to
    it, or that was lost. TIMED_OUT: no answer in its time. TOO_LARGE: the answer is longer than
    wanted. CIRCUIT_OPEN: it failed again and again, and is left alone for a while."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    TOO_LARGE = "too_large"
    CIRCUIT_OPEN = "circuit_open"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a file, and where. Lines and columns count from 1; in a table
    the column is the number of the cell. `tenant` is whose file it is, or whose number it is about;
    None for the operator's."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str | None = None
    tenant: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        subject = f"{self.path}: " if self.path else ""
        advice = f" ({self.hint})" if self.hint else ""
        return f"{where}: {subject}{self.message}{advice}"


class ConfigError(SipagentError):
    """agents.yaml cannot be used. `findings` holds every mistake that was found, in file order."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__(findings)
        self.findings = findings

    def __str__(self) -> str:
        return "\n".join(str(finding) for finding in self.findings)


class SettingsError(SipagentError):
    """The process's environment cannot be used. `problems` holds a sentence for each variable."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class SecretError(SipagentError):
    """A secret cannot be read. `where` is a variable's name or a path; contents are never told."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(where, problem)
        self.where = where
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


class TokenError(SipagentError):
    """The identity provider gave no token. `code` is its word for why, or ours.

    `refused` says that it does not take our proof, so that asking again would not help.
    """

    def __init__(self, code: str, *, refused: bool = False) -> None:
        super().__init__(code, refused)
        self.code = code
        self.refused = refused

    def __str__(self) -> str:
        return f"no token: {self.code}"


class SipSyntaxError(SipagentError, ValueError):
    """A header value that no careful reader can turn into one address or number.

    The text of the value is not part of the message: it is caller data.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WebhookError(SipagentError):
    """A delivery that is refused. `code` is a stable word for metrics and problem details."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class SignatureError(WebhookError):
    """The delivery does not prove that it comes from the provider."""


class PayloadError(WebhookError):
    """The delivery is signed, and its body is still not a usable event."""


class TemplateError(SipagentError):
    """A text of agents.yaml cannot be rendered. The message names variables, never their values."""


class AttachError(SipagentError):
    """A call's socket could not be opened.

    `status` is the HTTP status of the refused upgrade, or None where no answer came.
    """

    def __init__(self, status: int | None, detail: str) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail

    def __str__(self) -> str:
        answer = f"refused with {self.status}" if self.status is not None else "no answer"
        return f"the call's socket could not be opened: {answer} ({self.detail})"


class StoreError(SipagentError):
    """A file of the data directory cannot be read or written, or what was asked of it not be done.

    `line` and `column` count from 1; they are None where it is not the content's fault.
    """

    def __init__(
        self, file: str, reason: str, line: int | None = None, column: int | None = None
    ) -> None:
        super().__init__(file, reason, line, column)
        self.file = file
        self.reason = reason
        self.line = line
        self.column = column

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line is not None else ""
        return f"{self.file}{place}: {self.reason}"


class TooManyOrdersError(StoreError):
    """One more order is refused, and nothing is changed: some have to be taken back first."""


class NotClosableError(SipagentError):
    """A month can be closed from `closable_at` on (unix seconds); never where that is None, as it
    is over before anything of the tenant is recorded."""

    def __init__(self, month: str, closable_at: float | None) -> None:
        super().__init__(month, closable_at)
        self.month = month
        self.closable_at = closable_at

    def __str__(self) -> str:
        if self.closable_at is None:
            return f"{self.month} cannot be closed: nothing is recorded of it or of before"
        at = datetime.fromtimestamp(self.closable_at, UTC).isoformat(timespec="minutes")
        return f"{self.month} can be closed from {at} on"


class EgressError(SipagentError):
    """A server of the operator's or a tenant's was not asked, or has not answered.

    `kind` is what went wrong; `detail` a word or two about it, nothing of the request's. `sent`
    says whether the request may have reached the server, and so may have been acted on; `status` is
    that of an answer which came and cannot be read.
    """

    def __init__(
        self, kind: EgressTrouble, detail: str, *, sent: bool = False, status: int | None = None
    ) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.sent = sent
        self.status = status

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.detail}"


class SimulatorError(SipagentError):
    """The simulator was asked for something that it cannot do."""


class QuestionError(SipagentError):
    """A question about a call names something that is not there, or a time that is none."""


class TalkError(SipagentError):
    """Somebody at a browser cannot talk to an agent, or not now. `code` is a stable word for why;
    the text says it, and what to do, and holds no secret."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class EngineError(SipagentError):
    """The engine that replicas share has not answered, or not as it should. `answered` says that it
    did, with an error, `refused` that it would answer the same to the same request, `unsent` that
    the request cannot have reached it."""

    def __init__(
        self, what: str, *, answered: bool = False, refused: bool = False, unsent: bool = False
    ) -> None:
        super().__init__(what)
        self.answered = answered
        self.refused = refused
        self.unsent = unsent
