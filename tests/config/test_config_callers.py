"""Who gets through, as the operator's files and the tenants' say it."""

from pathlib import Path

import pytest

from sipagent.config import Loaded, load
from sipagent.config.report.difference import difference
from sipagent.model import AgentName, AttestationRule, Decision, Rate, Reject, TenantName
from sipagent.routing import Callers, Route
from tests.config.support import decided, findings, loaded, plan, told, write

ACME = TenantName("acme")
MONTANA, TEXAS, LONDON = "+14067704205", "+17135550199", "+442079460000"
NUMBER = "+17134810111"

MAIN = """\
version: 1
include: [tenants/*/tenant.yaml]
defaults: {{model: gpt-realtime-2.1, region: US{everywhere}}}
trunks:
  twilio: {{secret: {{header: X-Key, value: "${{KEY}}"}}, attestation: X-Twilio-VerStat}}
tenants:
  acme: {{{tenant}}}
agents: {{someone: {{instructions: Be kind.}}}}
numbers:
  "+1 713 481 0111": {{tenant: acme, trunk: twilio, rules: [store]{number}}}
  default: {{reject: 404}}
"""
TENANT = """\
tenant: acme
agents:
  store: {{instructions: Be kind.{agent}}}
  screener: {{instructions: Ask who calls.}}
numbers:
  "713 481 0111": {{rules: [store]{own}}}
"""


def files(
    everywhere: str = "", tenant: str = "", number: str = "", own: str = "", agent: str = ""
) -> dict[str, str | bytes]:
    def key(text: str) -> str:
        return f", callers: {text}" if text else ""

    return {
        "agents.yaml": MAIN.format(
            everywhere=key(everywhere),
            tenant=key(tenant).removeprefix(", "),
            number=key(number),
        ),
        "tenants/acme/tenant.yaml": TENANT.format(
            own=key(own), agent=f", attestation: {agent}" if agent else ""
        ),
    }


def configured(folder: Path, more: dict[str, str | bytes] | None = None, **said: str) -> Loaded:
    return loaded(folder, files(**said) | (more or {}), KEY="k")


def wrong(folder: Path, more: dict[str, str | bytes] | None = None, **said: str) -> list[str]:
    return told(write(folder, files(**said) | (more or {})), KEY="k")


def route_of(config: Loaded) -> Route:
    (directory,) = config.table.directories.values()
    return directory.exact[NUMBER]


def called(config: Loaded, caller: str) -> str:
    decision = decided(config, NUMBER, caller=caller, trunk="twilio")
    if isinstance(decision.verdict, Reject):
        return f"{decision.verdict.code} {decision.verdict.reason}"
    return str(decision.verdict.plan.agent)


def policies(config: Loaded) -> dict[str, Callers]:
    found = [config.table.callers, config.table.tenants[ACME].callers, *route_of(config).callers]
    return {callers.name: callers for callers in found if callers is not None}


def test_each_place_says_its_own(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        everywhere="{deny: '+44*'}",
        tenant="{anonymous: reject, per_caller: 30/1h}",
        number="{allow: ['+1*', anonymous], code: 607}",
        own="{deny: ['(406) 770-4205', '+1 713 555 01*'], anonymous: accept}",
    )
    found = policies(config)
    assert list(found) == [
        "defaults",
        "tenants.acme",
        f"numbers.{NUMBER}",
        f"acme:numbers.{NUMBER}",
    ]
    assert (found["tenants.acme"].withheld, found["tenants.acme"].per_caller) == (
        433,
        Rate(30, 3600.0),
    )
    own = found[f"acme:numbers.{NUMBER}"]
    assert own.deny is not None
    assert (own.deny.numbers, own.deny.prefixes) == ({MONTANA}, {"+171355501"})
    assert called(config, LONDON) == "603 rule"
    assert called(config, MONTANA) == "603 rule"
    assert called(config, TEXAS) == "603 rule"
    assert called(config, "+13105550100") == "store"


def test_without_a_word_of_callers_everybody_gets_through(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert policies(config) == {}
    assert called(config, MONTANA) == "store"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("{anonymous: reject}", "433 rule"),
        ("{anonymous: 480}", "480 rule"),
        ("{anonymous: accept}", "store"),
        ("{deny: anonymous}", "603 rule"),
        ("{deny: anonymous, code: 486}", "486 rule"),
        ("{allow: '+1*'}", "603 rule"),
        ("{allow: '+1*', anonymous: accept}", "store"),
    ],
)
def test_callers_who_withhold_their_number(tmp_path: Path, said: str, expected: str) -> None:
    assert called(configured(tmp_path, own=said), "anonymous") == expected


class TestLists:
    def test_a_list_in_a_file(self, tmp_path: Path) -> None:
        text = f"# nuisance\n{MONTANA}\n\n  +44*   # all of them\n(713) 555-0199\nanonymous\n"
        more: dict[str, str | bytes] = {"tenants/acme/lists/deny.txt": text}
        config = configured(tmp_path, more, own="{deny: {file: lists/deny.txt}}")
        for caller in (MONTANA, TEXAS, LONDON, "anonymous"):
            assert called(config, caller) == "603 rule"
        assert called(config, "+13105550100") == "store"
        assert tmp_path / "tenants/acme/lists/deny.txt" in config.files

    def test_a_list_of_the_operators_may_lie_anywhere_below_the_main_file(
        self, tmp_path: Path
    ) -> None:
        more: dict[str, str | bytes] = {"lists/deny.txt": MONTANA}
        config = configured(tmp_path, more, everywhere="{deny: {file: lists/deny.txt}}")
        assert called(config, MONTANA) == "603 rule"

    def test_a_list_is_part_of_the_version(self, tmp_path: Path) -> None:
        said = {"everywhere": "{deny: {file: deny.txt}}"}
        versions = []
        for text in (MONTANA, TEXAS):
            more: dict[str, str | bytes] = {"deny.txt": text}
            versions.append(configured(tmp_path, more, **said))
        first, second = versions
        assert first.table.config_hash != second.table.config_hash
        assert any("callers" in line for line in difference(first, second).lines())
        assert not any(TEXAS in line for line in difference(first, second).lines())

    def test_a_file_that_two_places_name_is_read_once(self, tmp_path: Path) -> None:
        said = "{deny: {file: deny.txt}}"
        more: dict[str, str | bytes] = {"deny.txt": MONTANA}
        found = policies(configured(tmp_path, more, everywhere=said, tenant=said))
        assert found["defaults"].deny is found["tenants.acme"].deny

    def test_an_empty_list_denies_nobody_and_allows_nobody(self, tmp_path: Path) -> None:
        more: dict[str, str | bytes] = {"none.txt": "# nobody yet\n"}
        config = configured(tmp_path, more, everywhere="{deny: {file: none.txt}}")
        assert called(config, MONTANA) == "store"
        (finding,) = wrong(tmp_path, more, everywhere="{allow: {file: none.txt}}")
        assert "names nobody: no call would get through" in finding

    def test_what_is_no_number_is_told_with_its_line(self, tmp_path: Path) -> None:
        more: dict[str, str | bytes] = {"deny.txt": f"{MONTANA}\nnobody\n\n+1*2\n"}
        assert wrong(tmp_path, more, everywhere="{deny: {file: deny.txt}}") == [
            f"deny.txt:{line}:1: this is no caller's number"
            ' (as in "+1 713 481 0111", "+1406*" or anonymous)'
            for line in (2, 4)
        ]

    def test_a_tenants_list_stays_in_its_folder(self, tmp_path: Path) -> None:
        more: dict[str, str | bytes] = {"deny.txt": MONTANA}
        (finding,) = wrong(tmp_path, more, own="{deny: {file: ../../deny.txt}}")
        assert "lies outside of this file's folder" in finding

    def test_a_list_of_fifty_thousand_is_read_in_a_moment_and_changes_no_decision(
        self, tmp_path: Path
    ) -> None:
        numbers = "\n".join(f"+1{number}" for number in range(2_000_000_000, 2_000_050_000))
        config = configured(tmp_path, {"d.txt": numbers}, everywhere="{deny: {file: d.txt}}")
        assert config.table.callers is not None
        assert config.table.callers.deny is not None
        assert len(config.table.callers.deny) == 50_000
        assert called(config, "+12000049999") == "603 rule"
        assert called(config, "+12000050000") == "store"


class TestAttestation:
    @pytest.mark.parametrize("place", ["tenant", "number", "own"])
    def test_what_must_be_said_of_callers_of_a_number(self, tmp_path: Path, place: str) -> None:
        said = "{attestation: {min: B, otherwise: {agent: screener}}}"
        (policy,) = policies(configured(tmp_path, **{place: said})).values()
        assert policy.attestation == AttestationRule("B", agent=AgentName("screener"))

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("{min: A}", AttestationRule("A")),
            ("{min: A, otherwise: flag}", AttestationRule("A", otherwise="flag")),
            ("{min: C, otherwise: reject, code: 607}", AttestationRule("C", code=607)),
            (
                "{min: B, otherwise: {agent: screener}}",
                AttestationRule("B", agent=AgentName("screener")),
            ),
            ("null", None),
        ],
    )
    def test_what_an_agent_wants(
        self, tmp_path: Path, said: str, expected: AttestationRule | None
    ) -> None:
        config = configured(tmp_path, agent=said)
        profile = config.table.agents[ACME, AgentName("store")]
        assert profile.attestation == expected
        assert config.warnings == ()

    def test_it_is_a_leaf_as_others_are(self, tmp_path: Path) -> None:
        text = """\
version: 1
defaults: {model: gpt-realtime-2.1, attestation: {min: B}}
trunks:
  twilio: {secret: {header: X-Key, value: "${KEY}"}, attestation: X-Twilio-VerStat}
agents:
  a: {instructions: Be kind.}
  b: {extends: a, attestation: {min: A}}
  c: {extends: b, attestation: null}
numbers: {default: a}
"""
        agents = loaded(tmp_path, {"agents.yaml": text}, KEY="k").table.agents
        found = {name: profile.attestation for (_, name), profile in agents.items()}
        assert found == {"a": AttestationRule("B"), "b": AttestationRule("A"), "c": None}

    def test_everywhere_no_agent_can_be_named(self, tmp_path: Path) -> None:
        assert wrong(tmp_path, everywhere="{attestation: {min: B, otherwise: {agent: a}}}")

    def test_it_is_told_that_no_trunk_can_say_it(self, tmp_path: Path) -> None:
        texts = files(own="{attestation: {min: B}}", agent="{min: A}")
        main = str(texts["agents.yaml"]).replace(", attestation: X-Twilio-VerStat", "")
        config = load(write(tmp_path, texts | {"agents.yaml": main}), environment={"KEY": "k"})
        assert sorted(warning.message for warning in config.warnings) == [
            "no trunk can say of a caller what `attestation` wants",
            "no trunk can say this of a caller",
        ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"own": "{deny: nobody}"}, "this is no caller's number"),
        ({"own": "{deny: [anonymous, '101']}"}, "callers.deny[1]: this is no caller's number"),
        ({"own": "{deny: []}"}, "callers.deny"),
        ({"own": "{anonymous: 200}"}, "callers.anonymous"),
        ({"own": "{anonymous: maybe}"}, "callers.anonymous"),
        ({"own": "{deny: anonymous, anonymous: accept}"}, "anonymous is one of deny"),
        ({"own": "{code: 603}"}, "says nothing of callers"),
        ({"own": "{}"}, "says nothing of callers"),
        ({"own": "{per_caller: often}"}, "this is no rate"),
        ({"own": "{attestation: {min: D}}"}, "callers.attestation.min"),
        ({"own": "{attestation: {otherwise: flag}}"}, "min"),
        (
            {"own": "{attestation: {min: B, otherwise: {agent: screner}}}"},
            'there is no agent "screner" (did you mean "screener"?)',
        ),
        ({"agent": "{min: B, otherwise: {agent: nobody}}"}, 'there is no agent "nobody"'),
        ({"own": "{alow: '+1*'}"}, "unknown key"),
        ({"everywhere": "{deny: {file: nowhere.txt}}"}, "does not exist"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, said: dict[str, str], expected: str) -> None:
    (finding,) = wrong(tmp_path, **said)
    assert expected in finding


def test_a_tenants_mistake_is_the_tenants(tmp_path: Path) -> None:
    texts = files(own="{deny: {file: deny.txt}}") | {"tenants/acme/deny.txt": "nobody"}
    (finding,) = findings(write(tmp_path, texts), KEY="k")
    assert finding.tenant == ACME


def test_every_key_is_part_of_the_version(tmp_path: Path) -> None:
    said = [
        {},
        {"own": "{deny: '+44*'}"},
        {"own": "{allow: '+44*'}"},
        {"own": "{deny: '+44*', code: 486}"},
        {"own": "{anonymous: reject}"},
        {"own": "{anonymous: 480}"},
        {"own": "{per_caller: 3/10m}"},
        {"own": "{attestation: {min: A}}"},
        {"own": "{attestation: {min: A, otherwise: flag}}"},
        {"tenant": "{deny: '+44*'}"},
        {"number": "{deny: '+44*'}"},
        {"everywhere": "{deny: '+44*'}"},
        {"agent": "{min: A}"},
        {"agent": "{min: B}"},
        {"agent": "{min: B, otherwise: {agent: screener}}"},
    ]
    hashes = {configured(tmp_path, **each).table.config_hash for each in said}
    assert len(hashes) == len(said)


def test_a_call_that_gets_through_has_its_plan(tmp_path: Path) -> None:
    config = configured(tmp_path, own="{deny: '+44*'}")
    decision: Decision = decided(config, NUMBER, trunk="twilio")
    assert not isinstance(decision.verdict, Reject)
    assert decision.verdict.plan.agent == "store"
    with pytest.raises(AssertionError):
        plan(config, "+17139990000")
