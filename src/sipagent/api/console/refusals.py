"""What a visitor is refused, as exceptions that become pages."""


class Refused(Exception):  # noqa: N818  # an answer, not an accident
    """The visitor gets this status with these words, as a page or as a toast."""

    def __init__(self, status: int, words: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.words = words
        self.headers = headers


class SignInWanted(Exception):  # noqa: N818
    """The visitor is nobody, or not any more."""
