"""What is made of calls when they are over."""

from sipagent.config.leaves import Leaf
from sipagent.config.pricing import Charges
from sipagent.config.schema.base import given
from sipagent.config.schema.persona import AfterCall as Written
from sipagent.config.skills.parameters import closed, misspelled, problems_of
from sipagent.model import AfterCall

_EXTRACT = "extract"


def after_call_of(leaf: Leaf | None, charges: Charges, account: str | None) -> AfterCall | None:
    """What is wanted, None where nothing is; what cannot be had is told."""
    if leaf is None or leaf.value is None:
        return None
    written: Written = leaf.value
    extract = given(written.extract)
    if extract is None and not written.summary:
        leaf.complain("nothing is wanted of the model", "write extract, or leave out summary")
        return None
    if extract is not None:
        problems = list(problems_of(extract, (*leaf.steps, _EXTRACT)))
        for complaint in problems:
            leaf.source.complain(complaint)
        if problems:
            return None
        for doubt in misspelled(extract, (*leaf.steps, _EXTRACT)):
            leaf.source.warn(doubt)
    prices = charges.of({"model": written.model}, account)
    return AfterCall(
        model=written.model,
        summary=written.summary,
        extract=None if extract is None else closed(extract),
        price=prices.session,
        version=prices.version,
    )
