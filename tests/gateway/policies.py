"""Policies for the tests of the gateway."""

from __future__ import annotations

from pathlib import Path

CENTRAL_DIGEST = "sha256:" + "c" * 64

GOOD = f"""\
generation: 1
regions:
  here: {{serves: [EU]}}
  there: {{serves: [NA]}}
failover: {{here: [there], there: [here]}}
residency:
  anywhere: {{regions: ["*"]}}
  only-there: {{regions: [there]}}
tenants:
  anonymous: {{residency: anywhere}}
  exile: {{residency: only-there}}
endpoints:
  central: {{tier: central, region: there, protocol: grpc, address: "127.0.0.1:9"}}
routes:
- name: digits
  match: {{model: digits}}
  digest: {CENTRAL_DIGEST}
  cascade: {{on_central_down: serve_edge}}
  endpoints: [central]
"""

TWO_ROUTES = GOOD.replace(
    "routes:\n", "routes:\n- {name: exiles, match: {model: digits, tenants: [exile]}, endpoints: [central]}\n"
)


def write_policy(folder: Path, text: str = GOOD) -> Path:
    """Write a policy and return its path."""
    file = folder / "policy.yaml"
    file.write_text(text)
    return file
