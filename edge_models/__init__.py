"""Models that run in this process.

ONNX Runtime's wheels for Linux report usage to their maker, unless that is switched off before their first
import. A gateway that promises where data may go switches it off; set the variable to 0 to have it on.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # noqa: TID251 - read by ONNX Runtime alone, at its import
