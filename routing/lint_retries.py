"""The lint rules about attempts, how long they take and which are repeated; ``routing.lint`` lists them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from routing.policy import Policy
from routing.problem import Problem


def _too_long(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        per_try_ms, whole_ms = route.per_try_timeout_ms, route.timeout_ms
        if per_try_ms is None or whole_ms is None or per_try_ms < whole_ms:
            continue
        path = ("routes", index, "per_try_timeout_ms")
        if per_try_ms > whole_ms:
            yield Problem("EW165", path, f"one attempt gets {per_try_ms} ms, all together get {whole_ms} ms")
        elif route.num_retries != 0:
            yield Problem(
                "EW265", path, "the first attempt may take all of `timeout_ms`: none follows it then"
            )


def _never_kept(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        per_try_ms = route.per_try_timeout_ms
        if per_try_ms is None:
            continue
        used = [policy.endpoints[name] for name in route.endpoints if name in policy.endpoints]
        limits = [endpoint.attempt_timeout_ms for endpoint in used]
        if limits and all(limit is not None and limit < per_try_ms for limit in limits):
            yield Problem(
                "EW266",
                ("routes", index, "per_try_timeout_ms"),
                "has no effect: `attempt_timeout_ms` of each of its endpoints is shorter",
            )


def _unretried(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        if route.retry_on is not None and route.num_retries == 0:
            yield Problem(
                "EW267", ("routes", index, "retry_on"), "has no effect: the route has `num_retries: 0`"
            )


RETRY_CHECKS: Final = (_too_long, _never_kept, _unretried)
