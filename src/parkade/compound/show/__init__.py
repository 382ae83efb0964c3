"""What a run did for one question: every call, verdict and cost, as text and as a page."""
