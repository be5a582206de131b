"""A configuration of two tenants on the disk, and commands run in this process."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from sipagent.cli import app

MAIN = """\
version: 1
include: [common/agents.yaml, tenants/*/tenant.yaml]
accounts:
  us-1:
    api_keys: {file: us-1.keys}
    webhook_secrets: "${US_HOOKS:-whsecondary}"
    max_concurrent_calls: 900
trunks:
  twilio-us: {secret: {header: X-Trunk-Key, file: twilio.key}, expose: [x-store-id]}
  wavix-eu: {dialed_header: x-number, secret: none, per_caller: 3/10m}
models:
  standard: {model: gpt-realtime-2.1, voice: marin}
defaults:
  model: standard
tenants:
  acme: {account: us-1, timezone: America/Chicago}
  beta: {account: us-1}
hours:
  office: {mon-fri: "09:00-18:00"}
agents:
  night: {instructions: Say good night., greeting: The virtual night desk.}
numbers:
  "+1 713 481 0111": {tenant: acme, agent: store, trunk: any}
  "+1 713 481 0122": {tenant: acme, trunk: twilio-us, agent: store}
  "+1 713 482*": {tenant: acme, agent: store, trunk: any}
  "+1 713 481 0199":
    tenant: beta
    trunk: any
    rules:
      - {when: {hours: office}, agent: night}
      - {when: {caller: "+1406*"}, reject: 603}
  default: {reject: 404}
"""
COMMON = """\
namespace: common
agents:
  shop:
    vars: {brand: required}
    languages: [en, es]
    disclosure: {en: "I'm {{ vars.brand }}'s virtual assistant.", es: "Soy el asistente virtual."}
    greeting: {en: "Hello", es: "Hola"}
"""
ACME = """\
tenant: acme
fallback: call_centre
vars: {brand: Acme Hardware}
hours: {weekdays: {mon-fri: "09:00-18:00", sat: "10:00-14:00"}}
destinations:
  call_centre: {to: "+1 800 555 0100"}
agents:
  store:
    extends: common/shop
    instructions: "You are {{ vars.brand }}."
numbers:
  "+1 713 481 0111":
    - {when: {hours: weekdays}, agent: store}
    - {when: {caller: "+1406*"}, reject: 603}
    - {forward: call_centre}
"""


class Place:
    """A folder with the files, and the data directory beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "config"
        self.data = folder / "data"
        self.main = self.folder / "agents.yaml"
        self.acme = self.folder / "tenants" / "acme" / "tenant.yaml"
        for path, text in (
            (self.main, MAIN),
            (self.folder / "common" / "agents.yaml", COMMON),
            (self.acme, ACME),
            (self.folder / "us-1.keys", "sk-one\n"),
            (self.folder / "twilio.key", "proof\n"),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, *words: str, **more: Any) -> Result:
        """A command with this configuration and this data directory."""
        environment = {"SIPAGENT_CONFIG": str(self.main), "SIPAGENT_DATA_DIR": str(self.data)}
        return CliRunner().invoke(app, list(words), env=environment, **more)

    def json(self, *words: str) -> Any:
        """What a command prints as JSON."""
        result = self.run(*words, "--format", "json")
        return json.loads(result.stdout)

    def change(self, old: str, new: str, path: Path | None = None) -> None:
        """Replace a text in a file: the main one, if no other is named."""
        path = path or self.main
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
