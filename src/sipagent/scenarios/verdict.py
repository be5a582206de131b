"""What came of the scenarios, and how it is told: to people, to programs and to CI."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from sipagent.errors import Finding
from sipagent.scenarios.judging import Failure
from sipagent.scenarios.scenario import Scenario
from sipagent.scenarios.stage import Run


@dataclass(frozen=True, slots=True)
class Verdict:
    """`seconds` are those that the rehearsal took, not those of the call."""

    scenario: Scenario
    failures: tuple[Failure, ...]
    story: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        return not self.failures


def verdict_on(
    scenario: Scenario, run: Run, failures: tuple[Failure, ...], seconds: float
) -> Verdict:
    return Verdict(scenario, failures, tuple(story_of(run)), seconds)


def story_of(run: Run) -> Iterator[str]:
    """The call as it went, a line for each thing that happened."""
    answered = None if run.plan is None else run.plan.agent
    yield f"{0.0:7.1f}  {answered or 'nobody'} answers" if answered else f"{0.0:7.1f}  not answered"
    sent = iter(run.sent)
    results = {use.id: use for use in run.tools}
    for note in run.notes:
        told = _line(note, results, sent)
        if told is not None:
            yield f"{note['at']:7.1f}  {told}"
    for fault in run.faults:
        yield f"{'':7}  the provider reported {fault}"
    if run.outcome is not None:
        yield f"{'':7}  the end: {run.outcome.name}"


def _line(note: Mapping[str, Any], results: Mapping[str, Any], sent: Iterator[str]) -> str | None:
    match note["type"]:
        case "speech" | "text":
            return f'{note["who"]}: "{note["text"]}"'
        case "interrupted":
            return f'  interrupted after "{note["text"]}"'
        case "dtmf":
            return f"caller presses {note['digits']}"
        case "tool":
            use = results.get(note["call_id"])
            what = f" -> {use.result}" if use is not None else ""
            return f"agent calls {note['name']} {note['arguments']}{what}"
        case "served":
            return f"agent uses {note['server']}/{note['name']} {note['arguments']}"
        case "not_offered":
            return f"agent would call {note['name']}, which it does not have"
        case "refer":
            return f"sent to {next(sent, 'a destination')} ({note['status']})"
        case "reject":
            return "rejected"
        case "hangup":
            return "the service hangs up"
        case _:
            return None


def findings_of(verdict: Verdict) -> Iterator[Finding]:
    """The failures as findings, each at its place in the file."""
    for failure in verdict.failures:
        yield Finding(
            verdict.scenario.file,
            failure.place.line,
            failure.place.column,
            "",
            _sentence(failure),
        )


def _sentence(failure: Failure) -> str:
    if failure.expected is None:
        return failure.happened
    return f"expected {failure.expected}; {failure.happened}"


def as_text(verdict: Verdict) -> Iterator[str]:
    """For people: one line for what is as it should be, the whole call for what is not."""
    scenario = verdict.scenario
    about = f": {scenario.about}" if scenario.about else ""
    if verdict.passed:
        yield f"ok    {scenario.file}{about} ({verdict.seconds:.1f} s)"
        return
    yield f"FAIL  {scenario.file}{about}"
    for finding in findings_of(verdict):
        yield f"  {finding}"
    yield "  The call:"
    for line in verdict.story:
        yield f"  {line}"


def as_json(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """For programs."""
    return [
        {
            "file": verdict.scenario.file,
            "name": verdict.scenario.name,
            "about": verdict.scenario.about,
            "passed": verdict.passed,
            "seconds": round(verdict.seconds, 3),
            "failures": [
                {
                    "line": failure.place.line,
                    "column": failure.place.column,
                    "expected": failure.expected,
                    "happened": failure.happened,
                }
                for failure in verdict.failures
            ],
            "story": list(verdict.story),
        }
        for verdict in verdicts
    ]


def as_junit(verdicts: Sequence[Verdict]) -> str:
    """JUnit's XML, as CI systems read it: one suite, a case for each scenario."""
    failed = sum(not verdict.passed for verdict in verdicts)
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(failed),
        "errors": "0",
        "time": f"{sum(verdict.seconds for verdict in verdicts):.3f}",
    }
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": "scenarios", **counts})
    for verdict in verdicts:
        scenario = verdict.scenario
        case = ET.SubElement(
            suite,
            "testcase",
            {
                "classname": "scenarios",
                "name": scenario.name,
                "file": scenario.file,
                "time": f"{verdict.seconds:.3f}",
            },
        )
        if not verdict.passed:
            findings = [str(finding) for finding in findings_of(verdict)]
            failure = ET.SubElement(case, "failure", {"message": _xml(findings[0])})
            failure.text = _xml("\n".join((*findings, "", *verdict.story)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Without characters that XML 1.0 cannot have (section 2.2)."""
    return "".join(c for c in text if c in "\t\n\r" or c >= " ")
