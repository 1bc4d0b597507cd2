"""What belongs to files is called when they change."""

from __future__ import annotations

from gateway.upstreams.rotation import Rotation


class Files:
    """A source whose next look finds something new, or something wrong."""

    generation = 0
    problem = ""
    is_new = False

    async def refresh(self) -> None:
        self.generation += self.is_new


async def test_each_change_is_called_once():
    """Also one that another holder of the same files has had read."""
    files, changes = Files(), []
    rotation = Rotation()
    rotation.watch(None, lambda: changes.append("none"))
    rotation.watch(files, lambda: changes.append("files"))
    await rotation.refresh()
    assert not changes
    files.generation += 1
    await rotation.refresh()
    await rotation.refresh()
    assert changes == ["files"]
    files.is_new = True
    await rotation.refresh()
    assert changes == ["files"] * 2
    assert rotation.problems == ()
    files.problem = "ca.pem: is empty"
    assert rotation.problems == ("ca.pem: is empty",)
