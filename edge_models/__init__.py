"""Models that run in this process.

ONNX Runtime's wheels for Linux report usage to their maker unless told not to before their first import.
A gateway that promises where data may go starts with that off; who wants it sets the variable to 0.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # noqa: TID251 - read by ONNX Runtime alone, at its import
