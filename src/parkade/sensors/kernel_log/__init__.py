"""The kernel log: stamps, GPU driver codes, and the plain lines of other drivers."""
