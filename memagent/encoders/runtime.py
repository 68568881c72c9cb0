"""ONNX Runtime, imported without its telemetry.

Official builds since 1.31 report events of every session to their maker over HTTPS, keep an
identifier of the device under the user's cache folder, and hold a thread that makes a forked child hang when
it ends. A personal memory does none of this. The environment variable is the only switch that takes
effect before the first event, and the runtime reads it while it is imported.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

_SWITCH = "ORT_DISABLE_TELEMETRY"
_LOCK = threading.Lock()


def onnx_runtime() -> Any:
    """The ``onnxruntime`` module with telemetry off; every import of it in memagent goes through here.

    Where the application imported it before, what it still sends is turned off as far as its interface can.
    """
    with _LOCK:
        if "onnxruntime" in sys.modules:
            import onnxruntime
        else:
            before = os.environ.get(_SWITCH)
            os.environ[_SWITCH] = "1"
            try:
                import onnxruntime
            finally:
                if before is None:
                    del os.environ[_SWITCH]
                else:
                    os.environ[_SWITCH] = before
        turn_off = getattr(onnxruntime, "disable_telemetry_events", None)
        if turn_off is not None:
            turn_off()
        return onnxruntime
