"""What answers a call: OpenAI-compatible servers, batch files, recorded answers, functions.

`door` is the one interface; everything else implements it or helps to.
"""
