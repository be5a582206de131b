"""All accounts, live: who speaks for each, and whose webhooks are taken."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Final, Self

import structlog

from sipagent.concurrency import TaskOwner
from sipagent.errors import SecretError, SettingsError, TokenError
from sipagent.model import AccountName
from sipagent.model.secret import ReadSecret, no_secrets
from sipagent.providers.accounts import AccountSpec, ClientSecret, FederatedToken
from sipagent.providers.entra import EntraCredentials, EntraIssuer
from sipagent.providers.openai.account import Account
from sipagent.providers.openai.connection import Note
from sipagent.providers.openai.control import OpenAICallControl
from sipagent.providers.openai.credentials import Credentials, KeyRing
from sipagent.providers.openai.health import AccountHealth, Trouble
from sipagent.providers.openai.reading import OpenAIReading, Question, Reply
from sipagent.providers.openai.rest import Rest, environment_proxy
from sipagent.providers.openai.sideband import OpenAISideband
from sipagent.providers.openai.talking import OpenAITalking
from sipagent.providers.openai.webhooks import WebhookSecrets

log = structlog.get_logger(__name__)

CHECK_EVERY: Final = 15.0
"""Seconds between two questions whether an account works again that did not."""

KEPT_FOR: Final = 70 * 60.0
"""Seconds for which what was replaced or removed is kept: longer than any call that may use it."""


@dataclass(slots=True, eq=False)
class Held:
    """An account in use. Calls that are held keep it, also when it is not configured any more."""

    spec: AccountSpec
    account: Account
    control: OpenAICallControl
    sideband: OpenAISideband
    nursed: bool = False


Read = tuple[Credentials, WebhookSecrets]


class Accounts:
    """The accounts by name. Used as `async with`, which watches over them until its end.

    Nothing is opened before that; calls can be made without it.
    """

    def __init__(
        self,
        specs: Sequence[AccountSpec],
        context: ssl.SSLContext,
        note: Note,
        *,
        pool: Callable[[ssl.SSLContext, str | None], Rest] = Rest,
        granted: ReadSecret = no_secrets,
    ) -> None:
        """Reads every secret, which blocks on the disk. `pool` makes the connections of a way out,
        `granted` has the secrets that sessions name.

        Raises SettingsError with a sentence for each account that cannot be used.
        """
        self._context = context
        self._note = note
        self._pool = pool
        self._granted = granted
        self._rests: dict[str | None, Rest] = {}
        self._held: dict[AccountName, Held] = {}
        self._gone: dict[AccountName, Held] = {}
        self._left: set[Credentials] = set()
        self._secrets: dict[AccountName, WebhookSecrets] = {}
        self._changing = asyncio.Lock()
        self._tasks = TaskOwner(self._crashed, apart=True)
        self._watching = False
        for spec, (credentials, secrets) in self._read(specs):
            self._put(spec, credentials, secrets)

    @property
    def webhook_secrets(self) -> Mapping[AccountName, WebhookSecrets]:
        """A view of what signs the deliveries of each account: it changes with the accounts."""
        return MappingProxyType(self._secrets)

    @property
    def specs(self) -> tuple[AccountSpec, ...]:
        return tuple(held.spec for held in self._held.values())

    def control(self, account: AccountName) -> OpenAICallControl:
        """Also of an account that has been removed, for as long as a call may last.

        Raises KeyError for one that never was.
        """
        return self._find(account).control

    def sideband(self, account: AccountName) -> OpenAISideband:
        """As `control`."""
        return self._find(account).sideband

    def talking(self, account: AccountName) -> OpenAITalking:
        """As `control`. Raises ValueError where the way out cannot be used."""
        held = self._find(account)
        return OpenAITalking(held.account, self._rest(held.spec.base_url), self._granted)

    async def ask(self, account: AccountName, question: Question, within: float) -> Reply:
        """Have a model of the account read a text. Never raises."""
        try:
            held = self._find(account)
            reading = OpenAIReading(held.account, self._rest(held.spec.base_url))
        except (KeyError, ValueError):
            return Reply(None, "the account is gone")
        return await reading.ask(question, within)

    def health(self) -> Mapping[AccountName, AccountHealth]:
        """How each account does."""
        return {name: held.account.health for name, held in self._held.items()}

    def troubles(self) -> Iterator[tuple[AccountName, Trouble]]:
        """What is wrong with accounts now, secrets that could not be read again included."""
        for name, health in self.health().items():
            for trouble in (health.trouble, health.stale):
                if trouble is not None:
                    yield name, trouble

    @property
    def useless(self) -> bool:
        """Whether there are accounts, and none of them works."""
        return bool(self._held) and not any(one.healthy for one in self.health().values())

    async def __aenter__(self) -> Self:
        self._watching = True
        for held in self._held.values():
            self._warm(held)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def refresh(self) -> None:
        """Take the keys and webhook secrets that the files hold by now.

        Of an account whose files cannot be used the old ones stay, and its health says so.
        """
        async with self._changing:
            for held in tuple(self._held.values()):
                problems: list[str] = []
                try:
                    await held.account.credentials.refresh()
                except SecretError as error:
                    problems.append(str(error))
                try:
                    secrets = await asyncio.to_thread(_webhook_secrets, held.spec)
                except SecretError as error:
                    problems.append(str(error))
                else:
                    self._secrets[held.spec.name] = secrets
                held.account.health.kept_old("; ".join(problems) or None)
                self._examine(held)

    async def replace(self, specs: Sequence[AccountSpec]) -> None:
        """Have these accounts and no others, from the next delivery and request on.

        Calls that are held go on: with the new credentials where the account is still there at
        the same address, else with the old ones. Raises SettingsError with a sentence for each
        account that cannot be used, and changes nothing then.
        """
        async with self._changing:
            kept = {held.spec for held in self._held.values()}
            changed = [spec for spec in specs if spec not in kept]
            read = await asyncio.to_thread(self._read, changed)
            for name in self._held.keys() - {spec.name for spec in specs}:
                self._remove(name)
            for spec, (credentials, secrets) in read:
                self._put(spec, credentials, secrets)

    async def close(self) -> None:
        """Close connections and end what is done in the background. No call may be held now."""
        self._watching = False
        await self._tasks.cancel(within=1.0)
        every = [held.account.credentials for held in (*self._held.values(), *self._gone.values())]
        for credentials in (*every, *self._left):
            await credentials.close()
        for rest in self._rests.values():
            await rest.close()

    def _find(self, account: AccountName) -> Held:
        return self._held.get(account) or self._gone[account]

    def _read(self, specs: Sequence[AccountSpec]) -> list[tuple[AccountSpec, Read]]:
        """What these accounts' files and variables hold. Raises SettingsError.

        May run in a thread, and changes nothing.
        """
        found: list[tuple[AccountSpec, Read]] = []
        problems: list[str] = []
        for spec in specs:
            try:
                environment_proxy(spec.base_url)
                found.append((spec, (self._credentials(spec), _webhook_secrets(spec))))
            except SecretError as error:
                problems.append(f"account {spec.name}: {error}")
            except ValueError as error:
                problems.append(f"HTTPS_PROXY, HTTP_PROXY or ALL_PROXY: {error}")
        if problems:
            raise SettingsError(tuple(problems))
        return found

    def _credentials(self, spec: AccountSpec) -> Credentials:
        if spec.entra is None:
            assert spec.api_keys is not None
            return KeyRing(spec, spec.api_keys)
        match spec.entra.identity:
            case ClientSecret(secret=proof) | FederatedToken(token=proof):
                proof.read()
            case _:
                pass
        issuer = EntraIssuer(spec.entra, self._context)
        return EntraCredentials(spec, issuer, lambda code: self._without_token(spec, code))

    def _without_token(self, spec: AccountSpec, code: str) -> None:
        held = self._held.get(spec.name)
        if held is not None and held.spec is spec:
            held.account.health.without_token(code)

    def _rest(self, base_url: str) -> Rest:
        """The pool of connections for this way out."""
        proxy = environment_proxy(base_url)
        if proxy not in self._rests:
            self._rests[proxy] = self._pool(self._context, proxy)
        return self._rests[proxy]

    def _put(self, spec: AccountSpec, credentials: Credentials, secrets: WebhookSecrets) -> None:
        """Add an account, or change the one of this name."""
        held = self._held.get(spec.name) or self._gone.pop(spec.name, None)
        if held is not None:
            self._leave(held)
        if held is not None and _address(held.spec) == _address(spec):
            held.spec, held.account.credentials = spec, credentials
            held.account.health.begin_anew()
        else:
            held = self._open(spec, credentials)
        self._held[spec.name] = held
        self._secrets[spec.name] = secrets
        self._warm(held)

    def _open(self, spec: AccountSpec, credentials: Credentials) -> Held:
        health = AccountHealth(spec.name, lambda: self._fallen_ill(held))
        account = Account(spec.name, spec.base_url, credentials, health, spec.capabilities)
        held = Held(
            spec,
            account,
            OpenAICallControl(account, self._rest(spec.base_url), self._granted),
            OpenAISideband(account, self._context, self._note, secrets=self._granted),
        )
        return held

    def _remove(self, name: AccountName) -> None:
        """Take no more of its deliveries; whoever still holds one of its calls finds it."""
        held = self._gone[name] = self._held.pop(name)
        del self._secrets[name]
        credentials = held.account.credentials
        credentials.retire()
        self._later(self._forget_account(held, credentials), f"forget:{name}")

    def _leave(self, held: Held) -> None:
        """Credentials that only held calls may still use, if the address is another now."""
        credentials = held.account.credentials
        credentials.retire()
        self._left.add(credentials)
        self._later(self._forget(credentials), f"forget:{held.spec.name}")

    async def _forget_account(self, held: Held, credentials: Credentials) -> None:
        await asyncio.sleep(KEPT_FOR)
        # Had it come back meanwhile, these would be others, also if it has gone again since.
        if held.account.credentials is credentials and self._gone.get(held.spec.name) is held:
            del self._gone[held.spec.name]
            await credentials.close()

    async def _forget(self, credentials: Credentials) -> None:
        await asyncio.sleep(KEPT_FOR)
        self._left.discard(credentials)
        await credentials.close()

    def _warm(self, held: Held) -> None:
        """Have a token fetched before the first call needs it."""
        if held.spec.entra is not None:
            self._later(_fetch(held.account), f"token:{held.spec.name}")

    def _examine(self, held: Held) -> None:
        if not held.account.health.healthy:
            self._later(held.control.check(), f"check:{held.spec.name}")

    def _fallen_ill(self, held: Held) -> None:
        if not held.nursed:
            self._later(self._nurse(held), f"nurse:{held.spec.name}")

    def _later(self, work: Coroutine[None, None, None], name: str) -> None:
        """Do it in the background, if that is watched over."""
        if self._watching:
            self._tasks.start(work, name=name)
        else:
            work.close()

    async def _nurse(self, held: Held) -> None:
        """Ask again and again: where no call comes because nothing works, nothing else would."""
        held.nursed = True
        try:
            while not held.account.health.healthy and self._held.get(held.spec.name) is held:
                await asyncio.sleep(CHECK_EVERY)
                try:
                    await held.control.check()
                except Exception as crash:  # noqa: BLE001  # nobody else would ask again
                    self._crashed(f"nurse:{held.spec.name}", crash)
        finally:
            held.nursed = False

    def _crashed(self, name: str, crash: BaseException) -> None:
        log.error("task crashed", task=name, error=type(crash).__name__)


async def _fetch(account: Account) -> None:
    try:
        await account.credentials.headers()
    except TokenError as error:
        account.health.without_token(error.code)


def _address(spec: AccountSpec) -> tuple[str, str]:
    return (spec.provider, spec.base_url)


def _webhook_secrets(spec: AccountSpec) -> WebhookSecrets:
    """Raises SecretError."""
    source = spec.webhook_secrets
    try:
        return WebhookSecrets.parse(" ".join(source.read()))
    except ValueError as error:  # names a secret by its position only
        raise SecretError(source.where, str(error)) from None
