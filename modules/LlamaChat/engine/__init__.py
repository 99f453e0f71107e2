"""Continuous batching over llama.cpp: many chats share one context, one decode call per step.

Read the files in this order: ``request`` (what is asked and answered), ``sequences`` (what the context
remembers), ``slot`` (one running chat), ``scheduler`` (who decodes what in a step), ``sampling`` and
``text_tail`` (from logits to text), ``engine`` (the thread that drives it all). ``model``, ``context`` and
``native`` are the only files that call llama.cpp.
"""
