"""Every error that sipagent raises on purpose.

    SipagentError
    ├── ConfigError          agents.yaml cannot be used; holds every finding with its place
    ├── SettingsError        the process's environment cannot be used
    ├── SipSyntaxError       a SIP header value is not what RFC 3261 or RFC 3966 allows
    ├── WebhookError         a delivery that is not answered with 200
    │   ├── SignatureError   the signature is missing, wrong, malformed or outside the tolerance
    │   └── PayloadError     signed, and still not an event that can be acted on
    ├── TemplateError        a text of agents.yaml cannot be rendered for a call
    ├── AttachError          a call's socket could not be opened
    └── SimulatorError       the simulator was asked for something that it cannot do

Expected endings of a call are values (`sipagent.model.CallOutcome`), never exceptions.
"""

from dataclasses import dataclass


class SipagentError(Exception):
    """The base of every error that sipagent raises on purpose."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a file, and where. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str | None = None

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


class SimulatorError(SipagentError):
    """The simulator was asked for something that it cannot do."""
