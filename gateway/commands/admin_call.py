"""How commands reach the admin port of a running gateway: its address, the operator's token, its errors."""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Final, TypeVar

import msgspec

TOKEN_VARIABLE: Final = "EDGEWAY_ADMIN_TOKEN"  # noqa: S105 - the name of one
_DEFAULT: Final = "http://127.0.0.1:8002"
_LIMIT_S: Final = 10
_NAME_IT: Final = "name the gateway's admin port with --admin"

T = TypeVar("T")


def add_admin(parser: argparse.ArgumentParser) -> None:
    """Add `--admin`, which `call_admin` takes."""
    parser.add_argument(
        "--admin",
        metavar="URL",
        default=_DEFAULT,
        help=f"the gateway's admin port, {_DEFAULT} by default; its token is read from ${TOKEN_VARIABLE}",
    )


def call_admin(admin: str, path: str, body: bytes | None = None) -> bytes | None:
    """Return the answer to a GET of ``path``, or to a POST of ``body``.

    None: there is none, and standard error says why.
    """
    url = f"{admin if '://' in admin else f'http://{admin}'}".rstrip("/") + path
    try:
        request = urllib.request.Request(url, data=body)  # noqa: S310 - the operator's own URL
        # A file's last line may end with \r; what cannot be a header would be shown by the error of urllib.
        token = os.environ.get(TOKEN_VARIABLE, "").strip()  # noqa: TID251 - a secret is no argument
        if not (token.isascii() and token.isprintable()):
            print(
                f"edgeway: {TOKEN_VARIABLE} holds more than one line of printable ASCII: it is no token",
                file=sys.stderr,
            )
            return None
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=_LIMIT_S) as answer:  # noqa: S310
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        print(f"edgeway: {_message(error, admin)}", file=sys.stderr)
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        print(f"edgeway: no answer from {admin}: {reason}; {_NAME_IT}", file=sys.stderr)
    return None


def decode_answer(admin: str, answer: bytes, kind: type[T]) -> T | None:
    """Return what ``answer`` says. None: it says something else, and standard error who was asked."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        print(
            f"edgeway: {admin} is no admin port of this version ({error}); {_NAME_IT}",
            file=sys.stderr,
        )
        return None


def _message(error: urllib.error.HTTPError, admin: str) -> str:
    try:
        found = json.loads(error.read())["error"]
    except (ValueError, KeyError, TypeError):
        found = f"the gateway answered {error.code} {error.reason}"
    if error.code == 404 and str(found).endswith("Not Found"):
        # A port for clients has no such path, nor has another server.
        return f"{admin} has no such path: {_NAME_IT}"
    advice = f" (set {TOKEN_VARIABLE})" if error.code == 401 else ""
    return f"{found}{advice}"
