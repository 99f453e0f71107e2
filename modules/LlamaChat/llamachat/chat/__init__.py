"""Between a request and the engine: its inputs, the conversation, the chat template, the answer's shape."""
