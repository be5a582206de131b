"""What the description promises holds for whatever is sent: no 5xx, no answer of another shape, no
request refused that is described as right, none taken that is not."""

import secrets
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks, positive_data_acceptance

from tests.api.v1.serving import served
from tests.api.v1.standing import ACME_NUMBER

EXAMPLES = 6
"""Requests for each operation and kind: all of them together take half a minute."""

KNOWN = {"call": "rtc_live", "number": ACME_NUMBER, "agent": "night", "token": "nobody2345"}
"""What is there, by the names of parameters of paths."""

STREAMED = ("text/event-stream",)

APART = frozenset({"ignored_auth"})
"""Who asks without a token is tried in test_others.py; here it would be one too many attempts."""

load_all_checks()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_answer_is_another_than_described(tmp_path: Path, mode: GenerationMode) -> None:
    with served(tmp_path) as api, requests.Session() as session:
        schema = schemathesis.openapi.from_dict(_spoken(api.description))
        headers = {"Authorization": f"Bearer {api.token}"}
        checks = [CHECKS.get_one(name) for name in CHECKS.get_all_names() if name not in APART]
        operations = [one.ok() for one in schema.get_all_operations()]
        assert len(operations) > 25
        for operation in operations:
            names = [one.name for one in operation.path_parameters]
            for known in (None, {name: KNOWN[name] for name in names}) if names else (None,):
                strategy = operation.as_strategy(mode, path_parameters=known)

                @settings(
                    max_examples=EXAMPLES,
                    deadline=None,
                    database=None,
                    derandomize=True,
                    phases=[Phase.explicit, Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                @given(case=strategy)
                def judged(case: Any) -> None:
                    sent = dict(headers)
                    if mode is GenerationMode.POSITIVE:  # else a key is judged as it is made
                        sent["Idempotency-Key"] = secrets.token_hex()
                    answer = case.call(base_url=api.url, session=session, headers=sent)
                    spared = [] if not _is_unusable(answer) else [positive_data_acceptance]
                    case.validate_response(
                        answer, checks=checks, excluded_checks=spared, headers=headers
                    )

                judged()


def _is_unusable(answer: Any) -> bool:
    """Whether what was sent is as described, and still names what cannot be used."""
    return answer.status_code == 422 and answer.json()["code"] == "unusable"


def _spoken(description: dict[str, Any]) -> dict[str, Any]:
    """The description without streams, which have no end."""
    paths = {
        path: {
            method: operation
            for method, operation in methods.items()
            if not any(
                kind in response.get("content", {})
                for response in operation["responses"].values()
                for kind in STREAMED
            )
        }
        for path, methods in description["paths"].items()
    }
    return {**description, "paths": paths}
