"""A workload: its spec, its life cycle, its attempts and promises."""
