"""Between the wire's words and the core's."""
