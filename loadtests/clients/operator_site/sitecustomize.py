"""Python imports this first of all when its folder is on PYTHONPATH: clients of Triton then show a token.

Examples that load models have no option for one. This is what operators would do in programs of their own,
with the client's own means for it, and leaves the examples as they are.
"""

from __future__ import annotations

import os
from typing import Any

from tritonclient._client import InferenceServerClientBase
from tritonclient._plugin import InferenceServerClientPlugin

_start = InferenceServerClientBase.__init__


class _Token(InferenceServerClientPlugin):  # type: ignore[misc]
    def __call__(self, request: Any) -> None:
        token = os.environ["EXAMPLES_TOKEN"]  # noqa: TID251 - of a client
        request.headers["authorization"] = f"Bearer {token}"


def _start_with_token(client: Any) -> None:
    _start(client)
    client.register_plugin(_Token())


InferenceServerClientBase.__init__ = _start_with_token
