"""What happens in a story: acts of people, owners, operators and of nature, each from its number.

An act draws everything from a stream of its own, seeded by the story's seed and its number, and
finds its objects in the world as it is then. So leaving one out changes no other act, which is what
makes a failing story small.
"""
