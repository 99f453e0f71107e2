"""What the environment says about the channel."""

from __future__ import annotations

import os
from dataclasses import dataclass

ORPHAN_SECONDS = 60.0


@dataclass(frozen=True)
class ChannelOptions:
    """Where the server is, and what proves that it launched this process."""

    url: str
    secret: str
    launch_id: str
    module_id: str
    orphan_seconds: float = ORPHAN_SECONDS
    """After so long without a server the process cleans up and exits."""

    @classmethod
    def from_environment(cls, module_id: str) -> ChannelOptions | None:
        """Return the options that the server put into the environment, or None without them."""
        url = os.environ.get("MILLRACE_CHANNEL_URL")
        if not url:
            return None
        return cls(
            url=url,
            secret=os.environ.get("MILLRACE_CHANNEL_SECRET", ""),
            launch_id=os.environ.get("MILLRACE_LAUNCH_ID", ""),
            module_id=module_id,
            orphan_seconds=float(os.environ.get("MILLRACE_ORPHAN_SECONDS") or ORPHAN_SECONDS),
        )
