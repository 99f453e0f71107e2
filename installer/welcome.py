"""What a newcomer sees after the server has started: the modules on their way, a first chat, and where to go on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from . import model
from .commands import shown
from .greeting import MODULE, Greeting, GreetingError
from .http_client import HttpClient, NoAnswerError
from .layout import Layout
from .module_states import ModuleStates, problems, settled
from .progress import InstallError, Progress
from .settings import ServerSettings

ANSWER_LIMIT = 120.0
"""Seconds in which a server that has been started must answer."""
REST_LIMIT = 300.0
"""Seconds in which LlamaChat may come to rest before a download begins."""
NOTICE_LIMIT = 15.0
"""Seconds in which a server notices that its settings of modules have changed."""
ADDRESSES = """
Millrace is running; Ctrl-C stops it.

  In a browser   {url}/
  With curl      {curl_chat}
                 {curl_poll}
  HTTP API       {url}/v1/   (described in docs/http-api.md)
  Log            {log}
"""


class Welcome:
    """Welcomes whoever has just started this server."""

    def __init__(self, layout: Layout, progress: Progress, settings: ServerSettings, states: ModuleStates) -> None:
        self._layout = layout
        self._progress = progress
        self._settings = settings
        self._states = states
        self._client = HttpClient(settings.url, settings.key)
        self._greeting = Greeting(self._client, progress, states)

    def say(self, repository: str | None = None, instance: str | None = None) -> None:
        """Wait, greet and tell. ``repository`` is where to download a model from, once that is possible.

        Whatever goes wrong with the modules is told, and ends nothing. Raises InstallError when the server itself
        does not answer, CutShortError when it has gone or is to stop.
        """
        self._wait_for_the_server()
        self._progress.say(f"    It runs. {self._settings.url}/ shows the same in a browser.")
        try:
            if self._is_a_stranger():
                self._leave_to_its_owner(repository, instance)
                return
            if repository is not None:
                self._fetch(repository, instance)
            self._greet()
        except (GreetingError, InstallError) as problem:
            self._progress.say(f"\nWarning: {problem}")
        self._tell_problems()
        self._progress.say(_addresses(self._settings, with_key=bool(self._settings.key)))

    def _is_a_stranger(self) -> bool:
        """Whether the server wants a key that it keeps only a hash of, so that only its owner can look and chat."""
        with contextlib.suppress(NoAnswerError):
            return bool(self._client.get("/v1/whoami").get("keyNeeded"))
        return False

    def _leave_to_its_owner(self, repository: str | None, instance: str | None) -> None:
        self._progress.say("    It asks for an API key. Log in on that page to see its modules and to chat.")
        if repository is not None:
            model.download(
                self._layout, self._progress, self._settings, repository, instance, lambda: self._states.wait(0.2)
            )
        self._progress.say(_addresses(self._settings, with_key=True))

    def _wait_for_the_server(self) -> None:
        started = time.monotonic()
        while self._states.look() is None:
            if time.monotonic() - started > ANSWER_LIMIT:
                raise InstallError(f"The server did not answer within {ANSWER_LIMIT:.0f} seconds.")
            self._states.wait(0.2)

    def _fetch(self, repository: str, instance: str | None) -> None:
        """Download a model as soon as LlamaChat is installed; the server takes it up by itself."""
        while not model.can_download(self._settings):
            module = (self._states.look() or {}).get(MODULE)
            if module is None or module.get("state") not in ("Installing", "Stopping"):
                raise InstallError(f"{repository} was not downloaded, because {MODULE} is not installed here.")
            self._states.sign_of_life(f"{MODULE}, which downloads the model,")
            self._states.wait(0.5)
        self._until(settled, REST_LIMIT)  # else its first start would look like the one that takes up the model
        model.download(
            self._layout, self._progress, self._settings, repository, instance, lambda: self._states.wait(0.2)
        )
        if instance is None:
            self._until(lambda module: not settled(module), NOTICE_LIMIT)

    def _until(self, found: Callable[[dict[str, Any]], bool], limit: float) -> None:
        """Wait until LlamaChat is as it should be, or the time is over."""
        begun = time.monotonic()
        while time.monotonic() - begun < limit:
            module = (self._states.look() or {}).get(MODULE)
            if module is not None and found(module):
                return
            self._states.wait(0.1)

    def _greet(self) -> None:
        ready = self._greeting.wait_until_ready()
        prompt = self._greeting.prompt() if ready else None
        if prompt is None:
            self._progress.say(f"    There is no {MODULE} that chats here, so there is nobody to say hello.")
        else:
            self._greeting.chat(prompt)

    def _tell_problems(self) -> None:
        found = problems(self._states.look() or {})
        if found:
            self._progress.say("\nThese modules do not work yet; all others do:\n")
            for line in found:
                self._progress.say(f"  {line}")


def _addresses(settings: ServerSettings, with_key: bool) -> str:
    url = settings.url
    login = ["-H", "Authorization: Bearer KEY"] if with_key else []
    return ADDRESSES.format(
        url=url,
        curl_chat=shown(["curl", *login, "-F", "prompt=What is a module?", f"{url}/v1/text/chat"]),
        curl_poll=shown(["curl", *login, "-F", "commandId=ID", f"{url}/v1/{MODULE}/get_command_status"]),
        log=settings.data / "logs" / "millrace.log",
    )
