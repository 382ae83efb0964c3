"""What answers a call: OpenAI-compatible servers, batch files, recorded answers, functions.

`protocol` is the one interface; everything else implements it or helps to.
"""
