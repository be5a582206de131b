"""Who gets through, from what is written: lists, withheld numbers, attestation, rates."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sipagent.config.attesting import rule_of, verify_other
from sipagent.config.findings import Complaint, Place, Report, Steps
from sipagent.config.lines import InYaml
from sipagent.config.numbers import directory_key
from sipagent.config.personas import Persona
from sipagent.config.ruling import rate_of
from sipagent.config.schema.base import given
from sipagent.config.schema.callers import CallersEntry, CallersEverywhere, PatternFile
from sipagent.config.spaces import Space
from sipagent.config.textfile import Unreadable
from sipagent.config.words import quoted
from sipagent.model import AttestationRule, TrunkName
from sipagent.routing import CallerList, Callers, Trunk
from sipagent.routing.callers import ANONYMITY_DISALLOWED
from sipagent.routing.rules import ANONYMOUS
from sipagent.sip import is_e164

_PREFIX: Final = re.compile(r"\+[0-9]{1,14}\*", re.ASCII)
_AS_IN: Final = f'as in "+1 713 481 0111", "+1406*" or {ANONYMOUS}'
_MOST_TOLD: Final = 20
"""Lines of a list that are told to be wrong."""


@dataclass(frozen=True, slots=True)
class CallerRules:
    """Compiles what is written of callers; what cannot be used is told where it stands. `wanting`
    are the places that want callers to be attested."""

    region: str | None
    report: Report
    wanting: list[tuple[InYaml, Steps]] = field(default_factory=list)
    _lists: dict[Path, CallerList | None] = field(default_factory=dict)

    def compiled(
        self,
        entry: CallersEntry | CallersEverywhere | None,
        name: str,
        origin: InYaml,
        space: Space | None,
    ) -> Callers | None:
        """What is written at `callers` of this origin. Agents are those of the `space`."""
        if entry is None:
            return None
        steps: Steps = ("callers",)
        if not entry.model_fields_set - {"code"}:
            message = "says nothing of callers"
            origin.complain(steps, message, "allow, deny, anonymous, attestation or per_caller")
        allow = self._list(entry.allow, origin, (*steps, "allow"))
        deny = self._list(entry.deny, origin, (*steps, "deny"))
        withheld = given(entry.anonymous)
        if withheld == "accept":
            if deny is not None and deny.withheld:
                message = f"{ANONYMOUS} is one of deny"
                origin.complain((*steps, "anonymous"), message, "leave one of the two out")
            if allow is not None and not allow.withheld:
                allow = CallerList.of(allow.patterns | {ANONYMOUS})
        if withheld == "reject":
            withheld = ANONYMITY_DISALLOWED
        rate = given(entry.per_caller)
        return Callers(
            name,
            allow=allow,
            deny=deny,
            withheld=withheld if isinstance(withheld, int) else None,
            attestation=self._attestation(entry, origin, space),
            per_caller=None if rate is None else rate_of(rate),
            code=entry.code,
        )

    def _attestation(
        self, entry: CallersEntry | CallersEverywhere, origin: InYaml, space: Space | None
    ) -> AttestationRule | None:
        wanted = given(entry.attestation)
        if wanted is None:
            return None
        steps: Steps = ("callers", "attestation")
        self.wanting.append((origin, steps))
        if space is not None:
            verify_other(space, wanted, origin, steps)
        return rule_of(wanted)

    def _list(
        self, written: str | list[str] | PatternFile | None, origin: InYaml, steps: Steps
    ) -> CallerList | None:
        if written is None:
            return None
        if isinstance(written, PatternFile):
            return self._file(written.file, origin, steps)
        patterns: set[str] = set()
        several = isinstance(written, list)
        for at, text in enumerate(written if isinstance(written, list) else [written]):
            pattern = self._pattern(text)
            if pattern is None:
                where = (*steps, at) if several else steps
                origin.complain(where, "this is no caller's number", _AS_IN)
            else:
                patterns.add(pattern)
        return CallerList.of(patterns)

    def _file(self, name: str, origin: InYaml, steps: Steps) -> CallerList | None:
        """The list that a file holds: one pattern in each line, `#` begins a remark."""
        path = origin.source.prompts.path(name)
        if path in self._lists:
            return self._lists[path]
        self._lists[path] = None
        text = origin.source.prompts.numbers(name)
        if isinstance(text, Unreadable):
            message = f"the file {quoted(name)} {text.reason}"
            origin.complain((*steps, "file"), message, text.hint)
            return None
        lines = enumerate(text.splitlines(), 1)
        written = [(at, word) for at, line in lines if (word := line.partition("#")[0].strip())]
        if not written and steps[-1] == "allow":
            message = f"the file {quoted(name)} names nobody: no call would get through"
            origin.complain((*steps, "file"), message)
        patterns = {at: self._pattern(word) for at, word in written}
        findings = self.report.of(str(path), origin.source.findings.tenant)
        for at in [at for at, pattern in patterns.items() if pattern is None][:_MOST_TOLD]:
            findings.add(Place(at, 1), (), "this is no caller's number", _AS_IN)
        found = CallerList.of(pattern for pattern in patterns.values() if pattern is not None)
        self._lists[path] = found
        return found

    def _pattern(self, text: str) -> str | None:
        """A number as calls have it, a prefix with `*`, or `anonymous`; None for anything else."""
        text = text.strip()
        if text == ANONYMOUS or is_e164(text) or _PREFIX.fullmatch(text):
            return text
        key = directory_key(text, self.region)
        return key if isinstance(key, str) and key.startswith("+") else None


def warn_of_unattested(
    wanting: Iterable[tuple[InYaml, Steps]],
    personas: Iterable[Persona],
    trunks: Mapping[TrunkName, Trunk],
) -> None:
    """Warn where callers must be attested, and no trunk can say it of any."""
    if any(trunk.secret_header and trunk.attestation_header for trunk in trunks.values()):
        return
    message = "no trunk can say this of a caller"
    hint = "it needs a secret, and `attestation`, the header that holds it"
    for origin, steps in wanting:
        origin.warn(steps, message, hint)
    for persona in personas:
        told = "no trunk can say of a caller what `attestation` wants"
        if persona.profile.attestation is not None:
            persona.source.warn(Complaint(persona.steps, told, hint, at_key=True))
        for template in persona.profile.tools:
            requires = template.tool.requires
            if requires is not None and requires.attestation is not None:
                told = f"no trunk can say of a caller what {quoted(template.tool.name)} requires"
                persona.source.warn(Complaint(persona.steps, told, hint, at_key=True))
