"""`make bench`: sipagent beside a bare server, under the same load, in one run.

A *subject* is a server that is measured: `sipagent serve`, or `bare.py`, the least that anyone
would write. A *trial* starts one subject afresh, beside a simulator in this process, and measures
it in one *scenario*: `arrival` (calls come at a steady rate and soon end) or `held` (calls stay
and events keep coming), over plain loopback or over TLS with a private CA. Trials of the two
subjects alternate; a *figure* is the median of its repetitions, and what is promised of it, in a
*bound*, is mostly the ratio of the two subjects.
"""
