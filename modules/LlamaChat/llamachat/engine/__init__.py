"""Continuous batching over llama.cpp: many chats share one context, and each step serves them all.

Read the files in this order: ``request`` (what is asked and answered), ``sequences`` (what the context
remembers), ``slot`` (one running chat), ``roster`` (who runs and who waits), ``scheduler`` (who decodes what in a
step), ``prompt_sizes`` and ``prompt_costs`` (how prompts are cut, and what was measured for it), ``sampler``,
``grammar`` and ``text_tail`` (from logits to text), ``engine`` (the thread that drives it all).
What is remembered over restarts is a story of its own: ``prompt_index`` (what is stored, by its tokens),
``prompt_store`` (on the disk), ``prompt_cache`` (both, without waiting), ``saving`` and ``restoring``.
Vectors of texts need none of this: ``embedder`` has a context of its own.
``model``, ``context``, ``embedder``, ``sampler``, ``grammar``, ``native`` and ``devices`` are the only files that call
llama.cpp; ``waiting`` sets a variable for it.

What you can rely on: every request ends, with a reason; no chat ever gets text of another; a cancel takes effect at
the next step. What is not promised: the very same reply from another machine or beside other chats. llama.cpp then
rounds differently, which shows where two tokens are almost equally likely.
"""

from . import waiting  # noqa: F401 - must come before anything that loads llama.cpp
