"""The central tier is gone: the edge answers, and marks its answers as not certified."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance, Response
from tests.scenarios.world import CONFIDENT, UNSURE, World, certificate, digits, picture


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_unsure_answers_come_from_central(tmp_path: Path, protocol: str) -> None:
    """The cascade answers what it is sure about and defers the rest, over either protocol."""
    async with World(tmp_path, protocol=protocol) as world:
        sure, unsure = await world.ask(CONFIDENT), await world.ask(UNSURE)

    assert sure.provenance == Provenance("edge", True, region="here", digest=certificate().edge_digest)
    assert unsure.provenance == Provenance(
        "central", True, region="there", digest=certificate().central_digest
    )


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_edge_answers_uncertified_while_central_is_down(tmp_path: Path, protocol: str) -> None:
    """No request fails, none pretends to be certified, and central is found again when it is back."""
    async with World(tmp_path, protocol=protocol) as world:
        await world.stop_central()
        for _ in range(6):
            response = await world.ask(UNSURE)
            assert (response.provenance.origin, response.provenance.certified) == ("edge", False)
        assert world.metric('edgeway_breaker_state{endpoint="central"}') in {0.0, 2.0}

        await world.start_central()
        async with asyncio.timeout(30):
            # Another picture: the uncertified answer of this one is kept for up to 5 s.
            number = UNSURE
            while True:
                number += 1
                response = await world.ask(number)
                if response.provenance.origin == "central":
                    break
                await asyncio.sleep(0.02)


async def test_route_may_prefer_to_fail(tmp_path: Path) -> None:
    """With `on_central_down: fail` nothing uncertified is ever answered."""
    async with World(tmp_path, on_central_down="fail") as world:
        await world.stop_central()

        with pytest.raises(GatewayError) as caught:
            await world.ask(UNSURE)
        assert caught.value.fault is Fault.UNAVAILABLE
        assert (await world.ask(CONFIDENT)).provenance.certified


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("edge_digest", "sha256:" + "0" * 64),
        ("central_digest", "sha256:" + "0" * 64),
        ("instruction_set", "riscv-v"),
        ("onnxruntime", "0.0.1"),
        ("model", "cats"),
    ],
)
async def test_certificate_that_does_not_fit_defers_everything(
    tmp_path: Path, field: str, value: str, caplog
) -> None:
    """One field differs: refused, logged once, and central answers everything."""
    proof = msgspec.structs.replace(certificate(), **{field: value})

    async with World(tmp_path, proof=proof) as world:
        for image in (CONFIDENT, CONFIDENT + 1, UNSURE):
            assert (await world.ask(image)).provenance.origin == "central"
        assert world.metric(f'edgeway_certificates_refused_total{{field="{field}",model="digits"}}') == 1

    assert sum("refused" in record.message for record in caplog.records) == 1


async def test_policy_that_expects_another_central_model_defers_everything(tmp_path: Path) -> None:
    """The policy names the central artefact: a certificate about another one proves nothing here."""
    world = World(tmp_path)
    world.write_policy(1, digest="sha256:" + "1" * 64)

    async with world:
        assert (await world.ask(CONFIDENT)).provenance.origin == "central"
        again = await world.ask(CONFIDENT)
        assert again.provenance.level == "", "what central answered is not what the key speaks of"


async def test_uncertified_answers_are_not_kept_for_long(tmp_path: Path) -> None:
    """An answer that is not certified stays in L1 for 5 s at most and never reaches L2."""
    async with World(tmp_path) as world:
        await world.stop_central()

        first, again = await world.ask(UNSURE), await world.ask(UNSURE)

        assert (first.provenance.level, again.provenance.level) == ("", "l1")
        assert not again.provenance.certified


async def hurried(world: World) -> Response:
    """Less time than the attempt's own limit, and more than a busy machine takes to begin."""
    due = asyncio.get_running_loop().time() + 0.9
    return await world.edge.generation()(picture(UNSURE, deadline=due))


async def test_short_deadline_still_gets_the_edge_answer(tmp_path: Path) -> None:
    """A central tier that hangs does not use up the time in which the edge could have answered."""
    async with World(tmp_path) as world:
        await world.stop_central()
        # The kernel accepts the connection, and no byte ever comes back.
        with socket.create_server(("127.0.0.1", world.central_ports["grpc"])):
            try:
                response = await hurried(world)
            except GatewayError:
                # 50 ms are kept for the edge, in which a busy machine may not have run us at all.
                response = await hurried(world)

    assert (response.provenance.origin, response.provenance.certified) == ("edge", False)


@pytest.mark.parametrize("text", ["", "{}", '{"score": "nobody_knows"}'])
async def test_unreadable_certificate_defers_everything(tmp_path: Path, text: str) -> None:
    """A certificate that is cut short or altered is as good as none, and the gateway still serves."""
    world = World(tmp_path)
    (tmp_path / "certificates" / "digits.json").write_text(text)

    async with world:
        assert (await world.ask(CONFIDENT)).provenance.origin == "central"
        assert world.metric('edgeway_certificates_refused_total{field="unreadable",model="digits"}') == 1


async def test_a_central_tier_that_serves_another_model_ends_the_licence(tmp_path: Path) -> None:
    """What the certificate was measured against is not what answers: no reload of the policy forgets that."""
    world = World(tmp_path)
    file = tmp_path / "central.yaml"
    file.write_text(file.read_text().replace(str(digits.CENTRAL_REPOSITORY), str(digits.EDGE_REPOSITORY)))

    async with world:
        assert (await world.ask(CONFIDENT)).provenance.origin == "edge"
        await world.ask(UNSURE)
        after = await world.ask(CONFIDENT)
        world.write_policy(2)
        await world.in_force(2)
        reloaded = await world.ask(CONFIDENT)

        assert (after.provenance.origin, reloaded.provenance.origin) == ("central", "central")
        refused = 'edgeway_certificates_refused_total{field="central_digest",model="digits"}'
        assert world.metric(refused) == 1

        # An operator who says that central is right again gets another chance: SIGHUP.
        await world.edge.reload()
        assert (await world.ask(CONFIDENT)).provenance.origin == "edge"


async def test_a_half_written_certificate_changes_nothing(tmp_path: Path) -> None:
    """It may be in the middle of being copied: the one in use stays, as a policy would."""
    async with World(tmp_path) as world:
        (tmp_path / "certificates" / "digits.json").write_text("{")
        await world.edge.reload()

        assert (await world.ask(CONFIDENT)).provenance.origin == "edge"


async def test_a_certificate_with_too_much_risk_is_refused(tmp_path: Path) -> None:
    """An operator's limits on risk and doubt hold whatever certificate lies in the folder."""
    world = World(tmp_path)
    world.change_settings("  certificates:", "  max_alpha: 0.001\n  certificates:")

    async with world:
        assert (await world.ask(CONFIDENT)).provenance.origin == "central"
        assert world.metric('edgeway_certificates_refused_total{field="alpha",model="digits"}') == 1


async def test_nothing_flies_on_when_the_process_has_left(tmp_path: Path) -> None:
    """A refresh that no request waits for is cancelled with the process, however long central would hang."""
    world = World(tmp_path)
    world.change_settings("\nresilience:", "\n  ttl_s: 0.5\n  jitter: 0\n  early_beta: 10\nresilience:")
    served: list[asyncio.StreamWriter] = []

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(writer)
        await reader.read()

    async with world:
        await world.ask(UNSURE)
        port = world.central.servers.grpc.port
        await world.stop_central()
        silent = await asyncio.start_server(hang, "127.0.0.1", port)
        async with asyncio.timeout(30):
            while not served:
                await world.ask(UNSURE)
                await asyncio.sleep(0.01)
    silent.close()
    for writer in served:
        writer.close()
        await writer.wait_closed()

    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
