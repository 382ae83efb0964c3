"""Every call of the API by its name, one file a subject; `methods` offers them on the clients."""
