"""Readings of GPUs, from NVML or from DCGM's exporter, and what two readings mean."""
