"""One loaded GGUF model: its vocabulary, its metadata, its chat template."""

from __future__ import annotations

import ctypes
from pathlib import Path

import llama_cpp

from . import native
from .errors import ModelUnavailableError
from .gguf_file import check_is_gguf


class Model:
    """A model in memory. Everything but ``close`` only reads, so any thread may call it."""

    def __init__(self, path: Path, gpu_layers: int = -1, *, generates: bool = True) -> None:
        """Load the model; ``gpu_layers`` -1 puts all layers on the GPU where there is one.

        ``generates``: it must be able to generate text. Raises ``ModelUnavailableError`` when the file is missing,
        damaged, or no such model.
        """
        check_is_gguf(path)
        native.take_errors()
        parameters = llama_cpp.llama_model_default_params()
        on_gpu = native.can_use_gpu() and gpu_layers != 0
        parameters.n_gpu_layers = (9999 if gpu_layers < 0 else gpu_layers) if on_gpu else 0
        parameters.use_extra_bufts = native.uses_extra_buffers()
        self.path = path
        self._pointer = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._pointer:
            raise ModelUnavailableError(
                f"The model file {path} cannot be loaded: {native.take_errors() or 'llama.cpp refused it'}. "
                "It is damaged, incomplete, or needs a newer llama-cpp-python. Download it again."
            )
        self.vocabulary = llama_cpp.llama_model_get_vocab(self._pointer)
        self.vocabulary_size = int(llama_cpp.llama_vocab_n_tokens(self.vocabulary))
        self._pieces: dict[int, bytes] = {}
        layers = int(llama_cpp.llama_model_n_layer(self._pointer)) + 1  # llama.cpp counts the output as one
        self.gpu_layers = min(int(parameters.n_gpu_layers), layers)
        if (generates and not self.has_decoder) or self.vocabulary_size == 0:
            self.close()
            raise ModelUnavailableError(f"The model file {path} holds no model that generates text.")
        tokens = range(self.vocabulary_size)
        self.end_tokens = [token for token in tokens if llama_cpp.llama_vocab_is_eog(self.vocabulary, token)]
        self._ends = frozenset(self.end_tokens)

    @property
    def pointer(self) -> ctypes.c_void_p:
        """The native model."""
        return self._pointer  # type: ignore[no-any-return]

    @property
    def has_decoder(self) -> bool:
        """Whether it can go on with a text; a mere encoder only reads it."""
        return bool(llama_cpp.llama_model_has_decoder(self._pointer))

    @property
    def trained_context(self) -> int:
        """Tokens of context the model was trained for."""
        return int(llama_cpp.llama_model_n_ctx_train(self._pointer))

    @property
    def original_context(self) -> int:
        """Tokens of context before any stretching; some models turn positions differently above it."""
        architecture = self.metadata("general.architecture")
        original = self.metadata(f"{architecture}.rope.scaling.original_context_length") or ""
        return int(original) if original.isdecimal() else self.trained_context

    @property
    def can_rewind(self) -> bool:
        """Whether the end of a sequence can be forgotten; recurrent models remember only the whole."""
        recurrent = llama_cpp.llama_model_is_recurrent(self._pointer)
        hybrid = llama_cpp.llama_model_is_hybrid(self._pointer)
        # llama.cpp aborts when a part of this one's compressed memory is to be shared.
        return not (recurrent or hybrid or self.metadata("general.architecture") == "deepseek4")

    @property
    def rope_type(self) -> int:
        """How positions are turned into rotations, as llama.cpp numbers it."""
        return int(llama_cpp.llama_model_rope_type(self._pointer))

    @property
    def name(self) -> str:
        """The model's own name, else its file name."""
        return self.metadata("general.name") or self.path.stem

    @property
    def size_bytes(self) -> int:
        """Bytes of all its tensors."""
        return int(llama_cpp.llama_model_size(self._pointer))

    @property
    def parameters(self) -> int:
        """Number of its weights."""
        return int(llama_cpp.llama_model_n_params(self._pointer))

    @property
    def quantisation(self) -> str:
        """How its weights are stored, e.g. ``Q4_K - Medium``."""
        name = llama_cpp.llama_ftype_name(llama_cpp.llama_model_ftype(self._pointer))
        return name.decode() if name else "unknown"

    @property
    def chat_template(self) -> str | None:
        """The model's chat template in Jinja, or None when it has none."""
        template = llama_cpp.llama_model_chat_template(self._pointer, None)
        return template.decode("utf-8", "replace") if template else None

    @property
    def adds_start_token(self) -> bool:
        """Whether every prompt must begin with the start token."""
        return bool(llama_cpp.llama_vocab_get_add_bos(self.vocabulary))

    @property
    def start_text(self) -> str:
        """The start token as text; empty when there is none."""
        return self._special_text(llama_cpp.llama_vocab_bos(self.vocabulary))

    @property
    def end_text(self) -> str:
        """The end token as text; empty when there is none."""
        return self._special_text(llama_cpp.llama_vocab_eos(self.vocabulary))

    def metadata(self, key: str) -> str | None:
        """Return one value of the file's metadata, or None; values longer than 4 KiB are cut."""
        buffer = ctypes.create_string_buffer(4096)
        length = llama_cpp.llama_model_meta_val_str(self._pointer, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if length >= 0 else None

    def is_end(self, token: int) -> bool:
        """Whether the model ends its turn with this token."""
        return token in self._ends

    def tokenize(self, text: str, *, special: bool = True, whole: bool = False) -> list[int]:
        """Return the tokens of a text. ``special`` recognises control tokens in it.

        ``whole``: with the tokens that the model wants at the beginning and end of a text.
        """
        data = text.encode("utf-8", "replace")
        room = len(data) + 16
        while True:
            tokens = (llama_cpp.llama_token * room)()
            count = llama_cpp.llama_tokenize(self.vocabulary, data, len(data), tokens, room, whole, special)
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def piece(self, token: int) -> bytes:
        """Return the bytes a token stands for: possibly a part of a character, nothing for control tokens."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read_piece(token)
        return known

    def label(self, token: int) -> str:
        """Return a text for people to know a token by; also control tokens have one."""
        return (self.piece(token) or self._read_piece(token, special=True)).decode("utf-8", "replace")

    def reveal(self, text: str) -> None:
        """Let control tokens that are part of this text show in replies from now on."""
        for token in self.tokenize(text):
            if not self.piece(token):
                self._pieces[token] = self._read_piece(token, special=True)

    def _read_piece(self, token: int, room: int = 64, *, special: bool = False) -> bytes:
        buffer = ctypes.create_string_buffer(room)
        length = llama_cpp.llama_token_to_piece(self.vocabulary, token, buffer, room, 0, special)
        # A negative length is the room that the piece needs.
        return buffer.raw[:length] if length >= 0 else self._read_piece(token, -length, special=special)

    def _special_text(self, token: int) -> str:
        if token < 0:
            return ""
        text = llama_cpp.llama_vocab_get_text(self.vocabulary, token)
        return text.decode("utf-8", "replace") if text else ""

    def close(self) -> None:
        """Free the model; every context made from it must be closed before."""
        if self._pointer:
            llama_cpp.llama_model_free(self._pointer)
            self._pointer = None
