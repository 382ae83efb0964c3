"""The HTTP API: who asks, what they may see, and what the control plane answers.

Nothing is decided here: a request becomes a command or a view, a refusal becomes a problem.
"""

from parkade.api.app import create_app
from parkade.api.settings import ApiSettings

__all__ = ["ApiSettings", "create_app"]
