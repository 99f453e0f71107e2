"""LlamaChat and its engine beside llama.cpp itself. ``benchmark`` says what is measured; the other files how."""
