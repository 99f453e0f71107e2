"""Chatting with a language model: the class that programs and the module's adapter use.

Whole replies and streams have the shape of OpenAI's chat completions::

    chat = LlamaChat(filename="millrace-tiny.gguf", model_dir="models")
    print(chat.do_chat("What is a module?")["choices"][0]["message"]["content"])
    for chunk in chat.do_chat("And how do I write one?", stream=True):
        print(chunk["choices"][0]["delta"].get("content", ""), end="", flush=True)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from llamachat.chat.completions import Completion, CompletionShaper
from llamachat.chat.conversation import Message, build_conversation
from llamachat.chat.inputs import alternatives
from llamachat.chat.logit_bias import bias_for
from llamachat.chat.model_file import find_model
from llamachat.chat.progress import Progress, no_progress
from llamachat.chat.reasoning import separate
from llamachat.chat.response_format import grammar_for
from llamachat.chat.template import ChatTemplate
from llamachat.engine import native
from llamachat.engine.devices import devices
from llamachat.engine.engine import Engine, EngineSettings
from llamachat.engine.figures import Figures
from llamachat.engine.machine import sensible_cache_bytes, sensible_threads
from llamachat.engine.model import Model
from llamachat.engine.prompt_costs import measure
from llamachat.engine.request import Delta, Finish, Request
from llamachat.engine.sampling import Sampling
from llamachat.engine.trial import try_out

DEFAULT_CONTEXT = 4096


class LlamaChat:
    """A loaded chat model that serves ``slots`` chats at once; more wait for their turn."""

    def __init__(
        self,
        repo_id: str = "",
        fileglob: str = "",
        filename: str = "",
        model_dir: str | Path = "models",
        n_ctx: int = 0,
        n_threads: int = 0,
        n_gpu_layers: int = -1,
        slots: int = 4,
        n_batch: int = 512,
        prompt_cache_dir: str | Path | None = None,
        prompt_cache_mb: int = -1,
        chat_format: str = "",
        verbose: bool = False,
        on_progress: Progress = no_progress,
        on_crash: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """Load the model: the local file, else one downloaded from the repository.

        ``n_ctx``: tokens of context for one chat, 0 for the model's own up to 4096. ``n_threads`` 0: the physical
        cores, fewer for a small model. ``n_gpu_layers`` -1: all, where there is a GPU. ``n_batch``: tokens in one
        step. ``prompt_cache_dir``: the folder where conversations are remembered for the next start;
        ``prompt_cache_mb`` -1: at most 2048, less on a full disk. ``chat_format`` names the chat template to use
        instead of the model's own: see ``ChatTemplate``. ``on_crash`` is called with the reason when the engine has
        ended by itself. Raises ``ModelUnavailableError``, which says what to do, also when the model says nothing.
        """
        native.start(verbose)
        path = find_model(Path(model_dir), filename, repo_id, fileglob, on_progress)
        self.model = Model(path, n_gpu_layers)
        try:
            self._template = ChatTemplate(self.model, chat_format)
            context = min(n_ctx or DEFAULT_CONTEXT, self.model.trained_context)
            threads = n_threads or sensible_threads(self.model.parameters)
            cache_bytes = _cache_bytes(prompt_cache_dir, prompt_cache_mb)
            settings = EngineSettings(
                slots=slots,
                context=context,
                threads=threads,
                batch=n_batch,
                costs=measure(self.model, length=context, threads=threads, batch=n_batch),
                prompt_cache=Path(prompt_cache_dir) if prompt_cache_dir is not None and cache_bytes else None,
                prompt_cache_bytes=cache_bytes,
            )
            try_out(self.model, threads)
            self._engine = Engine(self.model, settings, on_crash)
        except BaseException:
            self.model.close()
            raise

    @property
    def settings(self) -> EngineSettings:
        """What the engine was started with."""
        return self._engine.settings

    @property
    def device(self) -> Literal["CPU", "GPU"]:
        """Where the model's layers are."""
        return "GPU" if self.model.gpu_layers else "CPU"

    @property
    def device_name(self) -> str:
        """What their makers call the processors that compute, e.g. ``NVIDIA H200``; empty when it is not known."""
        on_gpu = self.device == "GPU"
        return ", ".join(found.name for found in devices() if found.is_gpu == on_gpu)

    def figures(self) -> Figures:
        """Return what the engine does right now."""
        return self._engine.figures()

    def do_chat(
        self,
        prompt: str | None = None,
        *,
        system_prompt: str | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        max_tokens: int = 0,
        temperature: float = 0.4,
        top_p: float = 0.95,
        top_k: int = 40,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
        ignore_eos: bool = False,
        response_format: Mapping[str, Any] | None = None,
        logit_bias: Mapping[str, float] | Mapping[int, float] | None = None,
        logprobs: bool = False,
        top_logprobs: int = 0,
        reasoning: bool | None = None,
        stream: bool = False,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Completion | Iterator[Completion]:
        """Continue a conversation; return an OpenAI chat completion, or with ``stream`` an iterator of its chunks.

        ``messages`` is an OpenAI message list, ``prompt`` what the user says after it. ``max_tokens`` 0: as much as
        fits. ``logit_bias``, ``logprobs`` and ``top_logprobs`` are OpenAI's. ``reasoning``: whether a model that can
        should think first; None leaves it to its template. What it thinks is in ``reasoning_content``, apart from
        the answer. ``cancelled`` is asked at every step; the finish reason is then ``cancelled``.
        Raises ``RequestRefusedError`` when the request cannot be served, e.g. a prompt longer than the context.
        """
        sampling = Sampling(
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            seed=seed,
            ignore_eos=ignore_eos,
            logit_bias=bias_for(logit_bias),
            grammar=grammar_for(response_format),
        )
        conversation = build_conversation(
            prompt, system_prompt=system_prompt, messages=None if messages is None else list(messages)
        )
        stops = [stop] if isinstance(stop, str) else list(stop)
        request = self.prepare(
            conversation,
            sampling,
            max_tokens=max_tokens,
            stop=stops,
            logprobs=alternatives(logprobs, top_logprobs),
            reasoning=reasoning,
            cancelled=cancelled,
        )
        events = self.generate(request)
        shaper = CompletionShaper(self.model.name, with_logprobs=logprobs)
        return shaper.chunks(events) if stream else shaper.whole(events)

    def prepare(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        max_tokens: int = 0,
        stop: Sequence[str] = (),
        logprobs: int | None = None,
        reasoning: bool | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Request:
        """Return the request for a reply to these messages.

        ``logprobs``: how many likeliest tokens to tell with each token's log-probability, None for neither. The rest
        is as in ``do_chat``. Raises ``RequestRefusedError`` when the template does not accept the messages, they do
        not fit into the context, or this model cannot do what is asked.
        """
        template = self._template
        tokens = template.tokens(messages, reasoning)
        if sampling.grammar is not None and template.marks is not None and template.opens_reasoning(tokens):
            sampling = replace(sampling, grammar_after=template.marks.ends[0])
        request = Request(
            tokens,
            sampling,
            max_tokens=max_tokens,
            stop=(*stop, *template.stop),
            log_probabilities=logprobs,
            cancelled=cancelled,
        )
        self._engine.check(request)
        return request

    def generate(self, request: Request) -> Iterator[Delta | Finish]:
        """Start the reply and return it as it grows; closing the iterator cancels it."""
        generation = self._engine.submit(request)
        template = self._template
        return separate(generation, template.marks, is_open=template.opens_reasoning(request.prompt))

    def close(self) -> None:
        """End all chats and free the model."""
        self._engine.close()
        self.model.close()


def _cache_bytes(folder: str | Path | None, megabytes: int) -> int:
    if folder is None:
        return 0
    return megabytes * 1024 * 1024 if megabytes >= 0 else sensible_cache_bytes(Path(folder))
