"""A marketplace with people in it, on this machine: `parkade up --demo`.

The people speak through the real API and run real processes on slots that stand for GPUs. Nothing
is kept: it lives in a temporary folder and ends with the program.
"""

from parkade.demo.run import DemoError, run_demo

__all__ = ["DemoError", "run_demo"]
