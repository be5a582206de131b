"""What is left out of everything that was said: payment cards and US social security numbers.

A *group* is digits without a gap, or one spelled number ("four", "double five", "cuarenta y dos").
A *run* is groups with nothing but usual separators between them. Runs are judged when they are
over: `StreamGuard` holds them back until then, so live words and whole texts lose the same.
`LiveWords` has a guard for each utterance of a call.
"""

from sipagent.model.redaction.guard import StreamGuard, redacted
from sipagent.model.redaction.live import LiveWords

__all__ = ["LiveWords", "StreamGuard", "redacted"]
