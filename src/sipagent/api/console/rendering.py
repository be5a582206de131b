"""Templates become HTML, in which nothing of what is put in can be anything but text."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sipagent import __version__
from sipagent.api.console.assets import Assets
from sipagent.api.console.navigation import NAVIGATION, here
from sipagent.api.health import Reasons
from sipagent.sessions.ports import Clock
from sipagent.store.shown import iso, said
from sipagent.store.why import wording

if TYPE_CHECKING:
    from sipagent.api.console.shell import Visitor


@dataclass(frozen=True, slots=True)
class Rendering:
    """All templates, and what each of them may use."""

    environment: Environment
    clock: Clock
    unready: Reasons
    degraded: Reasons

    def page(
        self,
        request: Request,
        visitor: "Visitor | None",
        template: str,
        *,
        partial: bool = False,
        **values: Any,
    ) -> str:
        """A page that extends `layout.html`."""
        return self.environment.get_template(template).render(
            visitor=visitor,
            csrf=visitor.csrf if visitor else "",
            navigation=NAVIGATION,
            here=here(request.url.path),
            partial=partial,
            now=self.clock.wall(),
            release=__version__,
            **self._wrong(visitor),
            **values,
        )

    def banner(self, visitor: "Visitor") -> str:
        """What is wrong with this replica, in place of what a page says of it."""
        inner = self.part("banner.html", **self._wrong(visitor))
        return f'<div id="banners" hx-swap-oob="true">{inner}</div>'

    def _wrong(self, visitor: "Visitor | None") -> dict[str, Any]:
        """For operators only: reasons name accounts and other tenants."""
        if visitor is None or not visitor.principal.is_operator:
            return {"unready": (), "degraded": ()}
        return {"unready": self.unready(), "degraded": self.degraded()}

    def part(self, template: str, *, visitor: "Visitor | None" = None, **values: Any) -> str:
        """A piece of a page."""
        return self.environment.get_template(template).render(
            visitor=visitor,
            csrf=visitor.csrf if visitor else "",
            now=self.clock.wall(),
            **values,
        )


def rendering(
    assets: Assets, clock: Clock, unready: Reasons = tuple, degraded: Reasons = tuple
) -> Rendering:
    """The templates of the package. An undefined name in one is an error, never an empty place."""
    environment = Environment(
        loader=PackageLoader("sipagent.api.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(_FILTERS)
    environment.globals["asset"] = assets.url
    environment.globals["new_key"] = new_key
    return Rendering(environment, clock, unready, degraded)


NONE: Final = "\N{EN DASH}"
"""Stands where there is nothing."""


def new_key() -> str:
    """A form that is sent twice is one request; the next one from the same page is another."""
    return secrets.token_urlsafe(12)


def time_element(at: float | None, form: str = "clock") -> Markup:
    """Unix seconds as a `<time>` in UTC, which a script shows in the browser's zone. `form` is
    `clock` (08:45:10), `minute` (2026-11-29 08:45) or `full`."""
    if at is None:
        return Markup("<span class='none'>{}</span>").format(NONE)
    moment = datetime.fromtimestamp(at, UTC)
    text = f"{moment:{_FORMS[form]}} UTC"
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(iso(at), form, text)


def since_element(at: float, now: float) -> Markup:
    """How long ago this was, which a script counts on."""
    text = lasting(now - at)
    return Markup('<span class="since" data-since="{}">{}</span>').format(f"{at:.3f}", text)


def lasting(seconds: float | None) -> str:
    """A duration as a clock has it: `0:07`, `12:30`, `1:02:03`."""
    if seconds is None:
        return NONE
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def money(micros: int | None) -> str:
    return NONE if micros is None else wording.money(micros)


def seconds_text(seconds: float | None) -> str:
    return NONE if seconds is None else wording.seconds(seconds)


def masked(number: str | None) -> str:
    """A telephone number as anybody may see it."""
    return NONE if number is None else wording.number(number, numbers=False) or NONE


def outcome_look(outcome: str | None) -> str:
    """The look of a badge: `live`, `good`, `wrong` or `plain`."""
    kind = "" if outcome is None else outcome.partition(".")[0]
    return _LOOKS.get(kind, "plain") if outcome else "live"


def words_of(text: str) -> str:
    """A word of ours as people write it: `caller_hung_up` is `caller hung up`."""
    return text.replace("_", " ").replace(".", ": ")


_LOOKS: Final = {"completed": "good", "failed": "wrong", "lost": "wrong"}
_FORMS: Final = {"clock": "%H:%M:%S", "minute": "%Y-%m-%d %H:%M", "full": "%Y-%m-%d %H:%M:%S"}
_FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "time": time_element,
    "since": since_element,
    "lasting": lasting,
    "money": money,
    "seconds": seconds_text,
    "masked": masked,
    "said": lambda text: said(text, numbers=False),
    "visible": lambda text: wording.plain(text, numbers=True),
    "look": outcome_look,
    "words": words_of,
    "count": wording.count,
}
