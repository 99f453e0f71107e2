"""Runs commands: quick ones in a few waiting threads, long ones in threads of their own."""

from __future__ import annotations

import inspect
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from . import answers as answer_texts
from .answers import Answers, is_cancellation
from .builtin_commands import cancel_command, command_status
from .calls import Calls
from .common import JSON
from .current_command import working_on
from .long_commands import CommandTable, LongSlots, RunningCommand, Stage
from .old_style import StatusFollower
from .request_data import RequestData
from .status_report import status_of
from .texts import encodable
from .transport import Transport

if TYPE_CHECKING:
    from .module_runner import ModuleRunner

COROUTINE_GRACE = 5.0
"""Seconds that a cancelled coroutine has to end by itself."""

KEPT_RESULTS = 32
"""Finished long commands that stay readable where polls come to the module."""

MAX_DEVICE = 256
"""Characters of the device's name in each answer."""

_QUIET = frozenset({"get_status", "list-custom"})  # frequent questions of pages; not counted as inferences
_STATUS = frozenset({"get_module_status", "status"})


class Dispatcher:
    """Takes commands from the transport, runs the module's code for them and sends each exactly one answer."""

    def __init__(self, runner: ModuleRunner, transport: Transport, calls: Calls) -> None:
        self._runner = runner
        self._transport = transport
        self._calls = calls
        self._answers = Answers(runner.module_id, runner.module_name, self._device)
        self._table = CommandTable(KEPT_RESULTS if transport.keeps_results else 0)
        self._quick: queue.SimpleQueue[RunningCommand] = queue.SimpleQueue()
        self._slots: LongSlots | None = None

    def start(self, parallelism: int, long_parallelism: int) -> None:
        """Begin to run commands; those that came before have waited."""
        self._slots = LongSlots(long_parallelism, self._run_long)
        for index in range(parallelism):
            name = f"millrace-quick-{index}"
            threading.Thread(target=self._quick_slot, name=name, daemon=True).start()

    def command(self, data: RequestData) -> None:
        """Take a command. Called on the I/O thread: only what cannot block is answered right here."""
        command = RunningCommand(data)
        if not self._table.add(command):
            self._runner.report_error(None, __file__, f"Command {data.command_id} came twice")
            return
        name = data.command.lower()
        if name == "get_command_status":
            self._finish(command, command_status(data, self._table))
        elif name == "cancel_command":
            self._finish(command, cancel_command(data, self._table, self.cancel))
        else:
            self._quick.put(command)

    def cancel(self, command_id: str) -> bool:
        """Stop a command; False when none of that id is running. Never blocks."""
        command = self._table.find(command_id)
        if command is None or command.ended:
            return False
        command.data.reply.request_cancel()
        if command.stage in (Stage.WAITING, Stage.LONG_WAITING):
            self._finish_cancelled(command)
            return True
        name = f"millrace-cancel-{command_id}"
        threading.Thread(target=self._cancel_running, args=(command,), name=name, daemon=True).start()
        return True

    def drop(self, command_id: str) -> None:
        """Stop a command that the server does not know any more; its id may come again, as a new command."""
        command = self._table.find(command_id)
        if command is None or command.ended:
            return
        command.data.reply.request_cancel()
        self._finish(command, answer_texts.cancelled(command.long), counted=False)
        name = f"millrace-drop-{command_id}"
        threading.Thread(target=self._abandon, args=(command,), name=name, daemon=True).start()

    def stop(self, seconds: float) -> bool:
        """Cancel everything and wait for it at most that long. True when nothing runs any more."""
        for command in self._table.live():
            command.interrupted = not command.data.reply.cancel_requested
            self.cancel(command.data.command_id)
        deadline = time.monotonic() + seconds
        while self._table.live() and time.monotonic() < deadline:
            time.sleep(0.01)
        left = self._table.live()
        for command in left:
            command.told = True  # cleanup() comes next, and may make it end
        return not left

    def _device(self) -> str:
        return encodable(str(self._runner.inference_device)[:MAX_DEVICE])

    def _quick_slot(self) -> None:
        while True:
            command = self._quick.get()
            if command.advance(Stage.WAITING, Stage.RUNNING):  # else cancelled while it waited
                with working_on(command.data.command_id):
                    self._run_quick(command)

    def _run_quick(self, command: RunningCommand) -> None:
        data = command.data
        try:
            outcome = self._process(command)
        except BaseException as error:  # whatever the module's code throws, the command gets an answer
            self._finish_with_error(command, error)
            return
        if callable(outcome):
            self._start_long(command, outcome)
        else:
            self._finish(command, self._answers.of_process(outcome, data.command_id))

    def _process(self, command: RunningCommand) -> Any:
        data = command.data
        name = data.command.lower()
        if name in _STATUS:
            return {"success": True, **status_of(self._runner, self._calls)}
        if name == "selftest":
            return self._selftest(data)
        return self._calls.invoke(self._runner.process, data, on_future=command.set_future)

    def _selftest(self, data: RequestData) -> Any:
        # Some modules' selftest() takes the request, as the ancestor called it.
        takes_request = bool(inspect.signature(self._runner.selftest).parameters)
        return self._calls.invoke(self._runner.selftest, *([data] if takes_request else []))

    def _start_long(self, command: RunningCommand, process: Any) -> None:
        command.process = process
        data = command.data
        self._runner.long_running_command_id = data.command_id
        self._transport.started(data.command_id, data.command, self._device())
        if self._slots is not None and command.advance(Stage.RUNNING, Stage.LONG_WAITING):
            self._slots.submit(command)

    def _run_long(self, command: RunningCommand) -> None:
        data, process = command.data, command.process
        if data.reply.cancel_requested:  # between the two stages of its start
            self._finish_cancelled(command)
            return
        follower = self._follower(command) if self._runner._is_old_style else None
        if follower is not None:
            follower.start()
        output: JSON | None = None
        try:
            if process is not None:
                with working_on(data.command_id):
                    outcome = self._calls.invoke(process, data, on_future=command.set_future)
                output = self._answers.of_long_process(outcome)
        except BaseException as error:  # whatever the module's code throws, the command gets an answer
            if follower is not None:
                follower.finish(None)
            self._finish_with_error(command, error)
            return
        if follower is not None:
            follower.finish(output)
        self._finish(command, output or {"success": True})

    def _follower(self, command: RunningCommand) -> StatusFollower:
        def report(error: Exception) -> None:
            self._runner.report_error(error, __file__, f"command_status() failed: {error}")

        return StatusFollower(
            lambda: self._calls.invoke(self._runner.command_status),
            command.data.reply,
            lambda: command.ended,
            report,
        )

    def _cancel_running(self, command: RunningCommand) -> None:
        if command.long:
            command.told = command.told or self._runner._hears_of_cancels
            self._tell_module()
            if self._runner._is_old_style and self._runner.force_shutdown:
                self._finish_cancelled(command)
                command.cancel_coroutine()
                return
        deadline = time.monotonic() + COROUTINE_GRACE
        while not command.ended and time.monotonic() < deadline:
            time.sleep(0.05)
        if not command.ended:
            command.cancel_coroutine()

    def _abandon(self, command: RunningCommand) -> None:
        if command.long:
            self._tell_module()
        command.cancel_coroutine()

    def _tell_module(self) -> None:
        try:
            self._calls.invoke(self._runner.cancel_command_task)
        except Exception as error:
            self._runner.report_error(error, __file__)

    def _finish_with_error(self, command: RunningCommand, error: BaseException) -> None:
        if is_cancellation(error) and command.data.reply.cancel_requested:
            self._finish_cancelled(command)
            return
        if not command.ended:
            self._runner.report_error(error, __file__)
        self._finish(command, self._answers.of_error(error, command.data.command_id, command.long))

    def _finish_cancelled(self, command: RunningCommand) -> None:
        """End a command that was stopped before it gave an answer."""
        command.told = True
        self._finish(command, answer_texts.cancelled(command.long))

    def _finish(self, command: RunningCommand, output: JSON, counted: bool = True) -> None:
        data = command.data
        if command.unfinished and not self._transport.marks_unfinished:
            output = {**output, **answer_texts.failure(answer_texts.UNFINISHED_TEXT)}
        complete = self._answers.complete(output, data.command, data.command_id)
        most = self._transport.longest_answer
        answer, encoded = self._answers.encode(complete, data.command, data.command_id, most)
        before = command.end(answer)
        if before is None:
            return
        self._transport.finish(data.command_id, answer, encoded, command.unfinished)
        self._table.remove(command)
        if command.long:
            self._runner.last_long_running_output = answer
        if before is Stage.LONG_RUNNING and self._slots is not None:
            self._slots.release()
        if counted and before in (Stage.RUNNING, Stage.LONG_RUNNING) and data.command.lower() not in _QUIET:
            self._count(answer)

    def _count(self, answer: JSON) -> None:
        try:
            self._runner.update_statistics(answer)
        except Exception as error:
            self._runner.report_error(error, __file__, f"update_statistics() failed: {error}")
