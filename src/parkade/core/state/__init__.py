"""The world's records and indexes, commands, events, the agenda of deadlines, the codec."""
