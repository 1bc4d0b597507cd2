"""Features where only stacks are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from cache.features.vectors import StoreError
from gateway.app.outline import outline
from gateway.app.outlined_features import UnopenedStore, outlined_features
from gateway.config.policy_file import parse_policy
from tests.gateway.app.test_features import declare, settings_of
from tests.gateway.app.workshop import Workshop

POLICY = b"""\
generation: 1
regions: {here: {}}
residency: {anywhere: {regions: ["*"]}}
tenants: {anonymous: {residency: anywhere}}
endpoints: {central: {tier: central, region: here, protocol: grpc, address: '127.0.0.1:1'}}
routes:
- {name: shop, match: {model: shop}, endpoints: [central]}
- {name: rest, match: {model: '*-x'}, endpoints: [central]}
"""


async def test_the_layer_is_shown_where_it_would_be(tmp_path: Path) -> None:
    declare(tmp_path, "shop")
    policy = parse_policy(Path("policy.yaml"), POLICY, "here")

    report = await outline(policy, settings_of(tmp_path))

    roles = [layer.role for layer in report.routes["shop"]]
    assert roles.index("deadline") + 1 == roles.index("enrichment")
    assert "enrichment" not in [layer.role for layer in report.routes["rest"]]


async def test_without_settings_or_with_files_that_cannot_be_used(tmp_path: Path) -> None:
    workshop = Workshop()
    assert outlined_features(settings_of(tmp_path, features=None), workshop.parts) is None
    assert outlined_features(settings_of(tmp_path / "nothing"), workshop.parts) is None
    await workshop.aclose()


async def test_the_store_that_is_not_there() -> None:
    store = UnopenedStore()
    with pytest.raises(StoreError, match="skipped"):
        await store.fetch([b"a"])
    assert [part async for part in store.known_ids()] == []
    await store.aclose()
    assert "UnopenedStore" in repr(store)
