"""A real Slurm on loopback for tests: a controller, a key server and one daemon a node, with fake
GPUs, all in one folder. Several stand side by side; no daemon outlives the test's process.
"""

from tests.slurm_cluster.cluster import Slurm, missing, open_folder, slurm
from tests.slurm_cluster.ports import free_port

__all__ = ["Slurm", "free_port", "missing", "open_folder", "slurm"]
