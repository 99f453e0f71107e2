"""Continuous batching over llama.cpp: many chats share one context, one decode call per step.

Read the files in this order: ``request`` (what is asked and answered), ``sequences`` (what the context
remembers), ``slot`` (one running chat), ``roster`` (who runs and who waits), ``scheduler`` (who decodes what in a
step), ``sampler`` and ``text_tail`` (from logits to text), ``engine`` (the thread that drives it all). ``model``,
``context``, ``sampler`` and ``native`` are the only files that call llama.cpp.

What you can rely on: every request ends, with a reason; no chat ever gets text of another; a cancel takes effect at
the next step. What is not promised: the very same reply from another machine or beside other chats. llama.cpp then
rounds differently, which shows where two tokens are almost equally likely.
"""
