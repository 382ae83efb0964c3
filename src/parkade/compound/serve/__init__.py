"""A network served as if it were one model, to any client that speaks OpenAI's protocol."""
