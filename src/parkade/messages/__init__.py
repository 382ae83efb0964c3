"""Messages to people and programs outside: one outbox, sent by webhook or mail, until heard."""
