"""From an agent's leaves to a persona that answers calls, in each of its languages."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sipagent.config.attesting import attestation_of
from sipagent.config.findings import Complaint, Place, Steps
from sipagent.config.gathering import SourceFile
from sipagent.config.leaves import (
    Ancestry,
    Leaf,
    Leaves,
    ancestry,
    lacks,
    leaves_of,
    spare_leaves,
)
from sipagent.config.pricing import Charges
from sipagent.config.schema import SpokenGreeting
from sipagent.config.schema.base import given, micros, seconds
from sipagent.config.schema.persona import DeclaredVariable
from sipagent.config.session import merge_patch, session_of
from sipagent.config.skills.after import after_call_of
from sipagent.config.skills.choosing import verify_choice
from sipagent.config.skills.keys import keys_of, silence_of, watch_of
from sipagent.config.skills.kit import Kit, Kits
from sipagent.config.skills.tongues import heard_in, is_multilingual, spoken_rule, tongue_of
from sipagent.config.spaces import Space
from sipagent.config.templates.compiled import CompiledTemplate
from sipagent.config.texts import Piece, Texts, by_language, piece_for, templates_in
from sipagent.config.words import quoted
from sipagent.model import (
    ON_FAILURE,
    AgentName,
    AgentProfile,
    Ceilings,
    Edition,
    FailureStep,
    Json,
    Prices,
    Text,
)
from sipagent.model.shared import Lasting
from sipagent.tools.local import LocalServer

_SPOKEN: Final = ("greeting", "disclosure")
_TEXTS: Final = (*_SPOKEN, "silence")
_NEEDED: Final = {"vars": "declare it under the agent's vars"}
_REQUIRED: Final = DeclaredVariable()


@dataclass(frozen=True, slots=True)
class Persona:
    """A compiled agent, with what its texts need of a number's variables, and the servers that run
    beside us for it."""

    profile: AgentProfile
    declared: Mapping[str, DeclaredVariable]
    used: frozenset[str]
    templated: bool
    local: Mapping[str, LocalServer]
    steps: Steps = field(compare=False)
    source: SourceFile[Any] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Personas:
    """Compiles agents of all spaces. Complains at the agent that is at fault."""

    texts: Texts
    charges: Charges
    kits: Kits

    def persona(self, space: Space, reference: str) -> Persona | None:
        """The agent as this space sees it; None where it cannot be used, which has been told."""
        chain = ancestry(space, reference)
        if chain.broken:
            return None
        leaves = leaves_of(space, chain)
        named = chain.agents[-1]
        usable = _verify(space, chain, leaves)
        languages = _languages(leaves)
        if "languages" not in leaves and lacks(chain, space, "languages"):
            return None
        kit = self._kit(space, reference, leaves, languages)
        keys, watch = keys_of(space, leaves.get("keys")), watch_of(leaves.get("watch"))
        editions = [self._edition(space, leaves, language, kit) for language in languages]
        if not usable or not _verify_languages(space, leaves, languages):
            return None
        if kit is None or keys is None or watch is None:
            return None
        declared = _declared(chain)
        known = frozenset(declared.keys() | space.values().keys() | _own_values(declared).keys())
        whole = [edition for edition in editions if edition is not None]
        spoken = [template for edition in whole for template in _templates(edition)]
        spoken += templates_in(*map(self.texts.compiled, kit.pieces))
        unknown = any(template.vars - known or template.hours for template in spoken)
        unknown |= any(name not in known for name, _ in kit.pins)
        if unknown or len(whole) < len(editions):
            pieces = [*_pieces(space, leaves, languages), *kit.pieces]
            if _lacks_values(space) or not self._verify_variables(space, reference, pieces, known):
                return None
            if not _verify_pins(leaves.get("tools"), kit, reference, known):
                return None
        if len(whole) < len(editions):
            return None
        profile = self._profile(space, reference, leaves, tuple(whole), declared)
        profile = replace(profile, tools=kit.tools, servers=kit.servers, keys=keys, watch=watch)
        used = frozenset().union(*(template.vars for template in spoken))
        used |= {name for name, _ in kit.pins}
        found = (bool(spoken or kit.pins), kit.local, named.steps, named.source)
        return Persona(profile, declared, used, *found)

    def _kit(
        self, space: Space, reference: str, leaves: Leaves, languages: tuple[str | None, ...]
    ) -> Kit | None:
        kit = self.kits.kit(space, leaves.get("tools"), languages)
        usable = kit is not None and verify_choice(space, reference, leaves.get("tool_choice"), kit)
        return kit if usable else None

    def _profile(
        self,
        space: Space,
        reference: str,
        leaves: Leaves,
        editions: tuple[Edition, ...],
        declared: Mapping[str, DeclaredVariable],
    ) -> AgentProfile:
        """The persona without what it can do beside talking."""
        defaults = {
            name: variable.default
            for name, variable in declared.items()
            if given(variable.default) is not None
        }
        return AgentProfile(
            AgentName(reference),
            space.tenant,
            editions,
            defaults | space.values() | _own_values(declared),
            _ceilings(leaves),
            _on_failure(leaves),
            declares={name: variable.type for name, variable in declared.items()},
            attestation=attestation_of(space, leaves.get("attestation")),
            after_call=after_call_of(leaves.get("after_call"), self.charges, space.account),
        )

    def _edition(
        self, space: Space, leaves: Leaves, language: str | None, kit: Kit | None
    ) -> Edition | None:
        pieces = _instructions(space, leaves, language)
        instructions = self.texts.joined(pieces)
        greeting, disclosure, asks = (
            self.texts.compiled(_piece(leaves.get(name), language)) for name in _TEXTS
        )
        texts = (greeting, disclosure, asks)
        if (pieces and instructions is None) or _unusable(leaves, language, texts) or kit is None:
            return None
        session = Lasting(_session(leaves, instructions, language, kit))
        spare_leaves_ = spare_leaves(leaves, space.gathered.main)
        spare = None
        if spare_leaves_ is not None:
            spare = Lasting(_session(spare_leaves_, instructions, language, kit))
        spoken = leaves["greeting"].value if "greeting" in leaves else None
        charges = self.charges
        return Edition(
            language,
            session,
            None if isinstance(instructions, str) else instructions,
            greeting,
            spoken.interruptible if isinstance(spoken, SpokenGreeting) else True,
            disclosure,
            charges.of(session, space.account),
            spare,
            Prices() if spare is None else charges.of(spare, space.account),
            silence_of(leaves.get("silence"), asks),
            None if isinstance(asks, str | None) else asks,
            tongue_of(language, session, asks) if kit.changes_language else None,
        )

    def _verify_variables(
        self,
        space: Space,
        reference: str,
        pieces: Iterable[Piece],
        known: frozenset[str],
    ) -> bool:
        """Complain of templates that use a variable that nobody declares, or unknown hours."""
        hours, usable = space.names("hours"), True
        # A text of the operator's that an agent of a tenant's has may be that agent's fault.
        tenant = space.own.findings.tenant
        for piece in pieces:
            for template in templates_in(self.texts.compiled(piece)):
                wrong = [
                    (
                        f"vars.{name}",
                        f"the agent {quoted(reference)} declares no variable {quoted(name)}",
                    )
                    for name in sorted(template.vars - known)
                ]
                wrong += [
                    (f"hours.{name}", f"there are no hours {quoted(name)}")
                    for name in sorted(template.hours - hours)
                ]
                for name, message in wrong:
                    words = known if name.startswith("vars.") else hours
                    hint = piece.source.findings.did_you_mean(name.partition(".")[2], words)
                    hint = hint or _NEEDED.get(name.partition(".")[0])
                    place = Place(*template.place_of(name))
                    self.texts.complain(piece, place, message, hint, tenant=tenant)
                    usable = False
        return usable


def _session(leaves: Leaves, instructions: Text | None, language: str | None, kit: Kit) -> Json:
    values = {name: leaf.value for name, leaf in leaves.items()}
    values.pop("instructions", None)
    if isinstance(instructions, str):
        values["instructions"] = instructions
    if "transcription" in leaves:
        values["transcription"] = heard_in(leaves["transcription"], language)
    session = session_of(values)
    if offers := kit.offers:
        session["tools"] = offers
    return merge_patch(session, values.get("extra") or {})


def _ceilings(leaves: Leaves) -> Ceilings:
    duration, cost = leaves.get("max_duration"), leaves.get("max_cost")
    return Ceilings(
        None if duration is None else seconds(duration.value),
        None if cost is None else micros(cost.value),
    )


def _on_failure(leaves: Leaves) -> tuple[FailureStep, ...]:
    leaf = leaves.get("on_failure")
    return ON_FAILURE if leaf is None else tuple(map(FailureStep, leaf.value))


def _pieces(space: Space, leaves: Leaves, languages: tuple[str | None, ...]) -> Iterator[Piece]:
    for language in languages:
        yield from _instructions(space, leaves, language)
        for name in _TEXTS:
            piece = _piece(leaves.get(name), language)
            if piece is not None:
                yield piece


def _instructions(space: Space, leaves: Leaves, language: str | None) -> tuple[Piece, ...]:
    """The agent's own instructions and the rules that end them, as far as there are any."""
    main = space.gathered.main
    own = _piece(leaves.get("instructions"), language)
    rules = piece_for(main.draft.file.defaults.rules, ("defaults", "rules"), main, language)
    spoken = _spoken_rule(leaves, language)
    return tuple(piece for piece in (own, spoken, rules) if piece is not None)


def _spoken_rule(leaves: Leaves, language: str | None) -> Piece | None:
    """What an agent of several languages is told of them."""
    if language is None or not is_multilingual(leaves):
        return None
    tools, languages = leaves.get("tools"), leaves["languages"]
    may_change = tools is not None and "set_language" in tools.value
    text = spoken_rule(tuple(languages.value), language, may_change=may_change)
    return Piece(text, languages.steps, languages.source)


def _piece(leaf: Leaf | None, language: str | None) -> Piece | None:
    return None if leaf is None else piece_for(leaf.value, leaf.steps, leaf.source, language)


def _unusable(leaves: Leaves, language: str | None, texts: tuple[Text | None, ...]) -> bool:
    """Whether a spoken text was written and could not be compiled."""
    spoken = zip(_TEXTS, texts, strict=True)
    return any(_piece(leaves.get(name), language) and text is None for name, text in spoken)


def _languages(leaves: Leaves) -> tuple[str | None, ...]:
    languages = leaves.get("languages")
    return (None,) if languages is None else tuple(languages.value)


def _verify(space: Space, chain: Ancestry, leaves: Leaves) -> bool:
    """Complain of what the agent lacks, and of leaves that contradict each other."""
    named = chain.agents[-1]
    usable = True
    if "model" not in leaves:
        usable = False
        if not lacks(chain, space, "model"):
            hint = "write it here or under `defaults`, for example model: gpt-realtime-2.1"
            complaint = Complaint(named.steps, "the agent has no model", hint, at_key=True)
            named.source.complain(complaint)
    if space.instructions_required and not _instructions(space, leaves, _languages(leaves)[0]):
        hint = "the tenant's account is one of Azure OpenAI, which refuses a call without them"
        complaint = Complaint(named.steps, "the agent has no instructions", hint, at_key=True)
        named.source.complain(complaint)
    greeting, modalities = leaves.get("greeting"), _modalities(leaves)
    if greeting is None or modalities is None or greeting.value is None:
        return usable
    if modalities.value == ["text"]:
        at_home = [leaf for leaf in (greeting, modalities) if leaf.steps[:2] == named.steps]
        hint = "answer with [audio], or write greeting: null"
        message = "nobody would hear the greeting of an agent that only writes"
        (at_home or [greeting])[0].complain(message, hint)
    return usable


def _modalities(leaves: Leaves) -> Leaf | None:
    """What the agent answers with: `extra`, which is applied last, may say so, too."""
    extra, key = leaves.get("extra"), "output_modalities"
    if extra is None or key not in extra.value:
        return leaves.get(key)
    return Leaf(extra.value[key], (*extra.steps, key), extra.source)


def _verify_languages(space: Space, leaves: Leaves, languages: tuple[str | None, ...]) -> bool:
    """Complain of a language without its first words, and of words in no language of the agent."""
    usable = True
    main = space.gathered.main
    rules = Leaf(main.draft.file.defaults.rules, ("defaults", "rules"), main)
    for name in ("instructions", *_TEXTS, "rules"):
        leaf = rules if name == "rules" else leaves.get(name)
        texts = None if leaf is None else by_language(leaf.value)
        if leaf is not None and texts is not None and languages == (None,):
            written = ", ".join(texts)
            whose = "there is an agent without" if name == "rules" else "the agent has no"
            leaf.complain(f"{whose} languages", f"write languages: [{written}] beside it")
            usable = False
        elif texts is not None and leaf is not None:
            usable &= _complete(leaf, texts, languages)
        elif len(languages) > 1 and name in _SPOKEN:
            usable &= _spoken_in_all(leaves, languages, name)
    return usable


def _complete(leaf: Leaf, texts: Mapping[str, Any], languages: tuple[str | None, ...]) -> bool:
    missing = [language for language in languages if language not in texts]
    if missing:
        leaf.complain(f"there is no text in {quoted(str(missing[0]))}", "each language needs one")
    return not missing


def _spoken_in_all(leaves: Leaves, languages: tuple[str | None, ...], name: str) -> bool:
    """An agent of several languages needs first words in each."""
    leaf, where = leaves.get(name), leaves["languages"]
    if leaf is not None and leaf.value is None:
        return True
    text = "text for each language, such as {" + f"{languages[0]}: ..., {languages[1]}: ..." + "}"
    if leaf is None:
        where.complain(f"an agent of several languages needs a {name}", f"write {text}")
    else:
        leaf.complain(f"must be {text}", "one text is in one language")
    return False


def _lacks_values(space: Space) -> bool:
    """Whether values of variables were written and left out as wrong."""
    entry = ("tenants", space.tenant)
    main = space.gathered.main.draft
    return space.own.draft.lacks(("vars",)) or main.lacks(("defaults", "vars"), entry)


def _templates(edition: Edition) -> Iterator[CompiledTemplate]:
    return templates_in(edition.instructions, edition.greeting, edition.disclosure, edition.asks)


def _verify_pins(tools: Leaf | None, kit: Kit, reference: str, known: frozenset[str]) -> bool:
    """Complain of PINs that stand in no variable."""
    unknown = [(name, steps) for name, steps in kit.pins if name not in known]
    for name, steps in unknown:
        assert tools is not None
        message = f"the agent {quoted(reference)} declares no variable {quoted(name)}"
        hint = tools.source.findings.did_you_mean(name, known) or _NEEDED["vars"]
        tools.source.complain(Complaint(steps, message, hint))
    return not unknown


def _declared(chain: Ancestry) -> dict[str, DeclaredVariable]:
    declared: dict[str, DeclaredVariable] = {}
    for named in chain.agents:
        for name, variable in (named.value.vars or {}).items():
            declared[name] = _REQUIRED if isinstance(variable, str) else variable
    return declared


def _own_values(declared: Mapping[str, DeclaredVariable]) -> dict[str, str]:
    return {
        name: variable.value
        for name, variable in declared.items()
        if given(variable.value) is not None
    }
