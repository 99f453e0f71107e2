"""Common ways to write a conversation as a prompt, for model files that do not carry theirs.

Each is a Jinja template over ``messages``. What the model has said is given back exactly as it was, so that a
conversation always begins with its earlier self: only what is new must be processed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_FIRST_IS_SYSTEM = "{% set offset = 1 if messages[0].role == 'system' else 0 %}"
_NO_SYSTEM = "{% if m.role == 'system' %}{{ raise_exception('this format has no system role') }}{% endif %}"


@dataclass(frozen=True)
class ChatFormat:
    """``template``: Jinja. ``stop``: what only the next speaker's turn begins with, where no token marks the end."""

    template: str
    stop: tuple[str, ...] = ()


def _turns(start: str, end: str, opening: str) -> str:
    """Return a template in which each turn is written the same way, ``opening`` being the model's next one."""
    return "{% for m in messages %}" + start + "{{ m.content }}" + end + "{% endfor %}" + opening


CHAT_FORMATS: Mapping[str, ChatFormat] = MappingProxyType(
    {
        "chatml": ChatFormat(
            _turns("{{ '<|im_start|>' + m.role + '\n' }}", "{{ '<|im_end|>\n' }}", "{{ '<|im_start|>assistant\n' }}"),
            stop=("<|im_end|>",),
        ),
        "llama-2": ChatFormat(
            _FIRST_IS_SYSTEM + "{% for m in messages[offset:] %}"
            "{% if m.role == 'assistant' %}{{ m.content + eos_token + bos_token }}{% else %}{{ '[INST] ' }}"
            "{% if loop.first and offset %}{{ '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' }}{% endif %}"
            "{{ m.content + ' [/INST]' }}{% endif %}{% endfor %}"
        ),
        "llama-3": ChatFormat(
            _turns(
                "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}",
                "{{ '<|eot_id|>' }}",
                "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}",
            ),
            stop=("<|eot_id|>",),
        ),
        "mistral-instruct": ChatFormat(
            "{% for m in messages %}" + _NO_SYSTEM + "{% if m.role == 'assistant' %}{{ m.content + eos_token }}"
            "{% else %}{{ '[INST] ' + m.content + ' [/INST]' }}{% endif %}{% endfor %}"
        ),
        "gemma": ChatFormat(
            _turns(
                _NO_SYSTEM + "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else 'user') + '\n' }}",
                "{{ '<end_of_turn>\n' }}",
                "{{ '<start_of_turn>model\n' }}",
            ),
            stop=("<end_of_turn>",),
        ),
        "phi-3": ChatFormat(
            _turns("{{ '<|' + m.role + '|>\n' }}", "{{ '<|end|>\n' }}", "{{ '<|assistant|>\n' }}"),
            stop=("<|end|>",),
        ),
        "zephyr": ChatFormat(
            _turns("{{ '<|' + m.role + '|>\n' }}", "{{ eos_token + '\n' }}", "{{ '<|assistant|>\n' }}"),
            stop=("<|user|>",),
        ),
        "alpaca": ChatFormat(
            "{% for m in messages %}"
            "{% if m.role == 'assistant' %}{{ m.content + '\n\n' }}"
            "{% elif m.role == 'system' %}{{ m.content + '\n\n' }}"
            "{% else %}{{ '### Instruction:\n' + m.content + '\n\n### Response:\n' }}{% endif %}{% endfor %}",
            stop=("### Instruction:",),
        ),
        "vicuna": ChatFormat(
            "{% for m in messages %}"
            "{% if m.role == 'assistant' %}{{ m.content + eos_token }}"
            "{% elif m.role == 'system' %}{{ m.content + ' ' }}"
            "{% else %}{{ 'USER: ' + m.content + ' ASSISTANT:' }}{% endif %}{% endfor %}",
            stop=("USER:",),
        ),
    }
)
