"""The SIP headers of a call, as a carrier's INVITE would carry them."""

import re

Header = tuple[str, str]

PROJECT_URI = "sip:proj_XnGzQBp38qGPqjV5GaYVXVGY@sip.api.openai.com;transport=tls"
_CARRIER = "209.58.144.243"
_NUMBER = re.compile(r"\+?[0-9][0-9 ().-]*")


def invite_headers(to: str, from_: str, sip_call_id: str) -> tuple[Header, ...]:
    """Wavix's way: To is the project, the dialed number stands in x-number without its plus.

    A `to` or `from_` that is not a number is taken as the whole value of its header.
    """
    headers = [("From", _from_value(from_, sip_call_id)), ("To", to)]
    if _NUMBER.fullmatch(to):
        headers[1] = ("To", PROJECT_URI)
    headers.append(("Call-ID", sip_call_id))
    if _NUMBER.fullmatch(to):
        headers.append(("x-number", _digits(to)))
    return tuple(headers)


def _from_value(from_: str, sip_call_id: str) -> str:
    if from_.lower() == "anonymous":
        return f'"Anonymous" <sip:anonymous@anonymous.invalid>;tag=as{sip_call_id[:8]}'
    if not _NUMBER.fullmatch(from_):
        return from_
    number = "+" + _digits(from_) if from_.startswith("+") else _digits(from_)
    return f'"{number}" <sip:{number}@{_CARRIER}>;tag=as{sip_call_id[:8]}'


def _digits(number: str) -> str:
    return re.sub(r"\D", "", number)
