"""InfiniBand ports: counters and states from sysfs, and what they mean over time."""
