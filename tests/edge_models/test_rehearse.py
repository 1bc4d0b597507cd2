"""The child process, as its parent sees it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from edge_models.model_files import ModelFiles, write_files
from tests.edge_models import hostile_models, onnx_models


def test_protocol():
    """A line when it is there, two for each file, and it leaves with its parent."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-P", "-m", "edge_models.rehearse", str(theirs.fileno())]
        with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as child:
            theirs.close()
            ours.settimeout(60)
            assert ours.recv(64) == b"0"

            for content, lacks in ((onnx_models.affine(), b"0"), (hostile_models.sized(1 << 28), b"1")):
                descriptor = os.memfd_create("model")
                with open(descriptor, "wb", closefd=False) as stream:
                    write_files(stream, ModelFiles(content))
                os.lseek(descriptor, 0, os.SEEK_SET)
                socket.send_fds(ours, [str(64 << 20).encode()], [descriptor])
                os.close(descriptor)
                assert 0 <= int(ours.recv(64)) < 64 << 20
                ours.send(b".")
                assert ours.recv(64) == lacks

            ours.close()
            assert child.wait(60) == 0
