"""The lint rules about endpoints; ``routing.lint`` lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from routing.endpoint import LoadBalancing
from routing.policy import Policy
from routing.problem import Path, Problem

_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})", re.ASCII)
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?", re.ASCII)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]{0,8192}")

_OURS: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "grpc-encoding",
        "grpc-timeout",
        "host",
        "inference-header-content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that say how a request travels: each gateway writes them itself."""
_SECRET: Final = frozenset(
    {"api-key", "authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token"}
)
_HASHES: Final = frozenset({"ring_hash", "maglev"})
_DEFAULT: Final = LoadBalancing()
_AVERAGE: Final = 100
_ALPN: Final = {"grpc": "h2", "h2": "h2", "http": "http/1.1"}


def older_forms(policy: Policy) -> list[Problem]:
    """Return where the policy is written in a form that works, and for which there is a better one.

    They are neither errors nor warnings, and only ``edgeway policy validate`` shows them.
    """
    return [
        Problem(
            "EW301",
            ("endpoints", name, "address"),
            f"the older form: write `addresses: [{_quoted(endpoint.address)}]`, and each address that a name "
            "has is a member with connections and health of its own",
        )
        for name, endpoint in policy.endpoints.items()
        if endpoint.address
    ]


def _members(policy: Policy) -> Iterator[Problem]:
    for name, endpoint in policy.endpoints.items():
        path: Path = ("endpoints", name)
        if endpoint.address and endpoint.addresses:
            yield Problem("EW130", path, "has `address` and `addresses`: write all members in `addresses`")
        elif not endpoint.address and not endpoint.addresses:
            yield Problem("EW130", path, "has no member: list them, as `addresses: [HOST:PORT]`")
        field: Path = (*path, "addresses") if endpoint.addresses else path
        seen: set[str] = set()
        for index, member in enumerate(endpoint.members):
            where: Path = (*field, index) if endpoint.addresses else (*field, "address")
            found = _ADDRESS.fullmatch(member.address)
            if found is None or not 0 < int(found[2]) < 65_536:
                yield Problem(
                    "EW107",
                    where,
                    f"'{member.address}' is not HOST:PORT (no scheme, no path, port 1 to 65535)",
                )
            if member.address.lower() in seen:
                yield Problem("EW108", where, f"'{member.address}' stands here twice")
            seen.add(member.address.lower())


def _tls(policy: Policy) -> Iterator[Problem]:
    for name, endpoint in policy.endpoints.items():
        tls = endpoint.tls
        if tls is None:
            continue
        path: Path = ("endpoints", name, "tls")
        if (tls.certificate is None) is not (tls.key is None):
            given, lacking = ("certificate", "key") if tls.certificate else ("key", "certificate")
            yield Problem("EW131", path, f"`{given}` goes with `{lacking}`: mTLS needs both")
        if tls.server_name is not None and not _is_server_name(tls.server_name):
            yield Problem(
                "EW132",
                (*path, "server_name"),
                f"'{tls.server_name}' is no name of a server (no port, no scheme, no '*')",
            )
        needed = _ALPN.get(endpoint.protocol)
        if tls.alpn and needed and needed not in tls.alpn:
            yield Problem(
                "EW133",
                (*path, "alpn"),
                f"protocol '{endpoint.protocol}' needs '{needed}': add it, or leave `alpn` out",
            )


def _is_server_name(name: str) -> bool:
    found = _HOST.fullmatch(name)
    return found is not None and not found[2]


def _hosts(policy: Policy) -> Iterator[Problem]:
    for name, endpoint in policy.endpoints.items():
        if endpoint.host and not _HOST.fullmatch(endpoint.host):
            path = ("endpoints", name, "host")
            yield Problem("EW132", path, f"'{endpoint.host}' is neither HOST nor HOST:PORT")


def _credentials(policy: Policy) -> Iterator[Problem]:
    for name, endpoint in policy.endpoints.items():
        credential = endpoint.credential
        if credential is None:
            continue
        path: Path = ("endpoints", name, "credential")
        if (credential.file is None) is (credential.env is None):
            yield Problem("EW134", path, "needs one of `file` and `env`: where the credential is read from")
        yield from _header((*path, "header"), credential.header)
        if credential.header.lower() in {header.lower() for header in endpoint.headers}:
            yield Problem("EW135", (*path, "header"), f"'{credential.header}' stands in `headers` too")
        exposed = next((m.address for m in endpoint.members if not _is_loopback(m.address)), None)
        if endpoint.tls is None and exposed is not None:
            yield Problem(
                "EW230", path, f"goes to {exposed} in the clear, for anybody on the way to read: add `tls`"
            )


def _headers(policy: Policy) -> Iterator[Problem]:
    for name, endpoint in policy.endpoints.items():
        seen: dict[str, str] = {}
        for header, value in endpoint.headers.items():
            path: Path = ("endpoints", name, "headers", header)
            yield from _header(path, header)
            if not _VALUE.fullmatch(value) or value != value.strip():
                yield Problem("EW135", path, "its value is not one line of visible characters")
            if header.lower() in _SECRET:
                yield Problem(
                    "EW136",
                    path,
                    "a secret does not stand in the policy, which every region reads and logs show: name its "
                    f"file or its variable, as `credential: {{file: …, header: {header}}}`",
                )
            other = seen.setdefault(header.lower(), header)
            if other != header:
                yield Problem("EW135", path, f"is '{other}' already: headers do not differ by case")


def _header(path: Path, header: str) -> Iterator[Problem]:
    if not _TOKEN.fullmatch(header):
        yield Problem("EW135", path, f"'{header}' is no name of a header")
    elif header.lower() in _OURS or header.lower().startswith("x-edgeway-"):
        yield Problem("EW135", path, f"'{header}' is written by each gateway itself")


def _times(policy: Policy) -> Iterator[Problem]:
    for name, endpoint in policy.endpoints.items():
        check, outliers = endpoint.health_check, endpoint.outlier_detection
        path: Path = ("endpoints", name)
        base, longest = outliers.base_ejection_time_s, outliers.max_ejection_time_s
        if base is not None and longest is not None and longest < base:
            yield Problem(
                "EW137",
                (*path, "outlier_detection", "max_ejection_time_s"),
                f"{longest:g} s is less than base_ejection_time_s, {base:g} s",
            )
        if check is not None and check.timeout_s > check.interval_s:
            yield Problem(
                "EW231",
                (*path, "health_check", "timeout_s"),
                f"a check may take {check.timeout_s:g} s, and the next one comes in {check.interval_s:g} s",
            )


def _balancing(policy: Policy) -> Iterator[Problem]:
    for name, endpoint in policy.endpoints.items():
        balancing = endpoint.load_balancing
        if 0 < balancing.hash_balance_factor < _AVERAGE:
            yield Problem(
                "EW138",
                ("endpoints", name, "load_balancing", "hash_balance_factor"),
                f"is in percent of the average: {_AVERAGE} at least, 0 for no bound",
            )
        of_hashes = ("hash_on", "hash_balance_factor")
        idle = (
            [] if balancing.policy in _HASHES else [field for field in of_hashes if _is_set(balancing, field)]
        )
        if balancing.policy != "least_request" and _is_set(balancing, "choice_count"):
            idle.append("choice_count")
        for field in idle:
            yield Problem(
                "EW232",
                ("endpoints", name, "load_balancing", field),
                f"has no effect with policy '{balancing.policy}'",
            )


def _is_set(balancing: LoadBalancing, field: str) -> bool:
    return bool(getattr(balancing, field) != getattr(_DEFAULT, field))


def _drained(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        known = [policy.endpoints[name] for name in route.endpoints if name in policy.endpoints]
        if known and all(endpoint.drain for endpoint in known):
            outcome = "only the edge model may answer" if route.cascade else "every request is refused"
            yield Problem(
                "EW233", ("routes", index, "endpoints"), f"each endpoint of this route is drained: {outcome}"
            )


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _quoted(address: str) -> str:
    # A bare [::1]:80 would be a list.
    return f'"{address}"'


ENDPOINT_CHECKS: Final = (
    _members,
    _tls,
    _hosts,
    _credentials,
    _headers,
    _times,
    _balancing,
    _drained,
)
