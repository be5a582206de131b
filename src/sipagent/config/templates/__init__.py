"""Texts that are rendered anew for each call: sandboxed Jinja, checked when the file is read.

What a caller, a header or a carrier says is *tainted*: it stays so through every filter, and is
only ever printed as a quoted string. `compiled` is the way in; `checks` and `expressions` judge a
text before anything is rendered, `kinds` says what there is, `values` and `filters` what it does.
"""
