"""Running a bound network: one event loop, a state machine per question, journal and budget."""
