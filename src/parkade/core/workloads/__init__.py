"""What someone wants run, its life cycle and its attempts."""
