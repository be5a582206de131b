"""agents.yaml: from a file that people edit to the table that calls are routed by.

A *leaf* is one key of an agent: the name that the Realtime API gives it, written flat. *Steps* are
the way to a value (`agents`, `reception`, `speed`), a *place* is its line and column. A *complaint*
says what is wrong at some steps; with file and place it becomes a `Finding`.

Each file passes through separate rooms: `reader` (text to nodes with places), `values` (nodes to
plain data), `schema` and `validation` (what may be written). `gathering` has all files, `spaces`
what a name means for which tenant. `leaves` and `personas` make agents of them, `operations`,
`tenancy` and `places` what belongs to the operator, to tenants and to neither. `lines` and `tables`
read numbers, `ruling` and `routes` compile them, `rehearsal` has each say its texts once, and
`compilation` names the whole by a hash.

The files are either usable as a whole or refused with all of their findings at once; only what
an item with a mistake of shape refers to is judged when that is mended.
"""

from sipagent.config.loader import Loaded, load, parse

__all__ = ["Loaded", "load", "parse"]
