"""Reading a file that an operator named, in full or not at all."""

import codecs
import stat
from pathlib import Path
from typing import Final, NamedTuple

_OTHER_ENCODINGS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Unreadable(NamedTuple):
    """Why a file's text cannot be had, and where in that file, if it is the content's fault."""

    reason: str
    hint: str | None = None
    line: int = 1
    column: int = 1


def read_text_file(path: Path, limit: int) -> str | Unreadable:
    """The text of a regular file of at most `limit` bytes of UTF-8, without byte order mark."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            return Unreadable("is a directory" if stat.S_ISDIR(mode) else "is not a regular file")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        return Unreadable("does not exist")
    except PermissionError:
        return Unreadable("may not be read by this process", "check the file's permissions")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        return Unreadable(f"cannot be read: {(reason or 'its name is not usable').lower()}")
    if len(content) > limit:
        return Unreadable(f"is larger than {limit // 1024:,} KiB")
    return _decode(content)


def _decode(content: bytes) -> str | Unreadable:
    hint = "save it as UTF-8"
    if content.startswith(_OTHER_ENCODINGS):
        return Unreadable("is UTF-16, not UTF-8", hint)
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        good = content[: error.start].decode("utf-8")
        line = good.count("\n") + 1
        column = len(good) - (good.rfind("\n") + 1) + 1
        return Unreadable(f"is not UTF-8 in line {line}, column {column}", hint, line, column)
